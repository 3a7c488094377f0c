"""Prices as they were confirmed, and how each source is doing."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from millpond.store import BigInt, JsonText, metadata

price_table = Table(
    "oracle_price",
    metadata,
    Column("id", Text, primary_key=True),
    Column("asset", Text, nullable=False),
    Column("quote", Text, nullable=False),
    Column("value_e18", BigInt, nullable=False),
    Column("source", Text, nullable=False),
    Column("readings", JsonText, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("checked_ms", BigInteger, nullable=False),
    Column("fresh_until_ms", BigInteger, nullable=False),
    Column("degraded", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_oracle_price_pair", "asset", "quote", "checked_ms", "id"),
    Index("ix_oracle_price_checked_ms", "checked_ms"),
)

pair_table = Table(
    "oracle_pair",
    metadata,
    Column("asset", Text, primary_key=True),
    Column("quote", Text, primary_key=True),
    # Why the last round confirmed no price; empty if it did.
    Column("problem", Text, nullable=False),
    Column("failing_ms", BigInteger),
    Column("read_ms", BigInteger, nullable=False),
)

source_table = Table(
    "oracle_source",
    metadata,
    Column("asset", Text, primary_key=True),
    Column("quote", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    # As the source first said when its price counted; another number later is a fault.
    Column("decimals", Integer),
    Column("value_e18", BigInt),
    Column("at_ms", BigInteger),
    Column("good_ms", BigInteger),
    Column("problem", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("read_ms", BigInteger, nullable=False),
)
