"""Reading and writing the rows of intents: claims, fenced writes, lanes, events.

Every function takes a `Tx` and never commits.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import RowMapping, and_, insert, or_, select, update

from millpond.intents.errors import IntentNotFoundError, LeaseLostError
from millpond.intents.model import (
    LIVE,
    STRAY_MS,
    Intent,
    IntentEvent,
    IntentState,
    Policy,
    check_transition,
)
from millpond.intents.tables import (
    intent_event_table,
    intent_lane_table,
    intent_superseded_table,
    intent_table,
)
from millpond.store import Tx

_I = intent_table.c
_L = intent_lane_table.c

NO_LANE = ""
"""The lane of intents that may be prepared side by side with any other."""

_CANDIDATES = 4
"""Rows looked at in one claim: the first may lose its lane to another worker."""


def to_intent(row: RowMapping) -> Intent:
    """Make the value of a row."""
    values: dict[str, Any] = dict(row)
    values["state"] = IntentState(values["state"])
    frozen_from = values["frozen_from"]
    values["frozen_from"] = None if frozen_from is None else IntentState(frozen_from)
    return Intent(**values)


async def fetch(tx: Tx, intent_id: str, *, lock: bool = False) -> Intent:
    """Read one intent; with `lock` nobody else writes it until the transaction ends.

    Raises:
        IntentNotFoundError: There is none.
    """
    query = select(intent_table).where(_I.id == intent_id)
    if lock:
        query = query.with_for_update()
    row = (await tx.execute(query)).mappings().first()
    if row is None:
        raise IntentNotFoundError("no intent has that identifier", intent_id=intent_id)
    return to_intent(row)


async def claim(
    tx: Tx,
    kinds: Collection[str],
    worker: str,
    now_ms: int,
    policy: Policy,
    *,
    lanes: str = "",
) -> Intent | None:
    """Take the intent that has waited longest; None when nothing is due.

    With `lanes` only of lanes that begin so. What was written by a clock that was
    ahead and was put right is due, and free: waiting for it would be hours of rest.

    The fence grows with every claim, so that a former holder's writes miss.
    An intent that is not yet signed is only taken together with its lane,
    unless its time is over, so that it needs none.
    """
    query = (
        select(intent_table)
        .outerjoin(intent_lane_table, _L.lane == _I.lane)
        .where(
            _I.kind.in_(sorted(kinds)),
            _I.lane.startswith(lanes, autoescape=True),
            _I.state.in_(sorted(LIVE)),
            or_(_I.due_ms <= now_ms, _I.due_ms > now_ms + policy.longest_ms + STRAY_MS),
            or_(
                _I.lease_until_ms.is_(None),
                _I.lease_until_ms <= now_ms,
                _I.locked_ms > now_ms + STRAY_MS,
            ),
            or_(
                _I.state != IntentState.CREATED,
                _L.lane.is_(None),
                _L.intent_id.is_(None),
                _L.intent_id == _I.id,
                _I.expires_ms <= now_ms,
            ),
        )
        .order_by(_I.due_ms, _I.id)
        .limit(_CANDIDATES)
        .with_for_update(of=intent_table, skip_locked=True)
    )
    for row in (await tx.execute(query)).mappings().all():
        intent = to_intent(row)
        unsigned = intent.state is IntentState.CREATED and not intent.expired(now_ms)
        if unsigned and not await _take_lane(tx, intent):
            continue
        return await write(
            tx,
            intent,
            {
                "locked_by": worker,
                "locked_ms": now_ms,
                "lease_until_ms": now_ms + policy.lease_ms,
                "fence": intent.fence + 1,
                "tries": intent.tries + 1,
            },
        )
    return None


async def write(tx: Tx, intent: Intent, values: dict[str, Any]) -> Intent:
    """Write columns of a row that nobody has written or claimed since `intent` was read.

    Raises:
        LeaseLostError: Somebody has.
    """
    result = await tx.execute(
        update(intent_table)
        .where(_I.id == intent.id, _I.fence == intent.fence, _I.version == intent.version)
        .values(**values)
    )
    if result.rowcount != 1:
        raise LeaseLostError("another worker has taken the intent over", intent_id=intent.id)
    after = msgspec.structs.replace(intent, **values)
    if _gives_lane_up(after):
        await _free_lane(tx, after)
    return after


async def move(
    tx: Tx,
    intent: Intent,
    to_state: IntentState,
    *,
    now_ms: int,
    actor: str,
    reason: str,
    values: dict[str, Any] | None = None,
) -> Intent:
    """Write a change of state and its event.

    Raises:
        IntentStateError: The table of transitions does not know the change.
        LeaseLostError: Somebody else has written the row since it was read.
    """
    check_transition(intent, to_state)
    frozen_from = intent.state if to_state is IntentState.FROZEN else None
    after = await write(
        tx,
        intent,
        {
            **(values or {}),
            "state": to_state,
            "frozen_from": frozen_from,
            "reason": reason,
            "entered_ms": now_ms,
            "version": intent.version + 1,
        },
    )
    await add_event(tx, after, intent.state, at_ms=now_ms, actor=actor)
    return after


async def add_event(
    tx: Tx, intent: Intent, from_state: IntentState | None, *, at_ms: int, actor: str
) -> None:
    """Append the event that brought `intent` where it is."""
    await tx.execute(
        insert(intent_event_table).values(
            intent_id=intent.id,
            seq=intent.version,
            from_state=from_state,
            to_state=intent.state,
            at_ms=at_ms,
            actor=actor,
            reason=intent.reason,
        )
    )


async def supersede(tx: Tx, intent: Intent, *, at_ms: int, reason: str) -> None:
    """Keep a signed body that will not be sent any more; nothing signed is ever lost."""
    assert intent.body is not None, "there is a body to keep"
    await tx.execute(
        insert(intent_superseded_table).values(
            intent_id=intent.id,
            round=intent.round,
            body=intent.body,
            identity=intent.identity,
            details=intent.details,
            sends=intent.sends,
            at_ms=at_ms,
            reason=reason,
        )
    )


async def events_of(tx: Tx, intent_id: str) -> list[IntentEvent]:
    """All changes of state of one intent, oldest first."""
    query = (
        select(intent_event_table)
        .where(intent_event_table.c.intent_id == intent_id)
        .order_by(intent_event_table.c.seq)
    )
    rows = (await tx.execute(query)).mappings().all()
    return [
        IntentEvent(
            **{
                **row,
                "from_state": None if row["from_state"] is None else IntentState(row["from_state"]),
                "to_state": IntentState(row["to_state"]),
            }
        )
        for row in rows
    ]


def unlocked() -> dict[str, Any]:
    """Columns of a row that no worker holds."""
    return {"locked_by": None, "locked_ms": None, "lease_until_ms": None}


def _gives_lane_up(intent: Intent) -> bool:
    """A lane is held from the claim of a new intent until its body is known outside.

    A frozen intent whose body may have been sent keeps its lane: the next
    preparation might use up what that body needs. One whose only sending was
    refused does not: using up what it needs is the best that can happen to it.
    """
    if intent.state is IntentState.FROZEN and intent.refused and intent.sends == 1:
        return True
    state = intent.frozen_from if intent.state is IntentState.FROZEN else intent.state
    if state is IntentState.CREATED:
        return intent.locked_by is None
    return state not in {IntentState.SIGNED, IntentState.SENDING}


async def _take_lane(tx: Tx, intent: Intent) -> bool:
    if intent.lane == NO_LANE:
        return True
    result = await tx.execute(
        update(intent_lane_table)
        .where(
            _L.lane == intent.lane,
            or_(_L.intent_id.is_(None), _L.intent_id == intent.id),
        )
        .values(intent_id=intent.id)
    )
    return result.rowcount == 1


async def _free_lane(tx: Tx, intent: Intent) -> None:
    if intent.lane != NO_LANE:
        await tx.execute(
            update(intent_lane_table)
            .where(and_(_L.lane == intent.lane, _L.intent_id == intent.id))
            .values(intent_id=None)
        )
