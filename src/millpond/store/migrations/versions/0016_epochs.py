"""Epochs, snapshots, statements, weights, claims."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"

_POOL_FK = "FOREIGN KEY (pool_id) REFERENCES staking_pool (pool_id)"


def upgrade() -> None:
    connection = op.get_bind()
    amount = "NUMERIC(78, 0)" if connection.dialect.name == "postgresql" else "TEXT"
    for statement in (*_epochs(amount), *_claims(amount)):
        connection.exec_driver_sql(statement)


def _epochs(amount: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE staking_terms (pool_id TEXT NOT NULL, from_epoch BIGINT NOT NULL,"
            f" emission TEXT NOT NULL, reward_per_minute {amount} NOT NULL,"
            " weight_ppm INTEGER NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL,"
            " at_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_staking_terms PRIMARY KEY (pool_id, from_epoch),"
            f" CONSTRAINT fk_staking_terms_pool_id_staking_pool {_POOL_FK})"
        ),
        "CREATE INDEX ix_staking_terms_emission ON staking_terms (emission)",
        (
            "CREATE TABLE staking_epoch (pool_id TEXT NOT NULL, epoch BIGINT NOT NULL,"
            " number BIGINT NOT NULL, start_s BIGINT NOT NULL, end_s BIGINT NOT NULL,"
            f" state TEXT NOT NULL, note TEXT NOT NULL, reward_per_minute {amount} NOT NULL,"
            f" weight_ppm INTEGER NOT NULL, fundings TEXT NOT NULL, funded {amount} NOT NULL,"
            f" staked_s BIGINT NOT NULL, weight {amount} NOT NULL, wanted {amount} NOT NULL,"
            f" pot {amount} NOT NULL, emitted {amount} NOT NULL, carry {amount} NOT NULL,"
            f" distributed {amount} NOT NULL, cumulative {amount} NOT NULL,"
            " accounts INTEGER NOT NULL, changes BIGINT NOT NULL, changes_sha256 TEXT NOT NULL,"
            " root TEXT NOT NULL, previous TEXT NOT NULL, statement_hash TEXT NOT NULL,"
            " intent_id TEXT, closed_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_staking_epoch PRIMARY KEY (pool_id, epoch),"
            f" CONSTRAINT fk_staking_epoch_pool_id_staking_pool {_POOL_FK})"
        ),
        "CREATE UNIQUE INDEX uq_staking_epoch_number ON staking_epoch (pool_id, number)",
        (
            "CREATE TABLE staking_snapshot (pool_id TEXT NOT NULL, epoch BIGINT NOT NULL,"
            f" wallet TEXT NOT NULL, weight {amount} NOT NULL, earned {amount} NOT NULL,"
            f" cumulative {amount} NOT NULL, fraction {amount} NOT NULL,"
            " CONSTRAINT pk_staking_snapshot PRIMARY KEY (pool_id, epoch, wallet))"
        ),
        "CREATE INDEX ix_staking_snapshot_wallet ON staking_snapshot (wallet, pool_id, epoch)",
        (
            "CREATE TABLE staking_reward_run (pool_id TEXT NOT NULL, last_run_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_staking_reward_run PRIMARY KEY (pool_id),"
            f" CONSTRAINT fk_staking_reward_run_pool_id_staking_pool {_POOL_FK})"
        ),
    )


def _claims(amount: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE staking_claim (id TEXT NOT NULL, pool_id TEXT NOT NULL,"
            f" wallet TEXT NOT NULL, amount {amount} NOT NULL, state TEXT NOT NULL,"
            " reason TEXT NOT NULL, chain_key TEXT, reserved BOOLEAN NOT NULL,"
            " hold INTEGER NOT NULL, tx_hash TEXT, requested_ms BIGINT NOT NULL,"
            " updated_ms BIGINT NOT NULL, finished_ms BIGINT,"
            " CONSTRAINT pk_staking_claim PRIMARY KEY (id),"
            f" CONSTRAINT fk_staking_claim_pool_id_staking_pool {_POOL_FK})"
        ),
        "CREATE INDEX ix_staking_claim_wallet ON staking_claim (wallet, id)",
        "CREATE INDEX ix_staking_claim_state ON staking_claim (pool_id, state, id)",
        "CREATE INDEX ix_staking_claim_chain_key ON staking_claim (chain_key)",
        (
            "CREATE UNIQUE INDEX uq_staking_claim_pending ON staking_claim (pool_id, wallet)"
            " WHERE state = 'pending'"
        ),
    )
