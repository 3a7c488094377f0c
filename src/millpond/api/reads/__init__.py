"""The read models of the mining pools, written as the API's answers.

Only reads, in the transaction it is given; every list has a bound.
"""

from millpond.api.reads.pool_reads import PoolReads

__all__ = ["PoolReads"]
