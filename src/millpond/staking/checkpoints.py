"""How far each pool is indexed, and the hashes by which a reorg is noticed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import select, update

from millpond.staking.pools import StakingPool
from millpond.staking.tables import checkpoint_table
from millpond.store import Tx
from millpond.store.sql import any_of, insert_or_ignore

_C = checkpoint_table.c


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A block that was indexed."""

    number: int
    hash: str
    time_s: int


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How far a pool is indexed.

    Attributes:
        pool_id: The pool.
        chain_id: Its chain.
        number: Last block that is indexed; all before it are.
        block_hash: That block's hash; empty before the first.
        block_time_s: That block's timestamp.
        trail: Hashes of blocks up to it, oldest first: all of the newest, some older.
        booked_number: Last block whose events are booked; -1 for none.
        booked_time_s: That block's timestamp.
        head: The chain's head as it was seen last.
        last_seq: Place of the pool's newest event.
        events: How many events were indexed and stand.
        total_seen: Sum of all positions by them, unconfirmed included.
        reorgs: How many reorgs took booked events back.
        stopped: Why the pool is not followed any more; empty: it is.
        updated_ms: When it was written.
    """

    pool_id: str
    chain_id: int
    number: int
    block_hash: str
    block_time_s: int
    trail: tuple[Mark, ...]
    booked_number: int
    booked_time_s: int
    head: int
    last_seq: int
    events: int
    total_seen: int
    reorgs: int
    stopped: str
    updated_ms: int

    @property
    def lag(self) -> int:
        """Blocks between it and the head that was seen last."""
        return max(0, self.head - self.number)


def first_checkpoint(pool: StakingPool, now_ms: int) -> Checkpoint:
    """Where a pool that was never indexed stands: before its first block."""
    return Checkpoint(
        pool_id=pool.pool_id,
        chain_id=pool.chain_id,
        number=pool.start_block - 1,
        block_hash="",
        block_time_s=0,
        trail=(),
        booked_number=-1,
        booked_time_s=0,
        head=pool.start_block - 1,
        last_seq=0,
        events=0,
        total_seen=0,
        reorgs=0,
        stopped="",
        updated_ms=now_ms,
    )


async def ensure(tx: Tx, pools: Sequence[StakingPool], now_ms: int) -> None:
    """Give each pool that has none its first checkpoint."""
    for pool in pools:
        values = _values(first_checkpoint(pool, now_ms))
        await tx.execute(insert_or_ignore(tx, checkpoint_table).values(values))


async def load(tx: Tx, pool_ids: Collection[str], *, lock: bool = False) -> dict[str, Checkpoint]:
    """Checkpoints by pool; locked in the order of the pools, so that nobody waits in a circle."""
    query = select(checkpoint_table).where(any_of(tx, _C.pool_id, sorted(pool_ids)))
    query = query.order_by(_C.pool_id)
    found = await tx.execute(query.with_for_update() if lock else query)
    return {row["pool_id"]: to_checkpoint(row) for row in found.mappings()}


async def save(tx: Tx, checkpoint: Checkpoint) -> None:
    """Write a checkpoint that is locked."""
    await tx.execute(
        update(checkpoint_table).where(_C.pool_id == checkpoint.pool_id).values(_values(checkpoint))
    )


async def see(tx: Tx, chain_id: int, head: int) -> None:
    """Note how far a chain is, for all its pools: also for those that could not be indexed."""
    lower = _C.chain_id == chain_id, _C.head < head
    await tx.execute(update(checkpoint_table).where(*lower).values(head=head))


def extended(trail: Sequence[Mark], marks: Sequence[Mark], keep: int) -> tuple[Mark, ...]:
    """A trail with newer marks, cut to `keep`."""
    return (*trail, *marks)[-keep:]


def mark_at(trail: Sequence[Mark], number: int) -> Mark | None:
    """The newest mark at or below a block."""
    return next((mark for mark in reversed(trail) if mark.number <= number), None)


def to_checkpoint(row: Any) -> Checkpoint:
    """Make the value of a row."""
    values = dict(row)
    values["trail"] = tuple(Mark(*mark) for mark in values["trail"])
    return Checkpoint(**values)


def _values(checkpoint: Checkpoint) -> dict[str, Any]:
    values = msgspec.structs.asdict(checkpoint)
    values["trail"] = [[m.number, m.hash, m.time_s] for m in checkpoint.trail]
    return values
