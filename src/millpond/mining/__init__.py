"""The mining pool: from a miner's socket to a confirmed payout.

A share goes `stratum → work → sharelog → answer`; from the share log `folds`
makes statistics, `blocks` follows what was found and credits it by the pure
functions of `rewards`, and `payouts` sends what is owed. `edge` and `worker`
put these together into the two long-running parts. May touch every kernel room
below it and never another kind of pool. Promises: no share that was accepted
is lost, no block is credited twice, no payout is made twice.
"""
