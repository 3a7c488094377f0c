"""Statistics folded from the share log, which can be thrown away and rebuilt.

`Fold` reads groups of the share log behind its checkpoint and adds them to
slices of a minute, an hour and a day for each worker and each pool, all in
one transaction with the new checkpoint, so that every group counts exactly
once. Rooms above hang themselves in as folders and take part in the same
transaction. `queries` answers what the API and the pages ask. May touch the
store and the share log, no money and no daemon. Promises: folding again from
the beginning gives the same figures. See docs/blocks.md.
"""
