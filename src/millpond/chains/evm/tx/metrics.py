"""Figures about transactions for the operator's monitoring."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

PENDING = Gauge(
    "millpond_evm_transactions_pending",
    "Nonces that were sent and are in no block yet",
    ["chain_id", "signer"],
)
OLDEST = Gauge(
    "millpond_evm_transactions_oldest_seconds",
    "Age of the oldest nonce that was sent and is in no block yet; 0 when there is none",
    ["chain_id", "signer"],
)
GAPS = Gauge(
    "millpond_evm_nonce_gaps",
    "Nonces without a transaction that hold up later ones",
    ["chain_id", "signer"],
)
REPLACEMENTS = Counter(
    "millpond_evm_replacements_total",
    "Transactions signed again with higher fees",
    ["chain_id", "signer"],
)
FILLERS = Counter(
    "millpond_evm_fillers_total",
    "Transactions signed only to use a nonce up",
    ["chain_id", "signer"],
)
SENDS = Counter(
    "millpond_evm_sends_total",
    "Transactions handed to nodes, by what the nodes said",
    ["chain_id", "verdict"],
)
