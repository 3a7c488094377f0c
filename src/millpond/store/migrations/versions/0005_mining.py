"""Folds, blocks, rounds, shares paid as they come, and receipts of the wallet."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

_ZERO = "BIGINT DEFAULT '0' NOT NULL"
_SUMS = (
    ", ".join(
        f"{name} {_ZERO}"
        for name in (
            *("accepted", "stale", "rejected"),
            *("accepted_hi", "accepted_lo", "stale_hi", "stale_lo", "rejected_hi", "rejected_lo"),
        )
    )
    + ", best_bits BIGINT DEFAULT '4294967295' NOT NULL"
)
_SLICE = "size_s INTEGER NOT NULL, start_s BIGINT NOT NULL"


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        key, big, end = "SERIAL", "NUMERIC(78, 0)", ""
    else:
        key, big, end = "INTEGER", "TEXT", " WITHOUT ROWID"
    for statement in (*_folds(key, big, end), *_blocks(big)):
        connection.exec_driver_sql(statement)


def _folds(key: str, big: str, end: str) -> tuple[str, ...]:
    return (
        (
            f"CREATE TABLE mining_worker (id {key} NOT NULL, pool_id TEXT NOT NULL,"
            " worker TEXT NOT NULL, wallet TEXT NOT NULL, first_share_ms BIGINT NOT NULL,"
            f" last_share_ms BIGINT NOT NULL, difficulty {big} NOT NULL,"
            " best_bits BIGINT NOT NULL, CONSTRAINT pk_mining_worker PRIMARY KEY (id))"
        ),
        "CREATE UNIQUE INDEX ux_mining_worker ON mining_worker (pool_id, worker)",
        "CREATE INDEX ix_mining_worker_wallet ON mining_worker (wallet)",
        "CREATE INDEX ix_mining_worker_seen ON mining_worker (pool_id, last_share_ms)",
        (
            f"CREATE TABLE worker_slice (worker_id INTEGER NOT NULL, {_SLICE}, {_SUMS},"
            f" CONSTRAINT pk_worker_slice PRIMARY KEY (worker_id, size_s, start_s)){end}"
        ),
        "CREATE INDEX ix_worker_slice_start ON worker_slice (size_s, start_s)",
        (
            f"CREATE TABLE pool_slice (pool_id TEXT NOT NULL, {_SLICE}, {_SUMS},"
            f" CONSTRAINT pk_pool_slice PRIMARY KEY (pool_id, size_s, start_s)){end}"
        ),
        (
            f"CREATE TABLE reject_slice (worker_id INTEGER NOT NULL, {_SLICE},"
            f" reason TEXT NOT NULL, count {_ZERO}, sum_hi {_ZERO}, sum_lo {_ZERO},"
            " CONSTRAINT pk_reject_slice PRIMARY KEY (worker_id, size_s, start_s, reason))"
            f"{end}"
        ),
        (
            "CREATE TABLE fold_checkpoint (pool_id TEXT NOT NULL, fold TEXT NOT NULL,"
            " position BIGINT NOT NULL, group_hash TEXT NOT NULL, groups BIGINT NOT NULL,"
            " shares BIGINT NOT NULL, updated_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_fold_checkpoint PRIMARY KEY (pool_id, fold))"
        ),
        (
            "CREATE TABLE pool_state (pool_id TEXT NOT NULL, height BIGINT NOT NULL,"
            f" network_difficulty {big} NOT NULL, last_share_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_pool_state PRIMARY KEY (pool_id))"
        ),
    )


def _blocks(big: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE block (block_hash TEXT NOT NULL, pool_id TEXT NOT NULL,"
            " coin TEXT NOT NULL, height BIGINT NOT NULL, worker TEXT NOT NULL,"
            " found_ms BIGINT NOT NULL, position BIGINT NOT NULL, share_index INTEGER NOT NULL,"
            f" adopted BOOLEAN NOT NULL, network_difficulty {big} NOT NULL,"
            f" reward {big} NOT NULL, round BIGINT NOT NULL, round_shares BIGINT NOT NULL,"
            f" effort {big} NOT NULL, state TEXT NOT NULL, reason TEXT DEFAULT '' NOT NULL,"
            " confirmations INTEGER DEFAULT '0' NOT NULL, required INTEGER NOT NULL,"
            " submissions INTEGER DEFAULT '0' NOT NULL, credit TEXT DEFAULT 'none' NOT NULL,"
            " credit_round INTEGER DEFAULT '0' NOT NULL, terms TEXT, basis TEXT,"
            " state_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_block PRIMARY KEY (block_hash))"
        ),
        "CREATE INDEX ix_block_pool ON block (pool_id, height)",
        "CREATE INDEX ix_block_found ON block (pool_id, found_ms)",
        "CREATE INDEX ix_block_state ON block (pool_id, state)",
        (
            "CREATE TABLE block_line (block_hash TEXT NOT NULL, credit_round INTEGER NOT NULL,"
            f" kind TEXT NOT NULL, wallet TEXT NOT NULL, weight {big} NOT NULL,"
            f" amount {big} NOT NULL, transfer_id TEXT NOT NULL,"
            " CONSTRAINT pk_block_line PRIMARY KEY (block_hash, credit_round, kind, wallet),"
            " CONSTRAINT fk_block_line_block_hash_block FOREIGN KEY (block_hash)"
            " REFERENCES block (block_hash))"
        ),
        "CREATE INDEX ix_block_line_wallet ON block_line (wallet)",
        (
            "CREATE TABLE mining_round (pool_id TEXT NOT NULL, number BIGINT NOT NULL,"
            f" started_ms BIGINT NOT NULL, shares BIGINT NOT NULL, effort {big} NOT NULL,"
            " CONSTRAINT pk_mining_round PRIMARY KEY (pool_id))"
        ),
        (
            "CREATE TABLE pps_account (pool_id TEXT NOT NULL, wallet TEXT NOT NULL,"
            f" paid {big} NOT NULL, carry {big} NOT NULL,"
            " CONSTRAINT pk_pps_account PRIMARY KEY (pool_id, wallet))"
        ),
        (
            "CREATE TABLE wallet_receipt (coin TEXT NOT NULL, outpoint TEXT NOT NULL,"
            f" amount {big} NOT NULL, category TEXT NOT NULL, transfer_id TEXT NOT NULL,"
            " booked_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_wallet_receipt PRIMARY KEY (coin, outpoint))"
        ),
        (
            "CREATE TABLE wallet_anchor (coin TEXT NOT NULL, height BIGINT NOT NULL,"
            " block_hash TEXT NOT NULL, CONSTRAINT pk_wallet_anchor PRIMARY KEY (coin))"
        ),
    )
