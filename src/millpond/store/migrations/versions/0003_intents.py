"""Intents, their events, superseded bodies and lanes."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    connection = op.get_bind()
    blob = "BYTEA" if connection.dialect.name == "postgresql" else "BLOB"
    for statement in _statements(blob):
        connection.exec_driver_sql(statement)


def _statements(blob: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE intent (id TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,"
            " payload TEXT NOT NULL, lane TEXT NOT NULL, state TEXT NOT NULL,"
            f" body {blob}, identity TEXT, details TEXT NOT NULL, depth BIGINT NOT NULL,"
            " round INTEGER NOT NULL, sends INTEGER NOT NULL, tries INTEGER NOT NULL,"
            " version INTEGER NOT NULL, fence BIGINT NOT NULL, locked_by TEXT, locked_ms BIGINT,"
            " lease_until_ms BIGINT, due_ms BIGINT NOT NULL, expires_ms BIGINT,"
            " reason TEXT NOT NULL, frozen_from TEXT, created_ms BIGINT NOT NULL,"
            " entered_ms BIGINT NOT NULL, asked_ms BIGINT NOT NULL, refused TEXT NOT NULL,"
            " CONSTRAINT pk_intent PRIMARY KEY (id), CONSTRAINT uq_intent_kind_key UNIQUE (kind, key),"
            " CONSTRAINT uq_intent_kind_identity UNIQUE (kind, identity))"
        ),
        "CREATE INDEX ix_intent_state_due_ms ON intent (state, due_ms)",
        "CREATE INDEX ix_intent_kind_created_ms ON intent (kind, created_ms)",
        (
            "CREATE TABLE intent_event (intent_id TEXT NOT NULL, seq INTEGER NOT NULL,"
            " from_state TEXT, to_state TEXT NOT NULL, at_ms BIGINT NOT NULL, actor TEXT NOT NULL,"
            " reason TEXT NOT NULL, CONSTRAINT pk_intent_event PRIMARY KEY (intent_id, seq),"
            " CONSTRAINT fk_intent_event_intent_id_intent FOREIGN KEY (intent_id)"
            " REFERENCES intent (id))"
        ),
        "CREATE INDEX ix_intent_event_at_ms ON intent_event (at_ms)",
        (
            "CREATE TABLE intent_superseded (intent_id TEXT NOT NULL, round INTEGER NOT NULL,"
            f" body {blob} NOT NULL, identity TEXT NOT NULL, details TEXT NOT NULL,"
            " sends INTEGER NOT NULL, at_ms BIGINT NOT NULL, reason TEXT NOT NULL,"
            " CONSTRAINT pk_intent_superseded PRIMARY KEY (intent_id, round),"
            " CONSTRAINT fk_intent_superseded_intent_id_intent FOREIGN KEY (intent_id)"
            " REFERENCES intent (id))"
        ),
        (
            "CREATE TABLE intent_lane (lane TEXT NOT NULL, intent_id TEXT,"
            " CONSTRAINT pk_intent_lane PRIMARY KEY (lane),"
            " CONSTRAINT fk_intent_lane_intent_id_intent FOREIGN KEY (intent_id)"
            " REFERENCES intent (id))"
        ),
    )
