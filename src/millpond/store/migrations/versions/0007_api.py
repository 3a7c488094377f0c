"""Nonces and sessions of the identity room; answers kept for repeated requests."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

_STATEMENTS = (
    (
        "CREATE TABLE identity_nonce (id VARCHAR(64) NOT NULL, purpose VARCHAR(16) NOT NULL,"
        " wallet VARCHAR(128) NOT NULL, expires_ms BIGINT NOT NULL, used_ms BIGINT,"
        " CONSTRAINT pk_identity_nonce PRIMARY KEY (id))"
    ),
    "CREATE INDEX ix_identity_nonce_expires_ms ON identity_nonce (expires_ms)",
    (
        "CREATE TABLE identity_session (id VARCHAR(64) NOT NULL, wallet VARCHAR(128) NOT NULL,"
        " pool_id VARCHAR(64) NOT NULL, created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL,"
        " CONSTRAINT pk_identity_session PRIMARY KEY (id))"
    ),
    "CREATE INDEX ix_identity_session_expires_ms ON identity_session (expires_ms)",
    (
        "CREATE TABLE api_idempotency (id VARCHAR(64) NOT NULL, body_sha256 VARCHAR(64) NOT NULL,"
        " status INTEGER NOT NULL, answer TEXT NOT NULL, expires_ms BIGINT NOT NULL,"
        " CONSTRAINT pk_api_idempotency PRIMARY KEY (id))"
    ),
    "CREATE INDEX ix_api_idempotency_expires_ms ON api_idempotency (expires_ms)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
