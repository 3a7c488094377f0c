"""Events of a stretch of time or of a rare kind, without looking at all that came before."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.execute("CREATE INDEX ix_staking_event_time ON staking_event (pool_id, block_time_s, seq)")
    op.execute(
        "CREATE INDEX ix_staking_event_kind ON staking_event (pool_id, kind, seq)"
        " WHERE balance IS NULL"
    )
