"""Payouts, their batches, the payout settings of addresses."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    connection = op.get_bind()
    amount = "NUMERIC(78, 0)" if connection.dialect.name == "postgresql" else "TEXT"
    for statement in _statements(amount):
        connection.exec_driver_sql(statement)


def _statements(amount: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE payout_batch (id TEXT NOT NULL, coin TEXT NOT NULL,"
            " intent_id TEXT NOT NULL, fee_policy TEXT NOT NULL, payouts INTEGER NOT NULL,"
            f" amount {amount} NOT NULL, fee {amount} NOT NULL, txid TEXT,"
            " created_ms BIGINT NOT NULL, CONSTRAINT pk_payout_batch PRIMARY KEY (id),"
            " CONSTRAINT fk_payout_batch_intent_id_intent FOREIGN KEY (intent_id)"
            " REFERENCES intent (id))"
        ),
        (
            "CREATE TABLE payout (id TEXT NOT NULL, pool_id TEXT NOT NULL, coin TEXT NOT NULL,"
            f" wallet TEXT NOT NULL, address TEXT NOT NULL, amount {amount} NOT NULL,"
            f" fee {amount} NOT NULL, fee_policy TEXT NOT NULL, origin TEXT NOT NULL,"
            " state TEXT NOT NULL, reason TEXT NOT NULL, batch_id TEXT, txid TEXT,"
            " confirmations BIGINT NOT NULL, requested_ms BIGINT NOT NULL,"
            " updated_ms BIGINT NOT NULL, settled_ms BIGINT,"
            " CONSTRAINT pk_payout PRIMARY KEY (id),"
            " CONSTRAINT fk_payout_batch_id_payout_batch FOREIGN KEY (batch_id)"
            " REFERENCES payout_batch (id))"
        ),
        "CREATE INDEX ix_payout_wallet_id ON payout (wallet, id)",
        "CREATE INDEX ix_payout_pool_id_id ON payout (pool_id, id)",
        "CREATE INDEX ix_payout_batch_id ON payout (batch_id)",
        "CREATE INDEX ix_payout_txid ON payout (txid)",
        "CREATE INDEX ix_payout_coin_state ON payout (coin, state)",
        (
            "CREATE UNIQUE INDEX uq_payout_open ON payout (coin, wallet)"
            " WHERE state NOT IN ('settled', 'failed')"
        ),
        (
            "CREATE TABLE payout_setting (coin TEXT NOT NULL, wallet TEXT NOT NULL,"
            f" threshold {amount}, automatic BOOLEAN NOT NULL, schedule TEXT NOT NULL,"
            " fee_policy TEXT, address TEXT, new_address TEXT, new_address_ms BIGINT,"
            " last_automatic_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_payout_setting PRIMARY KEY (coin, wallet))"
        ),
    )
