"""The edge: everything between the daemons' templates and the miners' sockets.

Puts together the Stratum server, the share log's writer, the making of jobs
and the submission of blocks into one long-running part. Promises: once
started it stays up without a daemon or a database (not ready, and saying
why), hands blocks to every daemon before anything else, and stops without
losing a share that it has acknowledged.
"""

from millpond.mining.edge.address import pool_address
from millpond.mining.edge.metrics import EdgeCollector
from millpond.mining.edge.service import Edge, Snapshot
from millpond.mining.edge.settings import EdgeSettings

__all__ = ["Edge", "EdgeCollector", "EdgeSettings", "Snapshot", "pool_address"]
