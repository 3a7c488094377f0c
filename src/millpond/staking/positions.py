"""Asking for positions: one wallet's, a pool's stakers, one's own events."""

from __future__ import annotations

import msgspec
from sqlalchemy import RowMapping, func, select

from millpond.staking.folding import Position
from millpond.staking.model import Event, EventState
from millpond.staking.recording import event_of
from millpond.staking.tables import event_table, position_table
from millpond.store import Tx

MAX_PAGE = 10_000
"""Most rows of one answer."""

_E = event_table.c
_P = position_table.c


class PoolPosition(msgspec.Struct, frozen=True):
    """A wallet's position in one of several pools."""

    pool_id: str
    position: Position


async def get_position(tx: Tx, pool_id: str, wallet: str) -> Position:
    """What a wallet has in a pool; zero if it never had anything."""
    query = select(position_table).where(_P.pool_id == pool_id, _P.wallet == wallet)
    row = (await tx.execute(query)).mappings().first()
    return Position(wallet=wallet) if row is None else _position(row)


async def positions_of_wallet(tx: Tx, wallet: str) -> list[PoolPosition]:
    """What a wallet has or had in all pools, by pool."""
    query = select(position_table).where(_P.wallet == wallet).order_by(_P.pool_id)
    found = (await tx.execute(query.limit(MAX_PAGE))).mappings()
    return [PoolPosition(row["pool_id"], _position(row)) for row in found]


async def list_stakers(
    tx: Tx, pool_id: str, *, after: str = "", limit: int = MAX_PAGE
) -> list[Position]:
    """Wallets with a confirmed stake, by address; `after` is the last of the page before."""
    assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} stakers"
    query = (
        select(position_table)
        .where(_P.pool_id == pool_id, _P.staked == 1, _P.wallet > after)
        .order_by(_P.wallet)
        .limit(limit)
    )
    return [_position(row) for row in (await tx.execute(query)).mappings()]


async def count_stakers(tx: Tx, pool_id: str) -> int:
    """How many wallets have a confirmed stake."""
    query = select(func.count()).where(_P.pool_id == pool_id, _P.staked == 1)
    return int((await tx.execute(query)).scalar_one())


async def events_of(
    tx: Tx,
    pool_id: str,
    *,
    wallet: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Event]:
    """Events that stand, the newest first; of one wallet or of all.

    Args:
        tx: A transaction.
        pool_id: The pool.
        wallet: Whose; None: everybody's.
        before: Only those before this `seq`: the last of the page before.
        limit: At most so many.
    """
    assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} events"
    query = (
        select(event_table)
        .where(_E.pool_id == pool_id, _E.state != EventState.UNDONE.value)
        .order_by(_E.seq.desc())
        .limit(limit)
    )
    if wallet is not None:
        query = query.where(_E.wallet == wallet)
    if before is not None:
        query = query.where(_E.seq < before)
    return [event_of(row) for row in await tx.execute(query)]


def _position(row: RowMapping) -> Position:
    return Position(
        wallet=row["wallet"],
        balance=row["balance"],
        seen=row["seen"],
        since_s=row["since_s"],
        seq=row["seq"],
    )
