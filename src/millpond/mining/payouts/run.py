"""The automatic run: who is due, what can be reserved, what goes together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import msgspec
from sqlalchemy import insert, update

from millpond.chains.bitcoin.address import canonical_address, is_address
from millpond.errors import MillpondError
from millpond.intents import Intent, Intents
from millpond.mining.accounts import BALANCE
from millpond.mining.payouts import rows
from millpond.mining.payouts.handler import BatchPayload, intent_kind
from millpond.mining.payouts.model import Payout, PayoutState
from millpond.mining.payouts.plan import BatchPlan, Payable, Plan, plan_batches
from millpond.mining.payouts.service import PRODUCT, Payouts
from millpond.mining.payouts.tables import payout_batch_table, payout_table
from millpond.money.accounts import Account, AccountType
from millpond.money.ids import derived_id
from millpond.risk import Function
from millpond.store import Store, Tx

AddressCheck: TypeAlias = Callable[[str], Awaitable[bool]]
"""Asks the daemon whether it would pay to an address (`validateaddress`)."""

ASSUMED_FEE_RATE = 10_000
"""Base units per 1,000 virtual bytes for estimates, where none is set."""

MAX_PAYOUTS = 5_000
"""Payouts that one run puts into batches; the next run takes the rest."""

_PAGE = 500


class RunResult(msgspec.Struct, frozen=True):
    """What a run did.

    Attributes:
        requested: Payouts that it asked for by itself.
        reserved: Payouts that had waited for the pool's wallet and are reserved now.
        failed: Payouts whose address nobody can pay to.
        batches: Intents that were written.
        waiting: Payouts that stay, with the reason.
    """

    requested: tuple[Payout, ...]
    reserved: tuple[Payout, ...]
    failed: tuple[Payout, ...]
    batches: tuple[Intent, ...]
    waiting: tuple[tuple[str, str], ...]


class DryRun(msgspec.Struct, frozen=True):
    """What a run would do now.

    Attributes:
        due: Wallet and base units of those that would be paid automatically.
        plan: The transactions, with those of `due` in them.
    """

    due: tuple[tuple[str, int], ...]
    plan: Plan


class PayoutRun:
    """Makes automatic requests and batches for one coin.

    Args:
        store: The database.
        intents: Where the batches become intents.
        payouts: The payouts of the coin.
        pool_id: The pool in whose name automatic requests are made.
        check_address: Asks the daemon about an address; None trusts the coin table.
    """

    def __init__(
        self,
        store: Store,
        intents: Intents,
        payouts: Payouts,
        *,
        pool_id: str,
        check_address: AddressCheck | None = None,
    ) -> None:
        self._store = store
        self._intents = intents
        self._payouts = payouts
        self._coin = payouts.coin
        self._settings = payouts.settings
        self._pool_id = pool_id
        self._check_address = check_address

    async def run_once(self, *, automatic: bool | None = None) -> RunResult:
        """Request what is due, reserve what waited, and write the batches.

        Args:
            automatic: Make requests for those that are due; None: as it is set.

        Raises:
            MillpondError: The daemon does not answer; nothing is lost.
        """
        wanted = self._settings.enabled if automatic is None else automatic
        async with self._store.read() as tx:
            held = await self._held(tx, {self._pool_id})
        requested = await self._request_due() if wanted and not held else []
        reserved = await self._reserve_waiting()
        async with self._store.read() as tx:
            ready = await rows.waiting(tx, self._coin, PayoutState.RESERVED, limit=MAX_PAYOUTS)
        bad = [payout for payout in ready if not await self._payable(payout.address)]
        failed = await self._fail(bad)
        intents, waiting = await self._write_batches()
        return RunResult(tuple(requested), tuple(reserved), failed, tuple(intents), waiting)

    async def dry_run(self, *, automatic: bool | None = None) -> DryRun:
        """Say what `run_once` would do, and do nothing."""
        wanted = self._settings.enabled if automatic is None else automatic
        async with self._store.read() as tx:
            ready = await rows.waiting(tx, self._coin, PayoutState.RESERVED, limit=MAX_PAYOUTS)
            held = await self._held(tx, {self._pool_id, *(payout.pool_id for payout in ready)})
            payables = [self._payable_of(p) for p in ready if p.pool_id not in held]
            due: list[tuple[str, int]] = []
            if wanted and self._pool_id not in held:
                async for wallet, units in self._due(tx):
                    chosen = await self._payouts.miners.get(tx, wallet)
                    due.append((wallet, units))
                    payables.append(
                        Payable(f"due:{wallet}", chosen.address, units, chosen.fee_policy)
                    )
        return DryRun(tuple(due), self._plan(payables))

    async def _request_due(self) -> list[Payout]:
        async with self._store.read() as tx:
            due = [wallet async for wallet, _ in self._due(tx)]
        requested: list[Payout] = []
        for start in range(0, len(due), _PAGE):
            async with self._store.begin() as tx:
                for wallet in due[start : start + _PAGE]:
                    payout = await self._request(tx, wallet)
                    requested += [payout] if payout else []
        return requested

    async def _request(self, tx: Tx, wallet: str) -> Payout | None:
        if await self._payouts.open_payout(tx, wallet) is not None:
            return None
        try:
            payout = await self._payouts.request(
                tx, pool_id=self._pool_id, wallet=wallet, origin="automatic"
            )
        except MillpondError as error:
            if error.http_status >= 500:
                raise
            # Somebody else was quicker, or the address is none: nothing was written.
            return None
        await self._payouts.miners.paid_automatically(tx, wallet)
        return payout

    async def _due(self, tx: Tx) -> AsyncIterator[tuple[str, int]]:
        """Addresses whose balance is at the threshold and whose schedule allows it."""
        now_ms = self._payouts.clock.now_ms()
        after: Account | None = None
        found = 0
        while found < MAX_PAYOUTS:
            page = await self._payouts.ledger.accounts(
                tx,
                type=AccountType.LIABILITY,
                owner_prefix="miner/",
                name=BALANCE,
                asset=self._coin.asset,
                limit=_PAGE,
                after=after,
            )
            for account, balance in page:
                wallet = account.owner.removeprefix("miner/")
                available = balance.available.units
                if available < self._settings.minimum or not is_address(wallet, self._coin):
                    continue
                chosen = await self._payouts.miners.get(tx, wallet)
                on_time = chosen.schedule.due(now_ms, chosen.last_automatic_ms)
                if not chosen.automatic or available < chosen.threshold or not on_time:
                    continue
                if await self._payouts.open_payout(tx, wallet) is None:
                    found += 1
                    yield wallet, available
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    async def _reserve_waiting(self) -> list[Payout]:
        async with self._store.begin() as tx:
            waiting = await rows.waiting(
                tx, self._coin, PayoutState.REQUESTED, limit=_PAGE, lock=True
            )
            held = await self._held(tx, {payout.pool_id for payout in waiting})
            after = [
                await self._payouts.reserve(tx, payout)
                for payout in waiting
                if payout.pool_id not in held
            ]
        return [payout for payout in after if payout.state is PayoutState.RESERVED]

    async def _payable(self, address: str) -> bool:
        if not is_address(address, self._coin):
            return False
        return self._check_address is None or await self._check_address(address)

    async def _fail(self, bad: list[Payout]) -> tuple[Payout, ...]:
        if not bad:
            return ()
        ids = {payout.id for payout in bad}
        async with self._store.begin() as tx:
            still = [p for p in await self._reserved(tx) if p.id in ids]
            await self._payouts.fail(tx, still, "the daemon does not know the address")
        return tuple(still)

    async def _write_batches(self) -> tuple[list[Intent], tuple[tuple[str, str], ...]]:
        """Write batches and their intents; a payout is in one batch at a time."""
        async with self._store.begin() as tx:
            reserved = await self._reserved(tx)
            held = await self._held(tx, {payout.pool_id for payout in reserved})
            free = [payout for payout in reserved if payout.pool_id not in held]
            plan = self._plan([self._payable_of(payout) for payout in free])
            intents = [await self._write_batch(tx, batch) for batch in plan.batches]
        stay = tuple((p.id, held[p.pool_id]) for p in reserved if p.pool_id in held)
        return intents, plan.waiting + stay

    async def _held(self, tx: Tx, pool_ids: set[str]) -> dict[str, str]:
        """Pools whose payouts a pause or a breaker holds now, and why."""
        held: dict[str, str] = {}
        for pool_id in sorted(pool_ids):
            hold = await self._payouts.risk.held(
                tx,
                Function.PAYOUT,
                product=PRODUCT,
                pool_id=pool_id,
                asset=self._coin.asset.code,
            )
            if hold is not None:
                held[pool_id] = f"payouts are held: {hold.reason}"
        return held

    async def _write_batch(self, tx: Tx, batch: BatchPlan) -> Intent:
        ids = [payable.id for payable in batch.payables]
        # The same payouts make the same batch; in other company they make another.
        batch_id = derived_id("payout-batch", *sorted(ids))
        payload = BatchPayload(batch_id, batch.fee_policy, batch.payables)
        intent = await self._intents.create(
            tx,
            intent_kind(self._coin),
            batch_id,
            msgspec.to_builtins(payload),
            lane=f"wallet:{self._coin.name}",
            reason=f"{len(ids)} payouts",
        )
        await tx.execute(
            insert(payout_batch_table).values(
                id=batch_id,
                coin=self._coin.name,
                intent_id=intent.id,
                fee_policy=batch.fee_policy,
                payouts=len(ids),
                amount=batch.amount,
                fee=0,
                created_ms=self._payouts.clock.now_ms(),
            )
        )
        for payout_id in ids:
            await tx.execute(
                update(payout_table)
                .where(payout_table.c.id == payout_id, payout_table.c.batch_id.is_(None))
                .values(batch_id=batch_id)
            )
        return intent

    async def _reserved(self, tx: Tx) -> list[Payout]:
        return await rows.waiting(
            tx, self._coin, PayoutState.RESERVED, limit=MAX_PAYOUTS, lock=True
        )

    def _plan(self, payables: list[Payable]) -> Plan:
        return plan_batches(
            payables,
            max_payees=self._settings.max_payees,
            dust=self._settings.dust,
            fee_rate=self._settings.fee_rate or ASSUMED_FEE_RATE,
        )

    def _payable_of(self, payout: Payout) -> Payable:
        # Daemons take a script once in a transaction, however its address is written.
        address = canonical_address(payout.address, self._coin)
        return Payable(payout.id, address, payout.amount, payout.fee_policy)
