"""What was asked of the platform apart from what people did by their own transactions."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    connection = op.get_bind()
    amount = "NUMERIC(78, 0)" if connection.dialect.name == "postgresql" else "TEXT"
    # Which of the older ones were asked for nobody wrote down: they count as they did.
    for statement in (
        "ALTER TABLE risk_flow ADD COLUMN asked BOOLEAN DEFAULT true NOT NULL",
        f"ALTER TABLE risk_sum ADD COLUMN asked_out {amount} DEFAULT '0' NOT NULL",
        "UPDATE risk_sum SET asked_out = money_out",
    ):
        connection.exec_driver_sql(statement)
