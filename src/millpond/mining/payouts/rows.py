"""Reading and writing payout rows, and telling the world about it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import RowMapping, select, update

from millpond.chains.coins import Coin
from millpond.mining.payouts.model import FeePolicy, Payout, PayoutState
from millpond.mining.payouts.tables import payout_table
from millpond.store import Tx
from millpond.store.events import publish
from millpond.store.sql import any_of

_T = payout_table


def to_payout(row: RowMapping) -> Payout:
    """Make the value of a row."""
    values = dict(row)
    values["state"] = PayoutState(values["state"])
    values["fee_policy"] = FeePolicy(values["fee_policy"])
    return Payout(**values)


async def of_batch(tx: Tx, batch_id: str) -> list[Payout]:
    """Payouts of a batch, oldest first."""
    query = select(_T).where(_T.c.batch_id == batch_id).order_by(_T.c.id)
    return [to_payout(row) for row in (await tx.execute(query)).mappings()]


async def waiting(
    tx: Tx, coin: Coin, state: PayoutState, *, limit: int, lock: bool = False
) -> list[Payout]:
    """Payouts of a coin that are in `state` and in no batch, oldest first."""
    query = (
        select(_T)
        .where(_T.c.coin == coin.name, _T.c.state == state, _T.c.batch_id.is_(None))
        .order_by(_T.c.id)
        .limit(limit)
    )
    if lock:
        query = query.with_for_update(skip_locked=True)
    return [to_payout(row) for row in (await tx.execute(query)).mappings()]


async def change(
    tx: Tx, payouts: Collection[Payout], *, now_ms: int, quiet: bool = False, **values: Any
) -> list[Payout]:
    """Write the same columns of several payouts and, unless `quiet`, publish each."""
    if not payouts:
        return []
    await tx.execute(
        update(_T)
        .where(any_of(tx, _T.c.id, [payout.id for payout in payouts]))
        .values(updated_ms=now_ms, **values)
    )
    after = [msgspec.structs.replace(p, updated_ms=now_ms, **values) for p in payouts]
    for payout in () if quiet else after:
        await tell(tx, payout, now_ms=now_ms)
    return after


async def tell(tx: Tx, payout: Payout, *, now_ms: int) -> None:
    """Publish a payout as it stands."""
    await publish(
        tx,
        "payouts",
        {
            "type": "payout",
            "id": payout.id,
            "pool_id": payout.pool_id,
            "coin": payout.coin,
            "wallet": payout.wallet,
            "amount": str(payout.amount),
            "fee": str(payout.fee),
            "state": payout.state.value,
            "txid": payout.txid,
            "confirmations": payout.confirmations,
            "reason": payout.reason,
        },
        now_ms=now_ms,
    )
