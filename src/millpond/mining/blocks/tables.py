"""Tables of blocks, rounds and of shares paid as they come."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text

from millpond.store import BigInt, JsonText, metadata

block = Table(
    "block",
    metadata,
    Column("block_hash", Text, primary_key=True),
    Column("pool_id", Text, nullable=False),
    Column("coin", Text, nullable=False),
    Column("height", BigInteger, nullable=False),
    Column("worker", Text, nullable=False),
    Column("found_ms", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("share_index", Integer, nullable=False),
    Column("adopted", Boolean, nullable=False),
    Column("network_difficulty", BigInt, nullable=False),
    Column("reward", BigInt, nullable=False),
    Column("round", BigInteger, nullable=False),
    Column("round_shares", BigInteger, nullable=False),
    Column("effort", BigInt, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("confirmations", Integer, nullable=False, server_default="0"),
    Column("required", Integer, nullable=False),
    Column("submissions", Integer, nullable=False, server_default="0"),
    Column("credit", Text, nullable=False, server_default="none"),
    Column("credit_round", Integer, nullable=False, server_default="0"),
    Column("terms", JsonText, nullable=True),
    Column("basis", JsonText, nullable=True),
    Column("state_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("ix_block_pool", "pool_id", "height"),
    Index("ix_block_found", "pool_id", "found_ms"),
    Index("ix_block_state", "pool_id", "state"),
)
"""One row a block found. `effort` has 32 binary places; 1.0 is the expected work."""

block_line = Table(
    "block_line",
    metadata,
    Column("block_hash", Text, ForeignKey("block.block_hash"), primary_key=True),
    Column("credit_round", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("wallet", Text, primary_key=True),
    Column("weight", BigInt, nullable=False),
    Column("amount", BigInt, nullable=False),
    Column("transfer_id", Text, nullable=False),
    Index("ix_block_line_wallet", "wallet"),
)
"""How a block's reward was split, so that a miner can see why."""

mining_round = Table(
    "mining_round",
    metadata,
    Column("pool_id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("shares", BigInteger, nullable=False),
    Column("effort", BigInt, nullable=False),
)
"""The round of each pool that is open now."""

pps_account = Table(
    "pps_account",
    metadata,
    Column("pool_id", Text, primary_key=True),
    Column("wallet", Text, primary_key=True),
    Column("paid", BigInt, nullable=False),
    Column("carry", BigInt, nullable=False),
)
"""Shares bought from an address: base units paid, and 2**-64 units yet to pay.

The row without an address holds the start (ms) of the slice of time that is open, as `paid`.
"""

pps_terms = Table(
    "pps_terms",
    metadata,
    Column("pool_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("until", BigInteger, nullable=False),
    Column("terms", JsonText, nullable=False),
)
"""By what terms the groups behind `position` up to `until` (included) were bought."""

wallet_receipt = Table(
    "wallet_receipt",
    metadata,
    Column("coin", Text, primary_key=True),
    Column("outpoint", Text, primary_key=True),
    Column("amount", BigInt, nullable=False),
    Column("category", Text, nullable=False),
    Column("transfer_id", Text, nullable=False),
    Column("booked_ms", BigInteger, nullable=False),
)
"""Coins that came to the daemon's wallet from outside and were booked as capital."""

wallet_anchor = Table(
    "wallet_anchor",
    metadata,
    Column("coin", Text, primary_key=True),
    Column("height", BigInteger, nullable=False),
    Column("block_hash", Text, nullable=False),
)
"""Below this block every receipt of the wallet was booked."""
