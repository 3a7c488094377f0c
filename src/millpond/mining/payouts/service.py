"""Asking for a payout: validation, the row and the reservation, in one transaction."""

from __future__ import annotations

import msgspec
from sqlalchemy import select, text

from millpond.chains.bitcoin.address import canonical_address
from millpond.chains.coins import Coin
from millpond.clock import Clock, Ids
from millpond.mining.accounts import miner_balance, pool_wallet
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
from millpond.money.ids import derived_id
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution, Transfer
from millpond.risk import Function, Request, RiskEngine
from millpond.store import Tx
from millpond.store.events import publish
from millpond.store.sql import insert_or_ignore

_T = payout_table

SHORTAGE = "the pool's wallet has not enough; the payout waits"

PRODUCT = "mining"
"""The product whose limits, pauses and breakers payouts fall under."""

_DAY_MS = 86_400_000


class Payouts:
    """Payouts of one coin.

    Args:
        coin: The coin.
        settings: Minimum and so on.
        ledger: Where the money is.
        clock: Time.
        ids: Makes the payouts' identifiers.
        risk: Limits, pauses and breakers; None: an engine of its own, which knows the
            same, since all that an engine knows is in the database.
    """

    def __init__(  # noqa: PLR0917 - in the order in which rooms depend on each other
        self,
        coin: Coin,
        settings: PayoutSettings,
        ledger: Ledger,
        clock: Clock,
        ids: Ids,
        risk: RiskEngine | None = None,
    ) -> None:
        self.coin = coin
        self.settings = settings
        self.ledger = ledger
        self.clock = clock
        self.miners = PayoutMiners(coin, settings, clock)
        self.risk = risk or RiskEngine(ledger, clock, ids)
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
            RiskRefusedError: A limit, a pause or a breaker; nothing was written but that.
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
        await self.risk.enforce(tx, self._asked(payout))
        written = await tx.execute(insert_or_ignore(tx, _T).values(msgspec.structs.asdict(payout)))
        if written.rowcount != 1:
            await self.risk.returned(tx, reference_of(payout))
            other = await self.open_payout(tx, wallet)
            assert other is not None, "an insert that was ignored has a cause"
            return _same(other, amount)
        await rows.tell(tx, payout, now_ms=now_ms)
        unborne = await self._unborne(tx, payout)
        if unborne is not None:
            # It is asked about again when it is reserved.
            await self.risk.returned(tx, reference_of(payout))
            return unborne
        return await self._take(tx, payout)

    async def reserve(self, tx: Tx, payout: Payout) -> Payout:
        """Take a payout that waited out of the balance, if the pool's wallet bears it now.

        Where the wallet does not, the payout stays requested and an alert says so;
        where a limit, a pause or a breaker holds it, it stays requested as well.
        """
        assert payout.state is PayoutState.REQUESTED, "a payout is reserved once"
        unborne = await self._unborne(tx, payout)
        if unborne is not None:
            return unborne
        decision = await self.risk.check(tx, self._asked(payout, waited=True))
        if decision.allowed:
            return await self._take(tx, payout)
        reason = decision.refusals[0].message
        if payout.reason == reason:
            return payout
        now_ms = self.clock.now_ms()
        return (await rows.change(tx, [payout], now_ms=now_ms, reason=reason))[0]

    async def fail(self, tx: Tx, payouts: list[Payout], reason: str) -> None:
        """End reserved payouts and return what was reserved."""
        for payout in payouts:
            await self.risk.returned(tx, reference_of(payout))
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

    async def _unborne(self, tx: Tx, payout: Payout) -> Payout | None:
        """The payout as it is written where balance or wallet do not bear it, else None."""
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
        return None

    async def _take(self, tx: Tx, payout: Payout) -> Payout:
        """Reserve a payout that was admitted."""
        transfer = Transfer(
            id=pending_id(payout.id),
            debit=miner_balance(self.coin, payout.wallet),
            credit=pool_wallet(self.coin),
            amount=self.coin.asset.amount(payout.amount),
            code="payout",
            reference=reference_of(payout),
        )
        await self.ledger.reserve(tx, [transfer])
        reserved = await rows.change(
            tx, [payout], now_ms=self.clock.now_ms(), state=PayoutState.RESERVED, reason=""
        )
        return reserved[0]

    def _asked(self, payout: Payout, *, waited: bool = False) -> Request:
        """What the risk engine is asked; a machine's refusals are a row a day that counts."""
        by_machine = waited or payout.origin == "automatic"
        day = self.clock.now_ms() // _DAY_MS
        return Request(
            function=Function.PAYOUT,
            product=PRODUCT,
            pool_id=payout.pool_id,
            user=payout.wallet,
            asset=self.coin.asset,
            amount=payout.amount,
            reference=reference_of(payout),
            key=f"{self.coin.name}:{payout.wallet}:{day}" if by_machine else "",
        )

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


def reference_of(payout: Payout) -> str:
    """What transfers and the risk engine call a payout."""
    return f"payout:{payout.id}"


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
