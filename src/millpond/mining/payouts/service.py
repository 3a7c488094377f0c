"""Asking for a payout: validation, the row and the reservation, in one transaction."""

from __future__ import annotations

import msgspec
from sqlalchemy import select, text

from millpond.chains.bitcoin.address import canonical_address
from millpond.chains.coins import Coin
from millpond.clock import Clock, Ids
from millpond.mining.accounts import derived_id, miner_balance, pool_wallet
from millpond.mining.payouts import rows
from millpond.mining.payouts.errors import (
    PayoutBalanceError,
    PayoutOpenError,
    PayoutTooSmallError,
)
from millpond.mining.payouts.miners import PayoutMiners
from millpond.mining.payouts.model import Payout, PayoutState
from millpond.mining.payouts.settings import PayoutSettings
from millpond.mining.payouts.tables import OPEN, payout_table
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution, Transfer
from millpond.store import Tx
from millpond.store.events import publish
from millpond.store.sql import insert_or_ignore

_T = payout_table

SHORTAGE = "the pool's wallet has not enough; the payout waits"


class Payouts:
    """Payouts of one coin.

    Args:
        coin: The coin.
        settings: Minimum and so on.
        ledger: Where the money is.
        clock: Time.
        ids: Makes the payouts' identifiers.
    """

    def __init__(
        self, coin: Coin, settings: PayoutSettings, ledger: Ledger, clock: Clock, ids: Ids
    ) -> None:
        self.coin = coin
        self.settings = settings
        self.ledger = ledger
        self.clock = clock
        self.miners = PayoutMiners(coin, settings, clock)
        self._ids = ids

    async def request(
        self,
        tx: Tx,
        *,
        pool_id: str,
        wallet: str,
        amount: int | None = None,
        origin: str = "request",
    ) -> Payout:
        """Ask for a payout of a balance, or of a part of it.

        A balance has one open payout at a time. Asking again for the same is
        answered with it.

        Args:
            tx: The transaction; the reservation is made in it.
            pool_id: The pool that is asked.
            wallet: Whose balance.
            amount: Base units; None: all that is available.
            origin: `request`, `automatic` or `operator`.

        Raises:
            PayoutOpenError: Another payout of the balance is under way.
            PayoutTooSmallError: Less than the minimum.
            PayoutBalanceError: More than is available.
            InvalidAddressError: The address is none of the coin.
        """
        earlier = await self.open_payout(tx, wallet)
        if earlier is not None:
            return _same(earlier, amount)
        chosen = await self.miners.get(tx, wallet)
        # One writing for each payee: a transaction pays an address once.
        address = canonical_address(chosen.address, self.coin)
        wanted = await self._checked_amount(tx, wallet, amount)
        now_ms = self.clock.now_ms()
        payout = Payout(
            id=self._ids.new(),
            pool_id=pool_id,
            coin=self.coin.name,
            wallet=wallet,
            address=address,
            amount=wanted,
            fee=0,
            fee_policy=chosen.fee_policy,
            origin=origin,
            state=PayoutState.REQUESTED,
            reason="",
            batch_id=None,
            txid=None,
            confirmations=0,
            requested_ms=now_ms,
            updated_ms=now_ms,
            settled_ms=None,
        )
        written = await tx.execute(insert_or_ignore(tx, _T).values(msgspec.structs.asdict(payout)))
        if written.rowcount != 1:
            other = await self.open_payout(tx, wallet)
            assert other is not None, "an insert that was ignored has a cause"
            return _same(other, amount)
        await rows.tell(tx, payout, now_ms=now_ms)
        return await self.reserve(tx, payout)

    async def reserve(self, tx: Tx, payout: Payout) -> Payout:
        """Take a requested payout out of the balance, if the pool's wallet bears it.

        Where the wallet does not, the payout stays requested and an alert says so.
        """
        assert payout.state is PayoutState.REQUESTED, "a payout is reserved once"
        balance = miner_balance(self.coin, payout.wallet)
        wallet = pool_wallet(self.coin)
        found = await self.ledger.balances(tx, [balance, wallet])
        now_ms = self.clock.now_ms()
        if found[balance].available.units < payout.amount:
            reason = "the balance has become smaller than the payout"
            failed = await rows.change(
                tx, [payout], now_ms=now_ms, state=PayoutState.FAILED, reason=reason
            )
            return failed[0]
        if found[wallet].available.units < payout.amount:
            return await self._wait_for_wallet(tx, payout, now_ms)
        transfer = Transfer(
            id=pending_id(payout.id),
            debit=balance,
            credit=wallet,
            amount=self.coin.asset.amount(payout.amount),
            code="payout",
            reference=f"payout:{payout.id}",
        )
        await self.ledger.reserve(tx, [transfer])
        reserved = await rows.change(
            tx, [payout], now_ms=now_ms, state=PayoutState.RESERVED, reason=""
        )
        return reserved[0]

    async def fail(self, tx: Tx, payouts: list[Payout], reason: str) -> None:
        """End reserved payouts and return what was reserved."""
        await self.ledger.void_pending(
            tx, [Resolution(void_id(payout.id), pending_id(payout.id)) for payout in payouts]
        )
        await rows.change(
            tx, payouts, now_ms=self.clock.now_ms(), state=PayoutState.FAILED, reason=reason, fee=0
        )

    async def open_payout(self, tx: Tx, wallet: str) -> Payout | None:
        """The payout of a balance that is under way."""
        query = select(_T).where(_T.c.coin == self.coin.name, _T.c.wallet == wallet, text(OPEN))
        row = (await tx.execute(query)).mappings().first()
        return None if row is None else rows.to_payout(row)

    async def _checked_amount(self, tx: Tx, wallet: str, amount: int | None) -> int:
        account = miner_balance(self.coin, wallet)
        available = (await self.ledger.balances(tx, [account]))[account].available.units
        wanted = available if amount is None else amount
        asset, minimum = self.coin.asset, self.settings.minimum
        if wanted < minimum:
            raise PayoutTooSmallError(
                f"the smallest payout is {asset.amount(minimum)}",
                minimum=str(minimum),
                available=str(available),
            )
        if wanted > available:
            raise PayoutBalanceError(
                f"{asset.amount(available)} are available", available=str(available)
            )
        return wanted

    async def _wait_for_wallet(self, tx: Tx, payout: Payout, now_ms: int) -> Payout:
        if payout.reason == SHORTAGE:
            return payout
        waiting = await rows.change(tx, [payout], now_ms=now_ms, reason=SHORTAGE)
        await publish(
            tx,
            "alerts",
            {"type": "wallet_shortage", "coin": self.coin.name, "payout": payout.id},
            now_ms=now_ms,
        )
        return waiting[0]


def pending_id(payout_id: str) -> str:
    """Identity of the pending transfer of a payout."""
    return derived_id("payout", payout_id)


def settle_id(payout_id: str) -> str:
    """Identity of the posting that ends a payout well."""
    return derived_id("payout-settle", payout_id)


def void_id(payout_id: str) -> str:
    """Identity of the void that returns a payout's amount."""
    return derived_id("payout-void", payout_id)


def _same(earlier: Payout, amount: int | None) -> Payout:
    if amount is not None and amount != earlier.amount:
        raise PayoutOpenError("another payout of this balance is under way", payout=earlier.id)
    return earlier
