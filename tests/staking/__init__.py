"""Staking: pools, the indexer, positions, withdrawals, audit."""
