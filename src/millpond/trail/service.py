"""Writing, reading and checking the trail."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import insert, select, update

from millpond.clock import Clock
from millpond.store import Tx
from millpond.store.sql import insert_or_ignore
from millpond.trail.chain import GENESIS, Entry, Fault, entry_hash, faults_of
from millpond.trail.tables import trail_entry_table, trail_head_table

_T = trail_entry_table
_HEAD = trail_head_table
_ONE = 1

MAX_PAGE = 1000
"""Most entries read in one call."""


class Trail:
    """The one trail of the platform."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def record(
        self,
        tx: Tx,
        actor: str,
        action: str,
        subject: str,
        *,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
        reason: str = "",
    ) -> Entry:
        """Append an entry; it is there if and only if the transaction commits.

        Writers of the trail wait for each other from here to their commits, so
        do this late in a transaction.

        Args:
            tx: The transaction that does what is recorded.
            actor: Who.
            action: What, in words joined by dots.
            subject: To what.
            before: JSON of what was changed, as it was; amounts as decimal text.
            after: The same, as it is now.
            reason: Why.
        """
        assert actor, "somebody did it"
        assert action, "something was done"
        seq, previous = await self._locked_head(tx)
        blank = Entry(
            seq=seq + 1,
            at_ms=self._clock.now_ms(),
            actor=actor,
            action=action,
            subject=subject,
            before=_plain(before),
            after=_plain(after),
            reason=reason,
            previous=previous,
            hash="",
        )
        entry = msgspec.structs.replace(blank, hash=entry_hash(blank))
        await tx.execute(insert(_T).values(msgspec.structs.asdict(entry)))
        moved = update(_HEAD).where(_HEAD.c.id == _ONE)
        await tx.execute(moved.values(seq=entry.seq, hash=entry.hash))
        return entry

    async def read(
        self,
        tx: Tx,
        *,
        subject: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Entry]:
        """Entries, newest first; `before` is the last `seq` of the page before."""
        assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} entries"
        query = select(_T).order_by(_T.c.seq.desc()).limit(limit)
        exact = {_T.c.subject: subject, _T.c.actor: actor, _T.c.action: action}
        for column, value in exact.items():
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(_T.c.seq < before)
        return [Entry(**row) for row in (await tx.execute(query)).mappings()]

    async def verify(self, tx: Tx, *, anchor: tuple[int, str] | None = None) -> list[Fault]:
        """Recompute the whole chain; an empty list means that all is well.

        Args:
            tx: A transaction.
            anchor: `seq` and hash of an entry as somebody kept it outside, which
                the chain must still contain: who can write the database's files
                can write a new chain, but not one with that entry in it.
        """
        faults: list[Fault] = []
        seq, last = 0, GENESIS
        seen_anchor = anchor is None
        while page := await self._page(tx, seq):
            faults += faults_of(page, after=seq, previous=last)
            seen_anchor |= any((entry.seq, entry.hash) == anchor for entry in page)
            seq, last = page[-1].seq, page[-1].hash
        head = await self.head(tx)
        if head != (seq, last):
            faults.append(Fault(head[0], "cut", f"the newest entry was {head[0]}, now it is {seq}"))
        if not seen_anchor:
            assert anchor is not None, "only an anchor can be missed"
            faults.append(Fault(anchor[0], "changed", f"entry {anchor[0]} is not the anchored one"))
        return faults

    async def head(self, tx: Tx) -> tuple[int, str]:
        """`seq` and hash of the newest entry, to be kept outside as an anchor."""
        query = select(_HEAD.c.seq, _HEAD.c.hash).where(_HEAD.c.id == _ONE)
        row = (await tx.execute(query)).first()
        return (0, GENESIS) if row is None else (row.seq, row.hash)

    async def _locked_head(self, tx: Tx) -> tuple[int, str]:
        query = select(_HEAD.c.seq, _HEAD.c.hash).where(_HEAD.c.id == _ONE).with_for_update()
        row = (await tx.execute(query)).first()
        if row is None:
            first = insert_or_ignore(tx, _HEAD).values(id=_ONE, seq=0, hash=GENESIS)
            await tx.execute(first)
            row = (await tx.execute(query)).one()
        return row.seq, row.hash

    async def _page(self, tx: Tx, after: int) -> list[Entry]:
        query = select(_T).where(_T.c.seq > after).order_by(_T.c.seq).limit(MAX_PAGE)
        return [Entry(**row) for row in (await tx.execute(query)).mappings()]


def _plain(document: dict[str, Any] | None) -> dict[str, Any]:
    """As it will be read back: what has another form in JSON gets it before it is hashed."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document or {}))
    return plain
