"""Limits, flows, holds, violations and last seen rates of the risk engine."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    connection = op.get_bind()
    amount = "NUMERIC(78, 0)" if connection.dialect.name == "postgresql" else "TEXT"
    for statement in _statements(amount):
        connection.exec_driver_sql(statement)


def _statements(amount: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE risk_limit (scope TEXT NOT NULL, asset TEXT NOT NULL,"
            " source TEXT NOT NULL, limits TEXT NOT NULL, paused TEXT NOT NULL, block BIGINT,"
            " updated_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_risk_limit PRIMARY KEY (scope, asset, source))"
        ),
        "CREATE TABLE risk_lock (asset TEXT NOT NULL, CONSTRAINT pk_risk_lock PRIMARY KEY (asset))",
        (
            "CREATE TABLE risk_flow (reference TEXT NOT NULL, at_ms BIGINT NOT NULL,"
            " function TEXT NOT NULL, product TEXT NOT NULL, pool_id TEXT NOT NULL,"
            f" user_id TEXT NOT NULL, asset TEXT NOT NULL, amount {amount} NOT NULL,"
            " returned_ms BIGINT, folded_ms BIGINT, CONSTRAINT pk_risk_flow PRIMARY KEY (reference))"
        ),
        "CREATE INDEX ix_risk_flow_user_id_asset_at_ms ON risk_flow (user_id, asset, at_ms)",
        (
            "CREATE INDEX ix_risk_flow_unfolded ON risk_flow (asset)"
            " WHERE returned_ms IS NOT NULL AND folded_ms IS NULL"
        ),
        "CREATE INDEX ix_risk_flow_at_ms ON risk_flow (at_ms)",
        (
            "CREATE TABLE risk_sum (scope TEXT NOT NULL, asset TEXT NOT NULL,"
            f" span_ms BIGINT NOT NULL, begin_ms BIGINT NOT NULL, money_in {amount} NOT NULL,"
            f" money_out {amount} NOT NULL,"
            " CONSTRAINT pk_risk_sum PRIMARY KEY (scope, asset, span_ms, begin_ms))"
        ),
        "CREATE INDEX ix_risk_sum_begin_ms ON risk_sum (begin_ms)",
        (
            "CREATE TABLE risk_hold (id TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL,"
            " asset TEXT NOT NULL, functions TEXT NOT NULL, reason TEXT NOT NULL,"
            " exits_because TEXT NOT NULL, details TEXT NOT NULL, actor TEXT NOT NULL,"
            " reset_role TEXT NOT NULL, count INTEGER NOT NULL, since_ms BIGINT NOT NULL,"
            " last_ms BIGINT NOT NULL, until_ms BIGINT, ended_ms BIGINT,"
            " ended_by TEXT NOT NULL, end_reason TEXT NOT NULL,"
            " CONSTRAINT pk_risk_hold PRIMARY KEY (id))"
        ),
        (
            "CREATE UNIQUE INDEX uq_risk_hold_open ON risk_hold (kind, scope, asset, functions)"
            " WHERE ended_ms IS NULL"
        ),
        "CREATE INDEX ix_risk_hold_scope_id ON risk_hold (scope, id)",
        (
            "CREATE TABLE risk_violation (id TEXT NOT NULL, at_ms BIGINT NOT NULL,"
            " last_ms BIGINT NOT NULL, count INTEGER NOT NULL, repeat_key TEXT,"
            " function TEXT NOT NULL, product TEXT NOT NULL, pool_id TEXT NOT NULL,"
            f" user_id TEXT NOT NULL, asset TEXT NOT NULL, amount {amount} NOT NULL,"
            " reference TEXT NOT NULL, rule TEXT NOT NULL, scope TEXT NOT NULL,"
            f" limit_units {amount}, used_units {amount}, message TEXT NOT NULL, hold_id TEXT,"
            " CONSTRAINT pk_risk_violation PRIMARY KEY (id),"
            " CONSTRAINT uq_risk_violation_repeat_key UNIQUE (repeat_key))"
        ),
        "CREATE INDEX ix_risk_violation_pool_id_id ON risk_violation (pool_id, id)",
        "CREATE INDEX ix_risk_violation_user_id_id ON risk_violation (user_id, id)",
        "CREATE INDEX ix_risk_violation_product_id ON risk_violation (product, id)",
        "CREATE INDEX ix_risk_violation_at_ms ON risk_violation (at_ms)",
        (
            f"CREATE TABLE risk_rate (scope TEXT NOT NULL, name TEXT NOT NULL, value {amount}"
            " NOT NULL, at_ms BIGINT NOT NULL, CONSTRAINT pk_risk_rate PRIMARY KEY (scope, name))"
        ),
    )
