"""The table of operations."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text

from millpond.store import metadata

operation_table = Table(
    "evm_operation",
    metadata,
    Column("key", Text, primary_key=True),
    Column("group", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("chain_id", BigInteger, nullable=False),
    Column("signer", Text, nullable=False),
    Column("target", Text),
    Column("artifact", Text, nullable=False),
    Column("intent_id", Text, ForeignKey("intent.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("contract", Text),
    Column("tx_hash", Text),
    Column("block_number", BigInteger),
    Column("gas_used", BigInteger),
    Column("reason", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Index("uq_evm_operation_intent_id", "intent_id", unique=True),
    Index("ix_evm_operation_group", "group", "created_ms"),
)
