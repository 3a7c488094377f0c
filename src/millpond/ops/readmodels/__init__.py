"""What the API and the pages show, read from the rooms' own queries.

The API states what it needs as a port (`millpond.api.ports`) and knows no
table; the rooms answer in their own terms. This package translates.
"""

from millpond.ops.readmodels.pools import PoolReads, PoolView
from millpond.ops.readmodels.writes import PoolWrites

__all__ = ["PoolReads", "PoolView", "PoolWrites"]
