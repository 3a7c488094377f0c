"""Published events: what happened, written in the transaction in which it happened.

Readers remember the last id they saw. So ids must appear in the order of
their commits: on PostgreSQL, where a transaction with a smaller id could
otherwise commit later and be missed, publishers queue on an advisory lock
from their first event to their commit. Publish last, therefore, and publish
little.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, delete, insert, select

from millpond.clock import Clock
from millpond.store.engine import Store, Tx
from millpond.store.sql import any_of
from millpond.store.types import JsonText, metadata

KEPT_MS = 30 * 24 * 3_600_000
"""How long an event can be read: 30 days."""

events = Table(
    "event",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "topic", "id"),
    Index(None, "at_ms"),
    sqlite_autoincrement=True,
)

_LOCK_KEY = 0x6D6C706E_65767401
"""Advisory lock of publishers; an arbitrary number, the same everywhere."""

MAX_PAGE = 10_000
"""Most events read or pruned in one call."""


class Event(msgspec.Struct, frozen=True):
    """Something that was published.

    Attributes:
        id: Grows in the order of commits; gaps mean nothing.
        topic: What kind of thing.
        payload: A JSON document.
        at_ms: When it was published, Unix milliseconds.
    """

    id: int
    topic: str
    payload: dict[str, Any]
    at_ms: int


async def publish(tx: Tx, topic: str, payload: dict[str, Any], *, now_ms: int) -> int:
    """Write an event that readers see when, and only if, the transaction commits.

    Returns:
        The event's id.
    """
    assert topic, "an event has a topic"
    if tx.dialect.name == "postgresql":
        await tx.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (_LOCK_KEY,))
    row = insert(events).values(topic=topic, payload=payload, at_ms=now_ms)
    return int((await tx.execute(row.returning(events.c.id))).scalar_one())


async def read_events(
    tx: Tx, *, after: int, topics: Collection[str] | None = None, limit: int = 100
) -> list[Event]:
    """Events behind `after`, oldest first, of these topics or of all."""
    assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} events"
    query = select(events).where(events.c.id > after).order_by(events.c.id).limit(limit)
    if topics is not None:
        query = query.where(any_of(tx, events.c.topic, topics))
    return [Event(*row) for row in await tx.execute(query)]


async def last_event_id(tx: Tx) -> int:
    """Id of the newest event; 0 if there is none: where a new reader starts."""
    query = select(events.c.id).order_by(events.c.id.desc()).limit(1)
    return int((await tx.execute(query)).scalar() or 0)


async def prune_events(tx: Tx, *, before_ms: int, limit: int = MAX_PAGE) -> int:
    """Delete up to `limit` of the oldest events published before `before_ms`.

    Returns:
        How many were deleted.
    """
    assert 0 < limit <= MAX_PAGE, f"at most {MAX_PAGE} events are pruned at once"
    oldest = select(events.c.id).where(events.c.at_ms < before_ms).order_by(events.c.id)
    gone = await tx.execute(delete(events).where(events.c.id.in_(oldest.limit(limit))))
    return int(gone.rowcount)


class EventPruner:
    """Drops events that nobody can want any more, so that the table stays bounded."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run_once(self) -> bool:
        """Drop one page of what is older than `KEPT_MS`; True if there may be more."""
        async with self._store.begin() as tx:
            gone = await prune_events(tx, before_ms=self._clock.now_ms() - KEPT_MS)
        return gone == MAX_PAGE
