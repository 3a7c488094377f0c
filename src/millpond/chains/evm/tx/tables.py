"""Tables of EVM transactions: signers, nonces, attempts, proposals of a Safe."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from millpond.store import BigInt, metadata

evm_signer_table = Table(
    "evm_signer",
    metadata,
    Column("chain_id", BigInteger, primary_key=True),
    Column("signer", Text, primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
)

evm_nonce_table = Table(
    "evm_nonce",
    metadata,
    Column("chain_id", BigInteger, primary_key=True),
    Column("signer", Text, primary_key=True),
    Column("nonce", BigInteger, primary_key=True),
    Column("intent_id", Text, ForeignKey("intent.id"), unique=True),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    ForeignKeyConstraint(["chain_id", "signer"], ["evm_signer.chain_id", "evm_signer.signer"]),
    Index("ix_evm_nonce_chain_id_state", "chain_id", "signer", "state"),
)

evm_attempt_table = Table(
    "evm_attempt",
    metadata,
    Column("id", Text, primary_key=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("signer", Text, nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("intent_id", Text, ForeignKey("intent.id")),
    Column("tx_hash", Text, nullable=False, unique=True),
    Column("raw", LargeBinary, nullable=False),
    Column("to_address", Text),
    Column("value", BigInt, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("max_fee", BigInt, nullable=False),
    Column("max_priority_fee", BigInt, nullable=False),
    Column("state", Text, nullable=False),
    Column("sends", Integer, nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("sent_ms", BigInteger),
    UniqueConstraint("chain_id", "signer", "nonce", "attempt"),
    ForeignKeyConstraint(
        ["chain_id", "signer", "nonce"],
        ["evm_nonce.chain_id", "evm_nonce.signer", "evm_nonce.nonce"],
    ),
)

evm_proposal_table = Table(
    "evm_proposal",
    metadata,
    Column("id", Text, primary_key=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("safe", Text, nullable=False),
    Column("safe_nonce", BigInteger, nullable=False),
    Column("safe_tx_hash", Text, nullable=False, unique=True),
    Column("body", LargeBinary, nullable=False),
    Column("title", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("threshold", Integer, nullable=False),
    Column("intent_id", Text, ForeignKey("intent.id")),
    Column("tx_hash", Text),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Index("ix_evm_proposal_chain_id_safe", "chain_id", "safe", "safe_nonce"),
)

evm_proposal_signature_table = Table(
    "evm_proposal_signature",
    metadata,
    Column("proposal_id", Text, ForeignKey("evm_proposal.id"), primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("signature", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)
