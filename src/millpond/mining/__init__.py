"""The mining pool: from a miner's socket to a confirmed payout.

A share goes `stratum → work → sharelog → answer`; from the share log `folds`
makes statistics, `blocks` follows what was found and credits it by the pure
functions of `rewards`, and `payouts` sends what is owed. `edge` and `worker`
put these together into the two long-running parts. Never imports another
pool.
"""
