"""Withdrawals of staking pools and their batches."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"

_POOL_FK = "FOREIGN KEY (pool_id) REFERENCES staking_pool (pool_id)"


def upgrade() -> None:
    connection = op.get_bind()
    amount = "NUMERIC(78, 0)" if connection.dialect.name == "postgresql" else "TEXT"
    for statement in _statements(amount):
        connection.exec_driver_sql(statement)


def _statements(amount: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE staking_batch (id TEXT NOT NULL, pool_id TEXT NOT NULL,"
            " intent_id TEXT NOT NULL, chain_key TEXT NOT NULL, payees INTEGER NOT NULL,"
            f" amount {amount} NOT NULL, created_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_staking_batch PRIMARY KEY (id),"
            f" CONSTRAINT fk_staking_batch_pool_id_staking_pool {_POOL_FK},"
            " CONSTRAINT fk_staking_batch_intent_id_intent FOREIGN KEY (intent_id)"
            " REFERENCES intent (id))"
        ),
        "CREATE UNIQUE INDEX uq_staking_batch_chain_key ON staking_batch (chain_key)",
        "CREATE INDEX ix_staking_batch_pool_id ON staking_batch (pool_id, id)",
        (
            "CREATE TABLE staking_withdrawal (id TEXT NOT NULL, pool_id TEXT NOT NULL,"
            f" wallet TEXT NOT NULL, amount {amount} NOT NULL, state TEXT NOT NULL,"
            " reason TEXT NOT NULL, batch_id TEXT, reserved BOOLEAN NOT NULL,"
            " hold INTEGER NOT NULL, tx_hash TEXT, block_number BIGINT,"
            " requested_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL, finished_ms BIGINT,"
            " CONSTRAINT pk_staking_withdrawal PRIMARY KEY (id),"
            f" CONSTRAINT fk_staking_withdrawal_pool_id_staking_pool {_POOL_FK},"
            " CONSTRAINT fk_staking_withdrawal_batch_id_staking_batch FOREIGN KEY (batch_id)"
            " REFERENCES staking_batch (id))"
        ),
        "CREATE INDEX ix_staking_withdrawal_wallet ON staking_withdrawal (wallet, id)",
        "CREATE INDEX ix_staking_withdrawal_state ON staking_withdrawal (pool_id, state, id)",
        "CREATE INDEX ix_staking_withdrawal_batch_id ON staking_withdrawal (batch_id)",
        (
            "CREATE UNIQUE INDEX uq_staking_withdrawal_pending ON staking_withdrawal"
            " (pool_id, wallet) WHERE state = 'pending'"
        ),
    )
