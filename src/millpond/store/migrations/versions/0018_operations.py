"""Transactions that a person ordered."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute(
        'CREATE TABLE evm_operation (key TEXT NOT NULL, "group" TEXT NOT NULL,'
        " what TEXT NOT NULL, chain_id BIGINT NOT NULL, signer TEXT NOT NULL, target TEXT,"
        " artifact TEXT NOT NULL, intent_id TEXT NOT NULL, attempt INTEGER NOT NULL, state TEXT NOT NULL, contract TEXT,"
        " tx_hash TEXT, block_number BIGINT, gas_used BIGINT, reason TEXT NOT NULL,"
        " created_ms BIGINT NOT NULL, ended_ms BIGINT,"
        " CONSTRAINT pk_evm_operation PRIMARY KEY (key),"
        " CONSTRAINT fk_evm_operation_intent_id_intent FOREIGN KEY (intent_id)"
        " REFERENCES intent (id))"
    )
    op.execute("CREATE UNIQUE INDEX uq_evm_operation_intent_id ON evm_operation (intent_id)")
    op.execute('CREATE INDEX ix_evm_operation_group ON evm_operation ("group", created_ms)')
