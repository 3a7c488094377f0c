"""The read models of the mining pools, written as the API's answers."""

from millpond.api.reads.pool_reads import PoolReads

__all__ = ["PoolReads"]
