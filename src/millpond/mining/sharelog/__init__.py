"""The durable, hash-chained log of shares: what a miner was told is what it holds.

Shares are appended in groups, one row a group, in an SQLite file of its own or
in PostgreSQL; a group names the hash of the group before it, so nothing can be
changed or left out unseen. One process writes for a (pool, edge); any number
read. Knows the store and nothing of sockets, jobs or money. Promises: a share
whose commit was reported is found again after any crash; a group whose commit
failed or is unknown is resolved before the next is written.
"""

from millpond.mining.sharelog.records import (
    BlockMark,
    DecodedGroup,
    Group,
    Position,
    Receipt,
    RejectCount,
    RejectedShare,
    RejectReason,
    Share,
)

__all__ = [
    "BlockMark",
    "DecodedGroup",
    "Group",
    "Position",
    "Receipt",
    "RejectCount",
    "RejectReason",
    "RejectedShare",
    "Share",
]
