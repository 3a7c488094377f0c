"""Tables of withdrawals: the requests and their batches."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text, text

from millpond.store import BigInt, metadata

OPEN = "state IN ('pending', 'processing')"
"""A withdrawal that is under way."""

PENDING = "state = 'pending'"
"""A wallet asks for one at a time. A reorg may reopen an older one beside it."""

batch_table = Table(
    "staking_batch",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pool_id", Text, ForeignKey("staking_pool.pool_id"), nullable=False),
    Column("intent_id", Text, ForeignKey("intent.id"), nullable=False),
    Column("chain_key", Text, nullable=False),
    Column("payees", Integer, nullable=False),
    Column("amount", BigInt, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("uq_staking_batch_chain_key", "chain_key", unique=True),
    Index("ix_staking_batch_pool_id", "pool_id", "id"),
)

withdrawal_table = Table(
    "staking_withdrawal",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pool_id", Text, ForeignKey("staking_pool.pool_id"), nullable=False),
    Column("wallet", Text, nullable=False),
    Column("amount", BigInt, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("batch_id", Text, ForeignKey("staking_batch.id")),
    Column("reserved", Boolean, nullable=False),
    Column("hold", Integer, nullable=False),
    Column("tx_hash", Text),
    Column("block_number", BigInteger),
    Column("requested_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
    Index("ix_staking_withdrawal_wallet", "wallet", "id"),
    Index("ix_staking_withdrawal_state", "pool_id", "state", "id"),
    Index("ix_staking_withdrawal_batch_id", "batch_id"),
    Index(
        "uq_staking_withdrawal_pending",
        "pool_id",
        "wallet",
        unique=True,
        sqlite_where=text(PENDING),
        postgresql_where=text(PENDING),
    ),
)
