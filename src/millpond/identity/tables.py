"""Tables of the identity room."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table

from millpond.store import metadata

nonces = Table(
    "identity_nonce",
    metadata,
    # SHA-256 of purpose, wallet and nonce: fixed size whatever a client sends.
    Column("id", String(64), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("wallet", String(128), nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=True),
    Index("ix_identity_nonce_expires_ms", "expires_ms"),
)

sessions = Table(
    "identity_session",
    metadata,
    # SHA-256 of the token; the token itself is never stored.
    Column("id", String(64), primary_key=True),
    Column("wallet", String(128), nullable=False),
    Column("pool_id", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("ix_identity_session_expires_ms", "expires_ms"),
)
