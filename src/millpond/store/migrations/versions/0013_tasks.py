"""Periodic tasks."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"

_STATEMENTS = (
    (
        "CREATE TABLE task (name TEXT NOT NULL, interval_ms BIGINT NOT NULL,"
        " jitter_ms BIGINT NOT NULL, next_ms BIGINT NOT NULL, last_lag_ms BIGINT NOT NULL,"
        " holder TEXT, lease_until_ms BIGINT, fence BIGINT NOT NULL, requested_ms BIGINT,"
        " requested_by TEXT NOT NULL, last_start_ms BIGINT, last_end_ms BIGINT,"
        " last_ok_ms BIGINT, last_result TEXT NOT NULL, last_error TEXT NOT NULL,"
        " runs BIGINT NOT NULL, failures BIGINT NOT NULL, failing INTEGER NOT NULL,"
        " CONSTRAINT pk_task PRIMARY KEY (name))"
    ),
    "CREATE INDEX ix_task_next_ms ON task (next_ms)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
