"""Tables of the folds.

Sums of difficulty outgrow 64 bits (one exahash per second does in a minute),
and the database must be able to add them. They are kept in two columns of 64
bits: `*_hi` counts whole difficulties, `*_lo` units of 2**-32, and the sum is
`hi * 2**32 + lo`. `lo` is not carried over: each addition brings less than
2**32, so it has room for two thousand million additions to one row.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from millpond.store import BigInt, metadata

LOW_BITS = 32
LOW_MASK = (1 << LOW_BITS) - 1

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
SIZES_S = (MINUTE_S, HOUR_S, DAY_S)
"""Lengths of the slices."""

NO_BITS = 0xFFFFFFFF
"""Best share of a slice without accepted shares; larger than any compact target."""


def split_sum(value: int) -> tuple[int, int]:
    """The two columns of a difficulty sum."""
    return value >> LOW_BITS, value & LOW_MASK


def join_sum(high: int, low: int) -> int:
    """The difficulty sum in two columns, fixed point with 32 binary places."""
    return (int(high) << LOW_BITS) + int(low)


def _sums() -> list[Column[int]]:
    counts = ("accepted", "stale", "rejected")
    return [
        *(Column(name, BigInteger, nullable=False, server_default="0") for name in counts),
        *(
            Column(f"{name}_{half}", BigInteger, nullable=False, server_default="0")
            for name in counts
            for half in ("hi", "lo")
        ),
        Column("best_bits", BigInteger, nullable=False, server_default=str(NO_BITS)),
    ]


mining_worker = Table(
    "mining_worker",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("pool_id", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("wallet", Text, nullable=False),
    Column("first_share_ms", BigInteger, nullable=False),
    Column("last_share_ms", BigInteger, nullable=False),
    Column("difficulty", BigInt, nullable=False),
    Column("best_bits", BigInteger, nullable=False),
    Index("ux_mining_worker", "pool_id", "worker", unique=True),
    Index("ix_mining_worker_wallet", "wallet"),
    Index("ix_mining_worker_seen", "pool_id", "last_share_ms"),
)
"""One row a worker that ever sent an accepted or rejected share."""

worker_slice = Table(
    "worker_slice",
    metadata,
    Column("worker_id", Integer, primary_key=True, autoincrement=False),
    Column("size_s", Integer, primary_key=True, autoincrement=False),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    *_sums(),
    Index("ix_worker_slice_start", "size_s", "start_s"),
    sqlite_with_rowid=False,
)
"""What a worker did in a slice that starts at `start_s` (unix seconds)."""

pool_slice = Table(
    "pool_slice",
    metadata,
    Column("pool_id", Text, primary_key=True),
    Column("size_s", Integer, primary_key=True, autoincrement=False),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    *_sums(),
    sqlite_with_rowid=False,
)
"""What a pool did in a slice."""

reject_slice = Table(
    "reject_slice",
    metadata,
    Column("worker_id", Integer, primary_key=True, autoincrement=False),
    Column("size_s", Integer, primary_key=True, autoincrement=False),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False, server_default="0"),
    Column("sum_hi", BigInteger, nullable=False, server_default="0"),
    Column("sum_lo", BigInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
"""Rejected shares by reason, in slices of an hour and of a day."""

fold_checkpoint = Table(
    "fold_checkpoint",
    metadata,
    Column("pool_id", Text, primary_key=True),
    Column("fold", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("group_hash", Text, nullable=False),
    Column("groups", BigInteger, nullable=False),
    Column("shares", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)
"""Up to which group of the share log each fold of a pool has come, that one included."""

pool_state = Table(
    "pool_state",
    metadata,
    Column("pool_id", Text, primary_key=True),
    Column("height", BigInteger, nullable=False),
    Column("network_difficulty", BigInt, nullable=False),
    Column("last_share_ms", BigInteger, nullable=False),
)
"""What the newest share of a pool was mined on."""
