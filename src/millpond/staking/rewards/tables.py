"""Tables of rewards: terms, epochs, snapshots, runs, claims."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text, text

from millpond.store import BigInt, metadata
from millpond.store.types import JsonText

terms_table = Table(
    "staking_terms",
    metadata,
    Column("pool_id", Text, ForeignKey("staking_pool.pool_id"), primary_key=True),
    Column("from_epoch", BigInteger, primary_key=True),
    Column("emission", Text, nullable=False),
    Column("reward_per_minute", BigInt, nullable=False),
    Column("weight_ppm", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_staking_terms_emission", "emission"),
)

epoch_table = Table(
    "staking_epoch",
    metadata,
    Column("pool_id", Text, ForeignKey("staking_pool.pool_id"), primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("start_s", BigInteger, nullable=False),
    Column("end_s", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("reward_per_minute", BigInt, nullable=False),
    Column("weight_ppm", Integer, nullable=False),
    Column("fundings", JsonText, nullable=False),
    Column("funded", BigInt, nullable=False),
    Column("staked_s", BigInteger, nullable=False),
    Column("weight", BigInt, nullable=False),
    Column("wanted", BigInt, nullable=False),
    Column("pot", BigInt, nullable=False),
    Column("emitted", BigInt, nullable=False),
    Column("carry", BigInt, nullable=False),
    Column("distributed", BigInt, nullable=False),
    Column("cumulative", BigInt, nullable=False),
    Column("accounts", Integer, nullable=False),
    Column("changes", BigInteger, nullable=False),
    Column("changes_sha256", Text, nullable=False),
    Column("root", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("statement_hash", Text, nullable=False),
    Column("intent_id", Text),
    Column("closed_ms", BigInteger, nullable=False),
    Index("uq_staking_epoch_number", "pool_id", "number", unique=True),
)

snapshot_table = Table(
    "staking_snapshot",
    metadata,
    Column("pool_id", Text, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("wallet", Text, primary_key=True),
    Column("weight", BigInt, nullable=False),
    Column("earned", BigInt, nullable=False),
    Column("cumulative", BigInt, nullable=False),
    Column("fraction", BigInt, nullable=False),
    Index("ix_staking_snapshot_wallet", "wallet", "pool_id", "epoch"),
)

run_table = Table(
    "staking_reward_run",
    metadata,
    Column("pool_id", Text, ForeignKey("staking_pool.pool_id"), primary_key=True),
    Column("last_run_ms", BigInteger, nullable=False),
)

PENDING_CLAIM = "state = 'pending'"
"""A wallet asks for one claim at a time. A reorg may reopen an older one beside it."""

claim_table = Table(
    "staking_claim",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pool_id", Text, ForeignKey("staking_pool.pool_id"), nullable=False),
    Column("wallet", Text, nullable=False),
    Column("amount", BigInt, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("chain_key", Text),
    Column("reserved", Boolean, nullable=False),
    Column("hold", Integer, nullable=False),
    Column("tx_hash", Text),
    Column("requested_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
    Index("ix_staking_claim_wallet", "wallet", "id"),
    Index("ix_staking_claim_state", "pool_id", "state", "id"),
    Index("ix_staking_claim_chain_key", "chain_key"),
    Index(
        "uq_staking_claim_pending",
        "pool_id",
        "wallet",
        unique=True,
        sqlite_where=text(PENDING_CLAIM),
        postgresql_where=text(PENDING_CLAIM),
    ),
)
