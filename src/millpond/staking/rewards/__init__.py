"""Rewards of staking pools: epochs, weights, statements, claims, and their proof.

`engine`, `merkle`, `statement`, `events` and `verify` decide and touch
nothing; the rest reads and writes rows and the ledger. Promises: an epoch is
closed once, out of what was funded by its end; what is shared out is exact, with
every fraction carried; and whoever has the chain's events comes to the same
figures and the same Merkle root. See docs/staking-rewards.md.
"""
