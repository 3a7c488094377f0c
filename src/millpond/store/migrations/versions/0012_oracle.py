"""Prices as they were read."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    connection = op.get_bind()
    amount = "NUMERIC(78, 0)" if connection.dialect.name == "postgresql" else "TEXT"
    for statement in _statements(amount):
        connection.exec_driver_sql(statement)


def _statements(amount: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE oracle_price (id TEXT NOT NULL, asset TEXT NOT NULL,"
            f" quote TEXT NOT NULL, value_e18 {amount} NOT NULL, source TEXT NOT NULL,"
            " readings TEXT NOT NULL, at_ms BIGINT NOT NULL, checked_ms BIGINT NOT NULL,"
            " fresh_until_ms BIGINT NOT NULL, degraded BOOLEAN NOT NULL, reason TEXT NOT NULL,"
            " CONSTRAINT pk_oracle_price PRIMARY KEY (id))"
        ),
        "CREATE INDEX ix_oracle_price_pair ON oracle_price (asset, quote, checked_ms, id)",
        "CREATE INDEX ix_oracle_price_checked_ms ON oracle_price (checked_ms)",
        (
            "CREATE TABLE oracle_pair (asset TEXT NOT NULL, quote TEXT NOT NULL,"
            " problem TEXT NOT NULL, failing_ms BIGINT, read_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_oracle_pair PRIMARY KEY (asset, quote))"
        ),
        (
            "CREATE TABLE oracle_source (asset TEXT NOT NULL, quote TEXT NOT NULL,"
            f" source TEXT NOT NULL, decimals INTEGER, value_e18 {amount}, at_ms BIGINT,"
            " good_ms BIGINT, problem TEXT NOT NULL, message TEXT NOT NULL,"
            " failures BIGINT NOT NULL, read_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_oracle_source PRIMARY KEY (asset, quote, source))"
        ),
    )
