"""Staking pools, the indexer's checkpoint, positions."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"

_POOL_FK = "FOREIGN KEY (pool_id) REFERENCES staking_pool (pool_id)"


def upgrade() -> None:
    connection = op.get_bind()
    amount = "NUMERIC(78, 0)" if connection.dialect.name == "postgresql" else "TEXT"
    for statement in (*_pools(amount), *_chain(amount), *_history(amount)):
        connection.exec_driver_sql(statement)


def _pools(amount: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE staking_asset (code TEXT NOT NULL, symbol TEXT NOT NULL,"
            " decimals INTEGER NOT NULL, chain_id BIGINT NOT NULL, token TEXT NOT NULL,"
            " CONSTRAINT pk_staking_asset PRIMARY KEY (code))"
        ),
        "CREATE UNIQUE INDEX uq_staking_asset_token ON staking_asset (chain_id, token)",
        (
            "CREATE TABLE staking_pool (pool_id TEXT NOT NULL, kind TEXT NOT NULL,"
            " chain_id BIGINT NOT NULL, asset TEXT NOT NULL, share TEXT, contract TEXT NOT NULL,"
            " rewards_contract TEXT, start_block BIGINT NOT NULL, confirmations INTEGER NOT NULL,"
            f" reward_per_minute {amount} NOT NULL, epoch_s BIGINT NOT NULL,"
            " epoch_zero_s BIGINT NOT NULL, weight_ppm INTEGER NOT NULL,"
            f" min_withdrawal {amount} NOT NULL, state TEXT NOT NULL, created_ms BIGINT NOT NULL,"
            " updated_ms BIGINT NOT NULL, CONSTRAINT pk_staking_pool PRIMARY KEY (pool_id),"
            " CONSTRAINT fk_staking_pool_asset_staking_asset FOREIGN KEY (asset)"
            " REFERENCES staking_asset (code),"
            " CONSTRAINT fk_staking_pool_share_staking_asset FOREIGN KEY (share)"
            " REFERENCES staking_asset (code))"
        ),
        "CREATE INDEX ix_staking_pool_chain_id ON staking_pool (chain_id)",
        "CREATE UNIQUE INDEX uq_staking_pool_contract ON staking_pool (chain_id, contract)",
        (
            "CREATE UNIQUE INDEX uq_staking_pool_rewards_contract"
            " ON staking_pool (chain_id, rewards_contract)"
        ),
    )


def _chain(amount: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE staking_event (pool_id TEXT NOT NULL, seq BIGINT NOT NULL,"
            " block_number BIGINT NOT NULL, block_hash TEXT NOT NULL,"
            " block_time_s BIGINT NOT NULL, tx_hash TEXT NOT NULL, log_index INTEGER NOT NULL,"
            " ordinal INTEGER NOT NULL, round INTEGER NOT NULL, kind TEXT NOT NULL,"
            f" wallet TEXT NOT NULL, amount {amount} NOT NULL, balance {amount},"
            " details TEXT NOT NULL, state TEXT NOT NULL,"
            " CONSTRAINT pk_staking_event PRIMARY KEY (pool_id, seq),"
            f" CONSTRAINT fk_staking_event_pool_id_staking_pool {_POOL_FK})"
        ),
        "CREATE INDEX ix_staking_event_wallet ON staking_event (pool_id, wallet, seq)",
        "CREATE INDEX ix_staking_event_state ON staking_event (pool_id, state, block_number)",
        "CREATE INDEX ix_staking_event_tx_hash ON staking_event (tx_hash)",
        (
            "CREATE TABLE staking_position (pool_id TEXT NOT NULL, wallet TEXT NOT NULL,"
            f" balance {amount} NOT NULL, seen {amount} NOT NULL, staked INTEGER NOT NULL,"
            " since_s BIGINT NOT NULL, seq BIGINT NOT NULL,"
            " CONSTRAINT pk_staking_position PRIMARY KEY (pool_id, wallet),"
            f" CONSTRAINT fk_staking_position_pool_id_staking_pool {_POOL_FK})"
        ),
        "CREATE INDEX ix_staking_position_wallet ON staking_position (wallet)",
        "CREATE INDEX ix_staking_position_staked ON staking_position (pool_id, staked)",
        (
            "CREATE TABLE staking_checkpoint (pool_id TEXT NOT NULL, chain_id BIGINT NOT NULL,"
            " number BIGINT NOT NULL, block_hash TEXT NOT NULL, block_time_s BIGINT NOT NULL,"
            " trail TEXT NOT NULL, booked_number BIGINT NOT NULL, booked_time_s BIGINT NOT NULL,"
            " head BIGINT NOT NULL, last_seq BIGINT NOT NULL, events BIGINT NOT NULL,"
            f" total_seen {amount} NOT NULL, reorgs INTEGER NOT NULL, stopped TEXT NOT NULL, updated_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_staking_checkpoint PRIMARY KEY (pool_id),"
            f" CONSTRAINT fk_staking_checkpoint_pool_id_staking_pool {_POOL_FK})"
        ),
    )


def _history(amount: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE staking_history (pool_id TEXT NOT NULL, at_ms BIGINT NOT NULL,"
            f" tvl {amount} NOT NULL, stakers INTEGER NOT NULL, total_shares {amount} NOT NULL,"
            f" reward_per_minute {amount} NOT NULL, apr_ppm {amount} NOT NULL,"
            f" apy_ppm {amount} NOT NULL,"
            " CONSTRAINT pk_staking_history PRIMARY KEY (pool_id, at_ms),"
            f" CONSTRAINT fk_staking_history_pool_id_staking_pool {_POOL_FK})"
        ),
    )
