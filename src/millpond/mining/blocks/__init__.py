"""A block's life: found, on the chain or not, credited, mature or orphaned.

Blocks come into being when the share log is folded (`Rounds`). `Blocks`
compares each open one with the chain, submits again what no daemon knows, and
books what the reward scheme of the pool decides: pending while the coinbase
is immature, posted when it is mature, void when the chain goes another way.
May touch the store, the ledger, the share log and a daemon. Promises: each
transition is one database transaction with its bookings and its event, and
repeats to the same result; while no daemon answers nothing changes. See
docs/blocks.md.
"""
