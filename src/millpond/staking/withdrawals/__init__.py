"""Paying stakers out of their stake, once.

A request reserves in the ledger; requests go together into batches; a batch
is one intent, whose transaction pays each user out of the user's own balance
in the pool's contract. Whether somebody was paid is decided by the chain: the
indexer books the payment when its event is confirmed, and nothing else does.
See docs/staking.md.
"""
