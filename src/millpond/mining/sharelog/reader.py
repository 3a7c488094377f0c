"""Reading the share log: for folds in order, for windows backwards, for receipts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select

from millpond.mining.sharelog.codec import GENESIS_HASH, decode, verify_hash
from millpond.mining.sharelog.records import DecodedGroup, Group, Position, Receipt
from millpond.mining.sharelog.tables import TABLES, candidates, groups
from millpond.store import Store, metadata

_CHUNK = 256
"""Groups fetched at a time; a group is at most a few hundred kilobytes."""

_MAX_LOOKED_AT = 20_000
"""Groups that a search for receipts goes through."""


class Fault(NamedTuple):
    """A place where the log is not what it was."""

    edge: str
    sequence: int
    reason: str


class Verified(NamedTuple):
    """What a check of the whole chain found."""

    groups: int
    shares: int
    heads: dict[str, tuple[int, str]]
    faults: list[Fault]


class Candidate(NamedTuple):
    """A block that a share found, as it went to the daemons."""

    block_hash: str
    pool_id: str
    edge: str
    height: int
    worker: str
    found_ms: int
    block: bytes
    state: str
    result: str
    updated_ms: int


class CandidateHead(NamedTuple):
    """That a block was found, and when."""

    block_hash: str
    found_ms: int


class ShareLogReader:
    """Reads the log in a database; any number may, in any process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    async def open(cls, url: str) -> ShareLogReader:
        """Open the log at `url` (as `sharelog.url`), making its tables when missing."""
        store = await Store.open(url)
        async with store.begin() as tx:
            await tx.run_sync(lambda c: metadata.create_all(c, tables=list(TABLES)))
        return cls(store)

    async def close(self) -> None:
        """Close the connections."""
        await self._store.close()

    async def head(self, pool_id: str) -> Position | None:
        """Position of the newest group, None if the pool has no shares yet."""
        query = _of_pool(pool_id).order_by(groups.c.position.desc()).limit(1)
        found = await self._fetch(query)
        return decode(*found[0]).position if found else None

    async def groups(
        self, pool_id: str, after: Position | None, limit: int = 1000
    ) -> list[DecodedGroup]:
        """The groups that follow the one `after` stands in, oldest first.

        A fold keeps the `position` of the last group it took in as its
        checkpoint. No group ever appears before one that was read already.
        """
        query = _of_pool(pool_id).order_by(groups.c.position).limit(limit)
        if after is not None:
            query = query.where(groups.c.position > after.group)
        return [decode(*row) for row in await self._fetch(query)]

    async def groups_before(self, pool_id: str, upto: Position) -> AsyncIterator[DecodedGroup]:
        """Groups from the one `upto` stands in back to the oldest.

        The first one is whole: `newest_first(upto.share)` leaves out what
        follows the position.
        """
        below = upto.group + 1
        while True:
            query = _of_pool(pool_id).where(groups.c.position < below)
            rows = await self._fetch(query.order_by(groups.c.position.desc()).limit(_CHUNK))
            for row in rows:
                yield decode(*row)
            if len(rows) < _CHUNK:
                return
            below = rows[-1][0]

    async def shares_before(
        self, pool_id: str, upto: Position
    ) -> AsyncIterator[list[tuple[str, int]]]:
        """(worker, difficulty) from the share at `upto`, included, to the oldest, by group."""
        async for group in self.groups_before(pool_id, upto):
            last = upto.share if group.position.group == upto.group else None
            yield list(group.newest_first(last))

    async def receipts(
        self, pool_id: str, worker: str, *, limit: int = 100, since_ms: int = 0
    ) -> list[Receipt]:
        """The newest receipts of a worker, or of all workers of a bare wallet.

        Looks through the newest groups only, 20,000 at most.
        """
        found: list[Receipt] = []
        head = await self.head(pool_id)
        if head is None:
            return found
        looked_at = 0
        async for group in self.groups_before(pool_id, head):
            looked_at += 1
            late = group.group.last_ms < since_ms or looked_at > _MAX_LOOKED_AT
            if late or len(found) >= limit:
                break
            found.extend(_receipts_in(group, worker))
        return found[:limit]

    async def verify(self, pool_id: str, edge: str | None = None) -> Verified:
        """Recompute every hash and follow every chain from its first group."""
        heads: dict[str, tuple[int, bytes]] = {}
        faults: list[Fault] = []
        total = shares = after = 0
        while True:
            query = _of_pool(pool_id).where(groups.c.position > after)
            if edge is not None:
                query = query.where(groups.c.edge == edge)
            rows = await self._fetch(query.order_by(groups.c.position).limit(_CHUNK))
            for position, group in rows:
                after = position
                total += 1
                shares += group.shares
                reason = _fault(group, heads.get(group.edge, (0, GENESIS_HASH)))
                if reason:
                    faults.append(Fault(group.edge, group.sequence, reason))
                heads[group.edge] = (group.sequence, group.hash)
            if len(rows) < _CHUNK:
                return Verified(
                    total, shares, {e: (n, h.hex()) for e, (n, h) in heads.items()}, faults
                )

    async def block_candidates(
        self, pool_id: str, *, states: tuple[str, ...] = (), limit: int = 100
    ) -> list[Candidate]:
        """Blocks found, newest first, with the whole block."""
        query = select(candidates).where(candidates.c.pool_id == pool_id)
        if states:
            query = query.where(candidates.c.state.in_(states))
        async with self._store.read() as tx:
            rows = await tx.execute(query.order_by(candidates.c.found_ms.desc()).limit(limit))
            return [Candidate(*row) for row in rows]

    async def candidate_heads(
        self,
        pool_id: str,
        *,
        hashes: Collection[str] | None = None,
        before_ms: int | None = None,
        limit: int = 200,
    ) -> list[CandidateHead]:
        """Names and times of the blocks found, newest first, without the blocks.

        Args:
            pool_id: The pool.
            hashes: Only these.
            before_ms: Only those found before.
            limit: At most so many.
        """
        c = candidates.c
        query = select(c.block_hash, c.found_ms).where(c.pool_id == pool_id)
        if hashes is not None:
            query = query.where(c.block_hash.in_(list(hashes)))
        if before_ms is not None:
            query = query.where(c.found_ms < before_ms)
        async with self._store.read() as tx:
            rows = await tx.execute(query.order_by(c.found_ms.desc()).limit(limit))
            return [CandidateHead(*row) for row in rows]

    async def candidate(self, block_hash: str) -> Candidate | None:
        """One block found, with the whole block."""
        query = select(candidates).where(candidates.c.block_hash == block_hash)
        async with self._store.read() as tx:
            row = (await tx.execute(query)).first()
            return None if row is None else Candidate(*row)

    async def count(self, pool_id: str) -> int:
        """Credited shares in the log."""
        query = select(func.coalesce(func.sum(groups.c.shares), 0))
        async with self._store.read() as tx:
            return int((await tx.execute(query.where(groups.c.pool_id == pool_id))).scalar_one())

    async def _fetch(self, query: Select[Any]) -> list[tuple[int, Group]]:
        async with self._store.read() as tx:
            return [(row[0], Group(*row[1:])) for row in await tx.execute(query)]


def _of_pool(pool_id: str) -> Select[Any]:
    c = groups.c
    return select(
        c.position,
        c.pool_id,
        c.edge,
        c.sequence,
        c.first_ms,
        c.last_ms,
        c.shares,
        c.payload,
        c.previous_hash,
        c.hash,
    ).where(c.pool_id == pool_id)


def _fault(group: Group, head: tuple[int, bytes]) -> str:
    sequence, previous = head
    if group.sequence != sequence + 1:
        return f"follows group {sequence}"
    if group.previous_hash != previous:
        return "names another group before it"
    if not verify_hash(group):
        return "is not what its hash says"
    return ""


def _receipts_in(group: DecodedGroup, worker: str) -> list[Receipt]:
    prefix = worker + "."
    wanted = {
        index
        for index, name in enumerate(group.workers)
        if name == worker or name.startswith(prefix)
    }
    if not wanted:
        return []
    stored = group.group
    return [
        Receipt(
            stored.edge,
            stored.sequence,
            stored.hash.hex(),
            index,
            stored.first_ms + row[0],
            row[3],
            Position(group.position.group, index),
        )
        for index, row in reversed(list(enumerate(group.rows)))
        if row[1] in wanted
    ]
