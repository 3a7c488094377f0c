"""Tables of the staking pools: pools, indexed events, positions, checkpoints, history."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, text

from millpond.store import BigInt, metadata
from millpond.store.types import JsonText

asset_table = Table(
    "staking_asset",
    metadata,
    Column("code", Text, primary_key=True),
    Column("symbol", Text, nullable=False),
    Column("decimals", Integer, nullable=False),
    Column("chain_id", BigInteger, nullable=False),
    Column("token", Text, nullable=False),
    Index("uq_staking_asset_token", "chain_id", "token", unique=True),
)

pool_table = Table(
    "staking_pool",
    metadata,
    Column("pool_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("chain_id", BigInteger, nullable=False),
    Column("asset", Text, ForeignKey("staking_asset.code"), nullable=False),
    Column("share", Text, ForeignKey("staking_asset.code")),
    Column("contract", Text, nullable=False),
    Column("rewards_contract", Text),
    Column("start_block", BigInteger, nullable=False),
    Column("confirmations", Integer, nullable=False),
    Column("reward_per_minute", BigInt, nullable=False),
    Column("epoch_s", BigInteger, nullable=False),
    Column("epoch_zero_s", BigInteger, nullable=False),
    Column("weight_ppm", Integer, nullable=False),
    Column("min_withdrawal", BigInt, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("ix_staking_pool_chain_id", "chain_id"),
    Index("uq_staking_pool_contract", "chain_id", "contract", unique=True),
    Index("uq_staking_pool_rewards_contract", "chain_id", "rewards_contract", unique=True),
)

NO_POSITION = "balance IS NULL"
"""Events that move nobody's position: few among many."""

event_table = Table(
    "staking_event",
    metadata,
    Column("pool_id", Text, ForeignKey("staking_pool.pool_id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("block_number", BigInteger, nullable=False),
    Column("block_hash", Text, nullable=False),
    Column("block_time_s", BigInteger, nullable=False),
    Column("tx_hash", Text, nullable=False),
    Column("log_index", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("wallet", Text, nullable=False),
    Column("amount", BigInt, nullable=False),
    Column("balance", BigInt),
    Column("details", JsonText, nullable=False),
    Column("state", Text, nullable=False),
    Index("ix_staking_event_wallet", "pool_id", "wallet", "seq"),
    Index("ix_staking_event_state", "pool_id", "state", "block_number"),
    Index("ix_staking_event_tx_hash", "tx_hash"),
    Index("ix_staking_event_time", "pool_id", "block_time_s", "seq"),
    Index(
        "ix_staking_event_kind",
        "pool_id",
        "kind",
        "seq",
        sqlite_where=text(NO_POSITION),
        postgresql_where=text(NO_POSITION),
    ),
)

position_table = Table(
    "staking_position",
    metadata,
    Column("pool_id", Text, ForeignKey("staking_pool.pool_id"), primary_key=True),
    Column("wallet", Text, primary_key=True),
    Column("balance", BigInt, nullable=False),
    Column("seen", BigInt, nullable=False),
    Column("staked", Integer, nullable=False),
    Column("since_s", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Index("ix_staking_position_wallet", "wallet"),
    Index("ix_staking_position_staked", "pool_id", "staked"),
)

checkpoint_table = Table(
    "staking_checkpoint",
    metadata,
    Column("pool_id", Text, ForeignKey("staking_pool.pool_id"), primary_key=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("block_hash", Text, nullable=False),
    Column("block_time_s", BigInteger, nullable=False),
    Column("trail", JsonText, nullable=False),
    Column("booked_number", BigInteger, nullable=False),
    Column("booked_time_s", BigInteger, nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("total_seen", BigInt, nullable=False),
    Column("reorgs", Integer, nullable=False),
    Column("stopped", Text, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)

history_table = Table(
    "staking_history",
    metadata,
    Column("pool_id", Text, ForeignKey("staking_pool.pool_id"), primary_key=True),
    Column("at_ms", BigInteger, primary_key=True),
    Column("tvl", BigInt, nullable=False),
    Column("stakers", Integer, nullable=False),
    Column("total_shares", BigInt, nullable=False),
    Column("reward_per_minute", BigInt, nullable=False),
    Column("apr_ppm", BigInt, nullable=False),
    Column("apy_ppm", BigInt, nullable=False),
)
