"""Reading payouts, for pages and the API."""

from __future__ import annotations

import msgspec
from sqlalchemy import Select, func, select

from millpond.mining.accounts import miner_balance
from millpond.mining.payouts import rows
from millpond.mining.payouts.errors import PayoutNotFoundError
from millpond.mining.payouts.model import Payout, PayoutState
from millpond.mining.payouts.service import Payouts
from millpond.mining.payouts.tables import payout_table
from millpond.store import Tx

_T = payout_table

MAX_PAGE = 1_000


class NextPayout(msgspec.Struct, frozen=True, kw_only=True):
    """When and how much an address is paid next, as far as it can be said.

    Attributes:
        available: Base units that could be paid now.
        missing: Base units until the threshold; 0 when it is reached.
        at_ms: Earliest time by the schedule; None if it is not paid automatically.
        open_payout: Identifier of the payout under way, if there is one.
    """

    available: int
    missing: int
    at_ms: int | None
    open_payout: str | None


async def payout(tx: Tx, payout_id: str) -> Payout:
    """One payout.

    Raises:
        PayoutNotFoundError: There is none of that identifier.
    """
    row = (await tx.execute(select(_T).where(_T.c.id == payout_id))).mappings().first()
    if row is None:
        raise PayoutNotFoundError("no payout has that identifier", payout=payout_id)
    return rows.to_payout(row)


async def listed(
    tx: Tx,
    *,
    pool_id: str | None = None,
    wallet: str | None = None,
    coin: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[Payout]:
    """Payouts, newest first; `before` is the last identifier of the page before."""
    assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} payouts"
    query = select(_T).order_by(_T.c.id.desc()).limit(limit)
    for column, value in ((_T.c.pool_id, pool_id), (_T.c.wallet, wallet), (_T.c.coin, coin)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(_T.c.id < before)
    return await _all(tx, query)


async def by_txid(tx: Tx, txid: str) -> list[Payout]:
    """The payouts that one transaction makes, oldest first."""
    return await _all(tx, select(_T).where(_T.c.txid == txid).order_by(_T.c.id))


async def counts(tx: Tx, *, pool_id: str | None = None) -> dict[PayoutState, int]:
    """How many payouts are in each state."""
    query = select(_T.c.state, func.count()).group_by(_T.c.state)
    if pool_id is not None:
        query = query.where(_T.c.pool_id == pool_id)
    return {PayoutState(state): count for state, count in await tx.execute(query)}


async def paid(tx: Tx, *, coin: str, wallet: str) -> int:
    """What an address was paid so far, network fee included; base units."""
    query = select(_T.c.amount).where(
        _T.c.coin == coin, _T.c.wallet == wallet, _T.c.state == PayoutState.SETTLED
    )
    # Amounts neither sort nor add in SQL on SQLite (millpond.store.types.BigInt).
    return sum(amount for (amount,) in await tx.execute(query))


async def next_payout(tx: Tx, payouts: Payouts, wallet: str) -> NextPayout:
    """Estimate the next payout of an address."""
    account = miner_balance(payouts.coin, wallet)
    available = (await payouts.ledger.balances(tx, [account]))[account].available.units
    chosen = await payouts.miners.get(tx, wallet)
    under_way = await payouts.open_payout(tx, wallet)
    automatic = chosen.automatic and payouts.settings.enabled
    now_ms = payouts.clock.now_ms()
    return NextPayout(
        available=available,
        missing=max(0, chosen.threshold - available),
        at_ms=chosen.schedule.next_ms(now_ms, chosen.last_automatic_ms) if automatic else None,
        open_payout=None if under_way is None else under_way.id,
    )


async def _all(tx: Tx, query: Select[tuple[object, ...]]) -> list[Payout]:
    return [rows.to_payout(row) for row in (await tx.execute(query)).mappings()]
