"""Alerts that a person should see."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"

_STATEMENTS = (
    (
        "CREATE TABLE alert (id TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,"
        " severity TEXT NOT NULL, message TEXT NOT NULL, details TEXT NOT NULL,"
        " count BIGINT NOT NULL, first_ms BIGINT NOT NULL, last_ms BIGINT NOT NULL,"
        " acknowledged_by TEXT, acknowledged_ms BIGINT, cleared_ms BIGINT,"
        " CONSTRAINT pk_alert PRIMARY KEY (id))"
    ),
    "CREATE INDEX ix_alert_kind_id ON alert (kind, id)",
    "CREATE INDEX ix_alert_cleared_ms ON alert (cleared_ms)",
    "CREATE UNIQUE INDEX uq_alert_open ON alert (kind, subject) WHERE cleared_ms IS NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
