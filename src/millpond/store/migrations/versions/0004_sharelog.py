"""The share log's tables, for a log in the pool's own database."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    connection = op.get_bind()
    # The writer and readers make these tables too, where the log lives in a
    # database of its own; the migration may therefore find them there.
    if connection.dialect.name == "postgresql":
        key = "position BIGSERIAL NOT NULL"
        primary = ", CONSTRAINT pk_sharelog_group PRIMARY KEY (position)"
        blob = "BYTEA"
    else:
        key = "position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"
        primary = ""
        blob = "BLOB"
    connection.exec_driver_sql(
        f"CREATE TABLE IF NOT EXISTS sharelog_group ({key}, pool_id TEXT NOT NULL,"
        " edge TEXT NOT NULL, sequence BIGINT NOT NULL, first_ms BIGINT NOT NULL,"
        " last_ms BIGINT NOT NULL, shares INTEGER NOT NULL,"
        f" previous_hash {blob} NOT NULL, hash {blob} NOT NULL, payload {blob} NOT NULL{primary},"
        " CONSTRAINT uq_sharelog_group_pool_id_edge_sequence UNIQUE (pool_id, edge, sequence))"
    )
    connection.exec_driver_sql(
        "CREATE TABLE IF NOT EXISTS sharelog_candidate (block_hash TEXT NOT NULL,"
        " pool_id TEXT NOT NULL, edge TEXT NOT NULL, height BIGINT NOT NULL,"
        f" worker TEXT NOT NULL, found_ms BIGINT NOT NULL, block {blob} NOT NULL,"
        " state TEXT NOT NULL, result TEXT NOT NULL, updated_ms BIGINT NOT NULL,"
        " CONSTRAINT pk_sharelog_candidate PRIMARY KEY (block_hash))"
    )
    connection.exec_driver_sql(
        "CREATE INDEX IF NOT EXISTS ix_sharelog_candidate_pool_id_state"
        " ON sharelog_candidate (pool_id, state)"
    )
