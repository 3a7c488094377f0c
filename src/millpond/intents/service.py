"""Creating intents and reading them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import func, select

from millpond.clock import Clock, Entropy, Ids
from millpond.intents import rows
from millpond.intents.errors import IntentConflictError
from millpond.intents.model import Intent, IntentEvent, IntentState
from millpond.intents.tables import intent_lane_table, intent_table
from millpond.store import Store, Tx
from millpond.store.sql import insert_or_ignore

_C = intent_table.c


class Intents:
    """The intents of one database.

    Args:
        store: Where they are.
        clock: Time.
        ids: Makes their identifiers.
        entropy: Spreads the waits between tries.
    """

    def __init__(self, store: Store, clock: Clock, ids: Ids, entropy: Entropy) -> None:
        self.store = store
        self.clock = clock
        self.ids = ids
        self.entropy = entropy

    async def create(
        self,
        tx: Tx,
        kind: str,
        key: str,
        payload: dict[str, Any],
        *,
        lane: str = rows.NO_LANE,
        expires_ms: int | None = None,
        actor: str = "system",
        reason: str = "asked for",
    ) -> Intent:
        """Write an intent; call it in the transaction that reserves the money.

        Args:
            tx: The transaction.
            kind: Whose handler looks after it.
            key: The business key. The same key and body is answered with the first intent.
            payload: What is to be done, as JSON.
            lane: Only one intent of a lane is between prepare and sent.
            expires_ms: Not sent for the first time after this, Unix milliseconds.
            actor: Who asks.
            reason: Why.

        Raises:
            IntentConflictError: The key was used for another body.
        """
        now_ms = self.clock.now_ms()
        intent = msgspec.structs.replace(
            _blank(self.ids.new(), kind, key, now_ms),
            payload=payload,
            lane=lane,
            expires_ms=expires_ms,
            reason=reason,
        )
        values = msgspec.structs.asdict(intent)
        if lane != rows.NO_LANE:
            await tx.execute(insert_or_ignore(tx, intent_lane_table).values(lane=lane))
        written = await tx.execute(insert_or_ignore(tx, intent_table).values(values))
        if written.rowcount != 1:
            return await self._earlier(tx, intent)
        await rows.add_event(tx, intent, None, at_ms=now_ms, actor=actor)
        return intent

    async def note(self, tx: Tx, intent: Intent, **facts: Any) -> Intent:
        """Add facts to its details; a handler does so in the transaction that settles it.

        Raises:
            LeaseLostError: Somebody else has written the row since `intent` was read.
        """
        return await rows.write(tx, intent, {"details": intent.details | facts})

    async def get(self, tx: Tx, intent_id: str) -> Intent:
        """Read one.

        Raises:
            IntentNotFoundError: There is none.
        """
        return await rows.fetch(tx, intent_id)

    async def by_key(self, tx: Tx, kind: str, key: str) -> Intent | None:
        """Read one by its business key."""
        query = select(intent_table).where(_C.kind == kind, _C.key == key)
        row = (await tx.execute(query)).mappings().first()
        return None if row is None else rows.to_intent(row)

    async def listed(
        self,
        tx: Tx,
        *,
        kind: str | None = None,
        states: Collection[IntentState] | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Intent]:
        """Newest first; `before` is the last identifier of the page before."""
        query = select(intent_table).order_by(_C.id.desc()).limit(limit)
        if kind is not None:
            query = query.where(_C.kind == kind)
        if states is not None:
            query = query.where(_C.state.in_(sorted(states)))
        if before is not None:
            query = query.where(_C.id < before)
        return [rows.to_intent(row) for row in (await tx.execute(query)).mappings()]

    async def events(self, tx: Tx, intent_id: str) -> list[IntentEvent]:
        """All changes of state of one intent, oldest first."""
        return await rows.events_of(tx, intent_id)

    async def counts(self, tx: Tx) -> dict[tuple[str, IntentState], int]:
        """How many there are by kind and state."""
        query = select(_C.kind, _C.state, func.count()).group_by(_C.kind, _C.state)
        return {(kind, IntentState(state)): n for kind, state, n in await tx.execute(query)}

    async def _earlier(self, tx: Tx, intent: Intent) -> Intent:
        earlier = await self.by_key(tx, intent.kind, intent.key)
        assert earlier is not None, "an insert that was ignored has a cause"
        if (earlier.payload, earlier.lane) != (intent.payload, intent.lane):
            raise IntentConflictError("the key was used before for something else", key=intent.key)
        return earlier


def _blank(intent_id: str, kind: str, key: str, now_ms: int) -> Intent:
    return Intent(
        id=intent_id,
        kind=kind,
        key=key,
        payload={},
        lane=rows.NO_LANE,
        state=IntentState.CREATED,
        body=None,
        identity=None,
        details={},
        depth=0,
        round=0,
        sends=0,
        tries=0,
        version=0,
        fence=0,
        locked_by=None,
        locked_ms=None,
        lease_until_ms=None,
        due_ms=now_ms,
        expires_ms=None,
        reason="",
        frozen_from=None,
        created_ms=now_ms,
        entered_ms=now_ms,
        asked_ms=0,
        refused="",
    )
