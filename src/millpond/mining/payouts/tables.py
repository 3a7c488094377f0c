"""Tables of payouts: the payouts, their batches, the settings of addresses."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text, text

from millpond.store import BigInt, metadata

OPEN = "state NOT IN ('settled', 'failed')"
"""A payout that is under way."""

payout_batch_table = Table(
    "payout_batch",
    metadata,
    Column("id", Text, primary_key=True),
    Column("coin", Text, nullable=False),
    Column("intent_id", Text, ForeignKey("intent.id"), nullable=False),
    Column("fee_policy", Text, nullable=False),
    Column("payouts", Integer, nullable=False),
    Column("amount", BigInt, nullable=False),
    Column("fee", BigInt, nullable=False),
    Column("txid", Text),
    Column("created_ms", BigInteger, nullable=False),
)

payout_table = Table(
    "payout",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pool_id", Text, nullable=False),
    Column("coin", Text, nullable=False),
    Column("wallet", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("amount", BigInt, nullable=False),
    Column("fee", BigInt, nullable=False),
    Column("fee_policy", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("batch_id", Text, ForeignKey("payout_batch.id")),
    Column("txid", Text),
    Column("confirmations", BigInteger, nullable=False),
    Column("requested_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("settled_ms", BigInteger),
    Index("ix_payout_wallet_id", "wallet", "id"),
    Index("ix_payout_pool_id_id", "pool_id", "id"),
    Index("ix_payout_batch_id", "batch_id"),
    Index("ix_payout_txid", "txid"),
    Index("ix_payout_coin_state", "coin", "state"),
    Index(
        "uq_payout_open",
        "coin",
        "wallet",
        unique=True,
        sqlite_where=text(OPEN),
        postgresql_where=text(OPEN),
    ),
)

payout_setting_table = Table(
    "payout_setting",
    metadata,
    Column("coin", Text, primary_key=True),
    Column("wallet", Text, primary_key=True),
    Column("threshold", BigInt),
    Column("automatic", Boolean, nullable=False),
    Column("schedule", Text, nullable=False),
    Column("fee_policy", Text),
    Column("address", Text),
    Column("new_address", Text),
    Column("new_address_ms", BigInteger),
    Column("last_automatic_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)
