"""Published events."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        key = "id BIGSERIAL NOT NULL"
        primary = ", CONSTRAINT pk_event PRIMARY KEY (id)"
    else:
        # AUTOINCREMENT: an id that was pruned away must not come again.
        key = "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"
        primary = ""
    connection.exec_driver_sql(
        f"CREATE TABLE event ({key}, topic TEXT NOT NULL, payload TEXT NOT NULL,"
        f" at_ms BIGINT NOT NULL{primary})"
    )
    connection.exec_driver_sql("CREATE INDEX ix_event_topic_id ON event (topic, id)")
    connection.exec_driver_sql("CREATE INDEX ix_event_at_ms ON event (at_ms)")
