"""A share log written by hand, group by group, in the format of the real one."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert

from millpond.mining.sharelog import Position, RejectReason
from millpond.mining.sharelog.builder import GroupBuilder
from millpond.mining.sharelog.codec import GENESIS_HASH
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.mining.sharelog.records import Job
from millpond.mining.sharelog.tables import TABLES, groups
from millpond.store import Store, metadata

POOL = "dev-main"


@dataclass
class HandLog:
    """Writes groups of one edge into a database."""

    store: Store
    pool_id: str = POOL
    edge: str = "edge-1"
    sequence: int = 0
    head: bytes = GENESIS_HASH
    positions: list[Position] = field(default_factory=list)

    @classmethod
    async def make(cls, store: Store, **names: Any) -> "HandLog":
        async with store.begin() as tx:
            await tx.run_sync(lambda c: metadata.create_all(c, tables=list(TABLES)))
        return cls(store, **names)

    @property
    def reader(self) -> ShareLogReader:
        return ShareLogReader(self.store)

    async def group(self, shares=(), rejects=()) -> Position:
        """Add one group.

        Args:
            shares: `(ms, worker, height, network difficulty, difficulty, bits[, block hash,
                coinbase value])`.
            rejects: `(ms, worker, reason, difficulty[, evidence])`.
        """
        builder = GroupBuilder()
        for ms, worker, height, network, difficulty, bits, *block in shares:
            builder.add(ms, worker, Job(height, network), difficulty, bits)
            if block:
                builder.mark_block(block[0], height, block[1], network, ms)
        for ms, worker, reason, difficulty, *evidence in rejects:
            proof = evidence[0] if evidence else b""
            builder.reject(ms, worker, RejectReason(reason), difficulty, proof)
        self.sequence += 1
        group = builder.finish(self.pool_id, self.edge, self.sequence, self.head)
        row = {
            "pool_id": self.pool_id,
            "edge": self.edge,
            "sequence": group.sequence,
            "first_ms": group.first_ms,
            "last_ms": group.last_ms,
            "shares": group.shares,
            "previous_hash": group.previous_hash,
            "hash": group.hash,
            "payload": group.payload,
        }
        async with self.store.begin() as tx:
            added = await tx.execute(insert(groups).values(row).returning(groups.c.position))
            place = added.scalar_one()
        self.head = group.hash
        position = Position(place, group.shares - 1)
        self.positions.append(position)
        return position
