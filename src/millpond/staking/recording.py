"""Rows of events and positions: written by the range, taken back by the block."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, delete, func, select, update

from millpond.staking.errors import BooksConflictError
from millpond.staking.folding import Position, confirm
from millpond.staking.model import Event, EventKind, EventState
from millpond.staking.tables import event_table, position_table
from millpond.store import Tx
from millpond.store.sql import any_of, insert_many

_E = event_table.c
_P = position_table.c
_LIVE = (EventState.SEEN.value, EventState.BOOKED.value)

MAX_EVENTS = 100_000
"""Most events that one reorg may take back or one step may book; more is for a person."""


async def positions_of(tx: Tx, pool_id: str, wallets: Collection[str]) -> dict[str, Position]:
    """Positions of these wallets, by wallet; those who never had one are left out."""
    if not wallets:
        return {}
    query = select(_P.wallet, _P.balance, _P.seen, _P.since_s, _P.seq).where(
        _P.pool_id == pool_id, any_of(tx, _P.wallet, wallets)
    )
    return {
        row.wallet: Position(
            wallet=row.wallet,
            balance=row.balance,
            seen=row.seen,
            since_s=row.since_s,
            seq=row.seq,
        )
        for row in await tx.execute(query)
    }


async def save_positions(tx: Tx, pool_id: str, positions: Mapping[str, Position]) -> None:
    """Write positions over what was there."""
    if not positions:
        return
    await tx.execute(
        delete(position_table).where(_P.pool_id == pool_id, any_of(tx, _P.wallet, list(positions)))
    )
    rows = [
        {
            "pool_id": pool_id,
            "wallet": position.wallet,
            "balance": position.balance,
            "seen": position.seen,
            "staked": int(position.balance > 0),
            "since_s": position.since_s,
            "seq": position.seq,
        }
        for position in positions.values()
    ]
    await insert_many(tx, position_table, rows)


async def add_events(tx: Tx, events: Sequence[Event], *, booked_to: int) -> None:
    """Write new events; those of blocks up to `booked_to` as booked."""
    rows = []
    for event in events:
        values = msgspec.structs.asdict(event)
        deep = event.block_number <= booked_to
        values["kind"] = event.kind.value
        values["state"] = (EventState.BOOKED if deep else EventState.SEEN).value
        rows.append(values)
    await insert_many(tx, event_table, rows)


async def seen_to(tx: Tx, pool_id: str, number: int) -> list[Event]:
    """Events that wait to be booked, of blocks up to `number`, in chain order."""
    return await _events(
        tx, _E.pool_id == pool_id, _E.state == EventState.SEEN.value, _E.block_number <= number
    )


async def mark_booked(tx: Tx, pool_id: str, events: Sequence[Event]) -> None:
    """Make these events booked."""
    if events:
        await tx.execute(
            update(event_table)
            .where(_E.pool_id == pool_id, any_of(tx, _E.seq, [event.seq for event in events]))
            .values(state=EventState.BOOKED.value)
        )


async def rounds_of(tx: Tx, pool_id: str, tx_hashes: Collection[str]) -> dict[tuple[str, int], int]:
    """How often each effect of these transactions was booked and undone."""
    if not tx_hashes:
        return {}
    query = (
        select(_E.tx_hash, _E.ordinal, func.count())
        .where(
            _E.pool_id == pool_id,
            _E.state == EventState.UNDONE.value,
            any_of(tx, _E.tx_hash, tx_hashes),
        )
        .group_by(_E.tx_hash, _E.ordinal)
    )
    return {(tx_hash, ordinal): n for tx_hash, ordinal, n in await tx.execute(query)}


async def above(tx: Tx, pool_id: str, number: int) -> list[Event]:
    """Events of blocks above `number` that stand, in chain order."""
    return await _events(tx, _E.pool_id == pool_id, _E.block_number > number, _E.state.in_(_LIVE))


async def take_back(tx: Tx, pool_id: str, events: Sequence[Event]) -> None:
    """Delete those that were only seen, mark those that were booked, and redo the positions."""
    gone = [event.seq for event in events if event.state is EventState.SEEN]
    undone = [event.seq for event in events if event.state is EventState.BOOKED]
    if gone:
        await tx.execute(delete(event_table).where(_E.pool_id == pool_id, any_of(tx, _E.seq, gone)))
    if undone:
        await tx.execute(
            update(event_table)
            .where(_E.pool_id == pool_id, any_of(tx, _E.seq, undone))
            .values(state=EventState.UNDONE.value)
        )
    wallets = {event.wallet for event in events if event.balance is not None}
    redone = {wallet: await _redo(tx, pool_id, wallet) for wallet in sorted(wallets)}
    await save_positions(tx, pool_id, redone)


async def _redo(tx: Tx, pool_id: str, wallet: str) -> Position:
    events = await _events(
        tx,
        _E.pool_id == pool_id,
        _E.wallet == wallet,
        _E.state.in_(_LIVE),
        _E.balance.is_not(None),
    )
    seen = events[-1].balance if events else 0
    start = Position(wallet=wallet, seen=seen or 0, seq=events[-1].seq if events else 0)
    booked = [event for event in events if event.state is EventState.BOOKED]
    return confirm({wallet: start}, booked).get(wallet, start)


async def _events(tx: Tx, *where: Any) -> list[Event]:
    query = select(event_table).where(*where).order_by(_E.seq).limit(MAX_EVENTS + 1)
    found = [event_of(row) for row in await tx.execute(query)]
    if len(found) > MAX_EVENTS:
        raise BooksConflictError(
            f"more than {MAX_EVENTS} events are concerned at once", pool=found[0].pool_id
        )
    return found


def event_of(row: Row[Any]) -> Event:
    """Make the value of a row."""
    values = dict(row._mapping)  # noqa: SLF001 - its public name
    values["kind"] = EventKind(values["kind"])
    values["state"] = EventState(values["state"])
    return Event(**values)
