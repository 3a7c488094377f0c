"""Payouts and payout settings, read and written through the payouts room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec import UNSET, UnsetType

from millpond.api.models import Money, Payout, PayoutSettings, iso
from millpond.api.pagination import Page, decode_cursor, encode_cursor
from millpond.api.ports import SettingsChange
from millpond.api.reads import convert
from millpond.api.terms import PoolTerms
from millpond.chains.coins import Coin
from millpond.clock import Clock, Ids
from millpond.mining.payouts import MinerSettings, Payouts, queries
from millpond.mining.payouts import Payout as PayoutRow
from millpond.mining.payouts import SettingsChange as RowChange
from millpond.mining.payouts.model import FINAL
from millpond.money.ledger import Ledger
from millpond.store import Tx

V = TypeVar("V")


class PoolPayouts:
    """Implements `PayoutReads` and `Writes` of `millpond.api.ports`."""

    def __init__(self, terms: Sequence[PoolTerms], ledger: Ledger, clock: Clock, ids: Ids) -> None:
        self._rooms: Mapping[str, Payouts] = {
            each.pool_id: Payouts(each.coin, each.payouts, ledger, clock, ids) for each in terms
        }

    async def under_way(self, tx: Tx, pool_id: str) -> int:
        """Payouts of a pool that have neither settled nor failed."""
        counts = await queries.counts(tx, pool_id=pool_id)
        return sum(count for state, count in counts.items() if state not in FINAL)

    async def payouts(
        self, tx: Tx, *, pool_id: str | None, wallet: str | None, limit: int, cursor: str | None
    ) -> Page[Payout]:
        """Payouts, newest first."""
        before = decode_cursor(cursor, tuple[str])
        rows = await queries.listed(
            tx,
            pool_id=pool_id,
            wallet=wallet,
            before=before[0] if before else None,
            limit=limit + 1,
        )
        known = [row for row in rows[:limit] if row.pool_id in self._rooms]
        return Page(
            items=[self._payout(row) for row in known],
            next=encode_cursor(rows[limit - 1].id) if len(rows) > limit else None,
        )

    async def payout_settings(self, tx: Tx, wallet: str) -> list[PayoutSettings]:
        """How an address is paid, in each pool."""
        found = []
        for pool_id, room in self._rooms.items():
            next_payout = await queries.next_payout(tx, room, wallet)
            row = await room.miners.get(tx, wallet)
            found.append(_settings(pool_id, room.coin, row, next_payout))
        return found

    async def request_payout(
        self, tx: Tx, *, pool_id: str, wallet: str, amount_units: int | None
    ) -> Payout:
        """Ask for a payout of a balance, or of a part of it."""
        row = await self._rooms[pool_id].request(
            tx, pool_id=pool_id, wallet=wallet, amount=amount_units
        )
        return self._payout(row)

    async def change_settings(
        self, tx: Tx, *, pool_id: str, wallet: str, change: SettingsChange
    ) -> PayoutSettings:
        """Change how an address is paid."""
        room = self._rooms[pool_id]
        row = await room.miners.change(
            tx,
            wallet,
            RowChange(
                threshold=_or_unset(change.threshold_units),
                automatic=_or_unset(change.automatic),
                schedule=_or_unset(change.schedule),
                fee_policy=_or_unset(change.fee_policy),
                address=_or_unset(change.address),
            ),
        )
        return _settings(pool_id, room.coin, row, await queries.next_payout(tx, room, wallet))

    def _payout(self, row: PayoutRow) -> Payout:
        coin = self._rooms[row.pool_id].coin
        return Payout(
            id=row.id,
            pool_id=row.pool_id,
            coin=row.coin,
            wallet=row.wallet,
            address=row.address,
            amount=convert.money(coin, row.amount),
            network_fee=convert.money(coin, row.fee),
            state=str(row.state),
            txid=row.txid,
            confirmations=row.confirmations,
            reason=row.reason,
            requested_at=iso(row.requested_ms),
            updated_at=iso(row.updated_ms),
        )


def _or_unset(value: V | None) -> V | UnsetType:
    return UNSET if value is None else value


def _settings(
    pool_id: str, coin: Coin, row: MinerSettings, following: queries.NextPayout
) -> PayoutSettings:
    def amount(units: int) -> Money:
        return convert.money(coin, units)

    return PayoutSettings(
        pool_id=pool_id,
        wallet=row.wallet,
        threshold=amount(row.threshold),
        automatic=row.automatic,
        schedule=str(row.schedule),
        fee_policy=str(row.fee_policy),
        address=row.address,
        address_change_at=convert.time_or_none(row.new_address_ms),
        new_address=row.new_address,
        missing=amount(following.missing),
        next_at=convert.time_or_none(following.at_ms),
    )
