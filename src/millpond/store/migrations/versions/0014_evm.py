"""Signers, nonces, attempts and proposals on EVM chains."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    connection = op.get_bind()
    postgresql = connection.dialect.name == "postgresql"
    blob, amount = ("BYTEA", "NUMERIC(78, 0)") if postgresql else ("BLOB", "TEXT")
    for statement in _statements(blob, amount):
        connection.exec_driver_sql(statement)


def _statements(blob: str, amount: str) -> tuple[str, ...]:
    return (
        (
            "CREATE TABLE evm_signer (chain_id BIGINT NOT NULL, signer TEXT NOT NULL,"
            " created_ms BIGINT NOT NULL, CONSTRAINT pk_evm_signer PRIMARY KEY (chain_id, signer))"
        ),
        (
            "CREATE TABLE evm_nonce (chain_id BIGINT NOT NULL, signer TEXT NOT NULL,"
            " nonce BIGINT NOT NULL, intent_id TEXT, state TEXT NOT NULL, note TEXT NOT NULL,"
            " created_ms BIGINT NOT NULL, changed_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_evm_nonce PRIMARY KEY (chain_id, signer, nonce),"
            " CONSTRAINT uq_evm_nonce_intent_id UNIQUE (intent_id),"
            " CONSTRAINT fk_evm_nonce_intent_id_intent FOREIGN KEY (intent_id)"
            " REFERENCES intent (id),"
            " CONSTRAINT fk_evm_nonce_chain_id_signer_evm_signer FOREIGN KEY (chain_id, signer)"
            " REFERENCES evm_signer (chain_id, signer))"
        ),
        "CREATE INDEX ix_evm_nonce_chain_id_state ON evm_nonce (chain_id, signer, state)",
        (
            "CREATE TABLE evm_attempt (id TEXT NOT NULL, chain_id BIGINT NOT NULL,"
            " signer TEXT NOT NULL, nonce BIGINT NOT NULL, attempt INTEGER NOT NULL,"
            f" intent_id TEXT, tx_hash TEXT NOT NULL, raw {blob} NOT NULL, to_address TEXT,"
            f" value {amount} NOT NULL, data {blob} NOT NULL, gas BIGINT NOT NULL,"
            f" max_fee {amount} NOT NULL, max_priority_fee {amount} NOT NULL,"
            " state TEXT NOT NULL, sends INTEGER NOT NULL, answer TEXT NOT NULL,"
            " created_ms BIGINT NOT NULL, sent_ms BIGINT,"
            " CONSTRAINT pk_evm_attempt PRIMARY KEY (id),"
            " CONSTRAINT uq_evm_attempt_tx_hash UNIQUE (tx_hash),"
            " CONSTRAINT uq_evm_attempt_chain_id_signer_nonce_attempt UNIQUE (chain_id, signer, nonce, attempt),"
            " CONSTRAINT fk_evm_attempt_intent_id_intent FOREIGN KEY (intent_id)"
            " REFERENCES intent (id),"
            " CONSTRAINT fk_evm_attempt_chain_id_signer_nonce_evm_nonce"
            " FOREIGN KEY (chain_id, signer, nonce)"
            " REFERENCES evm_nonce (chain_id, signer, nonce))"
        ),
        (
            "CREATE TABLE evm_proposal (id TEXT NOT NULL, chain_id BIGINT NOT NULL,"
            " safe TEXT NOT NULL, safe_nonce BIGINT NOT NULL, safe_tx_hash TEXT NOT NULL,"
            f" body {blob} NOT NULL, title TEXT NOT NULL, actor TEXT NOT NULL,"
            " state TEXT NOT NULL, reason TEXT NOT NULL, threshold INTEGER NOT NULL,"
            " intent_id TEXT, tx_hash TEXT, created_ms BIGINT NOT NULL,"
            " changed_ms BIGINT NOT NULL, CONSTRAINT pk_evm_proposal PRIMARY KEY (id),"
            " CONSTRAINT uq_evm_proposal_safe_tx_hash UNIQUE (safe_tx_hash),"
            " CONSTRAINT fk_evm_proposal_intent_id_intent FOREIGN KEY (intent_id)"
            " REFERENCES intent (id))"
        ),
        "CREATE INDEX ix_evm_proposal_chain_id_safe ON evm_proposal (chain_id, safe, safe_nonce)",
        (
            "CREATE TABLE evm_proposal_signature (proposal_id TEXT NOT NULL, owner TEXT NOT NULL,"
            f" signature {blob} NOT NULL, created_ms BIGINT NOT NULL,"
            " CONSTRAINT pk_evm_proposal_signature PRIMARY KEY (proposal_id, owner),"
            " CONSTRAINT fk_evm_proposal_signature_proposal_id_evm_proposal"
            " FOREIGN KEY (proposal_id) REFERENCES evm_proposal (id))"
        ),
    )
