"""Table of answers kept for repeated requests."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from millpond.store import metadata

idempotency = Table(
    "api_idempotency",
    metadata,
    # SHA-256 of who asked, what and with which key.
    Column("id", String(64), primary_key=True),
    Column("body_sha256", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("answer", Text, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("ix_api_idempotency_expires_ms", "expires_ms"),
)
