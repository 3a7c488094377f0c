"""The terms by which shares were bought."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE pps_terms (pool_id TEXT NOT NULL, position BIGINT NOT NULL,"
        " until BIGINT NOT NULL, terms TEXT NOT NULL,"
        " CONSTRAINT pk_pps_terms PRIMARY KEY (pool_id, position))"
    )
