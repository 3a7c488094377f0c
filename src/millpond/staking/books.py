"""Booking confirmed events, and taking bookings back.

One call of the ledger books a whole range, as long as nothing in it concerns
a withdrawal or the reserve: those need a look at what is reserved or left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from millpond.alerts import Alerts, Severity
from millpond.clock import Clock
from millpond.money.errors import InsufficientFundsError
from millpond.money.ledger import MAX_BATCH, Ledger
from millpond.money.model import Resolution, Transfer
from millpond.risk import Function, Request, RiskEngine
from millpond.staking import accounts
from millpond.staking.booking import (
    FUNDING,
    MOVES_FUNDS,
    REWARD_PAYMENTS,
    defund,
    fund,
    reversal,
    reward,
    transfer_of,
)
from millpond.staking.errors import BooksConflictError
from millpond.staking.model import Event, EventKind
from millpond.staking.pools import PRODUCT, PoolKind, StakingPool
from millpond.staking.withdrawals.holds import Holds
from millpond.staking.withdrawals.model import Withdrawal
from millpond.store import Tx

_LEAVES = frozenset({EventKind.WITHDRAW, EventKind.TRANSFER_OUT})

_FLOWS = {
    (PoolKind.DIRECT, EventKind.DEPOSIT): Function.DEPOSIT,
    (PoolKind.DIRECT, EventKind.WITHDRAW): Function.WITHDRAW,
    (PoolKind.VAULT, EventKind.ASSETS_IN): Function.DEPOSIT,
    (PoolKind.VAULT, EventKind.ASSETS_OUT): Function.WITHDRAW,
    (PoolKind.VAULT, EventKind.REDEEM_REQUESTED): Function.WITHDRAW,
}
"""What counts as coming in and going out, in the pool's token."""

SHORTFALL_ALERT = "staking_reward_shortfall"
OVERPAID_ALERT = "staking_reward_overpaid"
REORG_ALERT = "staking_deep_reorg"


class RewardClaims(Protocol):
    """Whoever pays rewards of direct pools in batches of `BatchPayout`.

    With it the indexer books those payments, as it books withdrawals; without
    it they are only kept as events, and whoever sent the batch books them.
    """

    async def ready(self, tx: Tx, pool: StakingPool) -> None:
        """The reward funds are about to move: no reservation may stand in their way."""

    async def make_room(self, tx: Tx, pool: StakingPool, event: Event) -> None:
        """Give back what was reserved of the rewards that this event paid or kept."""

    async def booked(self, tx: Tx, pool: StakingPool, event: Event) -> None:
        """It is confirmed and booked."""

    async def undone(self, tx: Tx, pool: StakingPool, event: Event) -> None:
        """The chain took it back, and the booking was reversed."""


class Bookkeeper:
    """Turns events into postings and back.

    Args:
        ledger: The ledger.
        alerts: Told about what a person should see.
        clock: Time.
        risk: Told of withdrawals that fail here.
        claims: Told of rewards that were paid in batches.
    """

    def __init__(
        self,
        ledger: Ledger,
        alerts: Alerts,
        clock: Clock,
        risk: RiskEngine | None = None,
        claims: RewardClaims | None = None,
    ) -> None:
        self._ledger = ledger
        self._claims = claims
        self._risk = risk
        self._alerts = alerts
        self._clock = clock

    async def book(self, tx: Tx, pool: StakingPool, events: Sequence[Event]) -> list[Withdrawal]:
        """Book events in chain order.

        Returns:
            Withdrawals that changed by it, to be published at the end.

        Raises:
            BooksConflictError: The books cannot follow the chain.
        """
        await self._ready(tx, pool, events)
        holds = Holds(pool, self._ledger, self._clock.now_ms(), self._risk)
        await holds.load(tx, events)
        queue = _Queue(self._ledger, tx)
        try:
            for event in events:
                await self._book_one(tx, pool, event, holds, queue)
            await queue.flush()
        except InsufficientFundsError as error:
            raise BooksConflictError(
                f"an event of the chain cannot be booked: {error.message}", pool=pool.pool_id
            ) from error
        return await holds.save(tx)

    async def count(self, tx: Tx, pool: StakingPool, events: Sequence[Event]) -> None:
        """Tell the risk engine what came and left by users' own hands; before anything is booked.

        What a batch paid was counted when it was asked for.
        """
        if self._risk is None:
            return
        for event in events:
            function = _FLOWS.get((pool.kind, event.kind))
            if function is None or event.batch_id or not event.amount:
                continue
            request = Request(
                function=function,
                product=PRODUCT,
                pool_id=pool.pool_id,
                user=event.wallet,
                asset=pool.asset,
                amount=event.amount,
                reference=event.reference,
            )
            await self._risk.saw(tx, request)

    async def undo(self, tx: Tx, pool: StakingPool, events: Sequence[Event]) -> list[Withdrawal]:
        """Reverse what was booked for events that the chain took back; newest last.

        Returns:
            Withdrawals that changed by it, to be published at the end.

        Raises:
            BooksConflictError: The books cannot follow the chain.
        """
        if self._risk is not None:
            for event in events:
                if (pool.kind, event.kind) in _FLOWS:
                    await self._risk.returned(tx, event.reference)
        await self._ready(tx, pool, events)
        holds = Holds(pool, self._ledger, self._clock.now_ms(), self._risk)
        await holds.load(tx, events, everybody=True)
        await holds.suspend(tx)
        queue = _Queue(self._ledger, tx)
        try:
            for event in reversed(events):
                holds.reopen(event)
                await self._undo_one(tx, pool, event, queue)
            await queue.flush()
        except InsufficientFundsError as error:
            raise BooksConflictError(
                f"an event that the chain took back cannot be reversed: {error.message}",
                pool=pool.pool_id,
            ) from error
        await holds.resume(tx)
        changed = await holds.save(tx)
        await self._alert_undone(tx, pool, events, changed)
        return changed

    async def _ready(self, tx: Tx, pool: StakingPool, events: Sequence[Event]) -> None:
        if self._claims is not None and any(event.kind in MOVES_FUNDS for event in events):
            await self._claims.ready(tx, pool)

    async def _book_one(
        self, tx: Tx, pool: StakingPool, event: Event, holds: Holds, queue: _Queue
    ) -> None:
        if event.kind in FUNDING:
            await queue.flush()
            await self._book_funding(tx, pool, event, queue)
            return
        if _is_batch_reward(event):
            await self._book_reward(tx, pool, event, queue)
            return
        if event.kind is EventKind.REWARD_CLAIMED:
            await queue.flush()
            await self._post_reward(tx, pool, event, queue)
            return
        answered = holds.answered_by(event)
        if answered is not None and await self._answer(tx, answered, event, holds, queue):
            return
        if event.kind in _LEAVES and holds.reserved_of(event.wallet):
            await queue.flush()
            await holds.make_room(tx, event)
        transfer = transfer_of(pool, event)
        if transfer is not None:
            await queue.post(transfer)

    async def _answer(
        self, tx: Tx, withdrawal: Withdrawal, event: Event, holds: Holds, queue: _Queue
    ) -> bool:
        """End the withdrawal that a batch paid or skipped; whether that books the event too."""
        if event.kind is EventKind.SKIPPED:
            await queue.flush()
            await holds.skipped(tx, withdrawal, event)
            return True
        if withdrawal.reserved and withdrawal.amount == event.amount:
            holds.paid(withdrawal, event)
            hold = Resolution(event.identity, withdrawal.hold_id, reference=event.reference)
            await queue.resolve(hold)
            return True
        await queue.flush()
        await holds.paid_otherwise(tx, withdrawal, event)
        return False

    async def _book_reward(self, tx: Tx, pool: StakingPool, event: Event, queue: _Queue) -> None:
        if self._claims is None:
            return
        await queue.flush()
        if event.kind in REWARD_PAYMENTS:
            await self._claims.make_room(tx, pool, event)
        await self._post_reward(tx, pool, event, queue)
        await queue.flush()
        await self._claims.booked(tx, pool, event)

    async def _post_reward(self, tx: Tx, pool: StakingPool, event: Event, queue: _Queue) -> None:
        """Book rewards that left; what was owed to nobody is missing from the funds.

        The chain has paid it, whatever the books say. To stand still instead would
        hold up everybody's deposits and withdrawals for one wallet's surplus.
        """
        transfer = transfer_of(pool, event)
        if transfer is None:
            return
        owed = (await self._ledger.balance(tx, transfer.debit)).available.units
        parts = reward(pool, transfer, owed=max(0, owed))
        for part in parts:
            await queue.post(part)
        surplus = sum(p.amount.units for p in parts if p.debit.name == accounts.SHORTFALL)
        if surplus:
            await self._alerts.raise_(
                tx,
                OVERPAID_ALERT,
                pool.pool_id,
                Severity.CRITICAL,
                f"{pool.asset.amount(surplus)} of rewards left for {event.wallet},"
                " to whom the books do not owe them; see who has the operator's key",
                {"wallet": event.wallet, "amount": str(surplus), "tx_hash": event.tx_hash},
            )

    async def _book_funding(self, tx: Tx, pool: StakingPool, event: Event, queue: _Queue) -> None:
        reserve = accounts.reward_reserve(pool.pool_id, pool.asset)
        missing = accounts.shortfall(pool.pool_id, pool.asset)
        found = await self._ledger.balances(tx, [reserve, missing])
        short = max(0, -found[missing].posted.units)
        if event.kind is EventKind.FUNDED:
            transfers = fund(pool, event, missing=short)
            if short and event.amount >= short:
                await self._alerts.clear(tx, SHORTFALL_ALERT, pool.pool_id)
        else:
            transfers = defund(pool, event, reserve=max(0, found[reserve].available.units))
            await self._alert_shortfall(tx, pool, transfers)
        for transfer in transfers:
            await queue.post(transfer)
        await queue.flush()

    async def _undo_one(self, tx: Tx, pool: StakingPool, event: Event, queue: _Queue) -> None:
        booked = await self._ledger.transfers_by_reference(tx, event.reference)
        for posted in reversed(booked):
            back = reversal(posted)
            if back is None:
                continue
            if event.kind is EventKind.FUNDED and back.debit.name == accounts.REWARD_RESERVE:
                await queue.flush()
                for part in await self._unfund(tx, pool, back):
                    await queue.post(part)
            else:
                await queue.post(back)
        if self._claims is not None and booked and _is_batch_reward(event):
            await queue.flush()
            await self._claims.undone(tx, pool, event)

    async def _unfund(self, tx: Tx, pool: StakingPool, back: Transfer) -> list[Transfer]:
        """Take funding back out of the reserve, and what was distributed since as missing."""
        reserve = await self._ledger.balance(tx, back.debit)
        covered = min(max(0, reserve.available.units), back.amount.units)
        missing = back.amount.units - covered
        short = accounts.shortfall(pool.pool_id, pool.asset)
        parts = [
            Transfer(
                accounts.derived_id("part", back.id, number),
                debit=debit,
                credit=back.credit,
                amount=pool.asset.amount(units),
                code=back.code,
                reference=back.reference,
            )
            for number, (debit, units) in enumerate(((back.debit, covered), (short, missing)))
            if units
        ]
        await self._alert_shortfall(tx, pool, parts)
        return parts

    async def _alert_shortfall(
        self, tx: Tx, pool: StakingPool, transfers: Sequence[Transfer]
    ) -> None:
        missing = [t.amount for t in transfers if t.debit.name == accounts.SHORTFALL]
        for amount in missing:
            await self._alerts.raise_(
                tx,
                SHORTFALL_ALERT,
                pool.pool_id,
                Severity.CRITICAL,
                f"{amount} of funded rewards went away after they were distributed",
                {"amount": str(amount.units), "asset": pool.asset.code},
            )

    async def _alert_undone(
        self,
        tx: Tx,
        pool: StakingPool,
        events: Sequence[Event],
        withdrawals: Sequence[Withdrawal],
    ) -> None:
        await self._alerts.raise_(
            tx,
            REORG_ALERT,
            pool.pool_id,
            Severity.CRITICAL,
            f"the chain took back {len(events)} events that were booked; they were reversed",
            {
                "from_block": min(event.block_number for event in events),
                "events": len(events),
                "withdrawals": [w.id for w in withdrawals][:50],
            },
        )


def _is_batch_reward(event: Event) -> bool:
    """Whether it is about rewards that an operator's batch paid or kept."""
    return event.kind in REWARD_PAYMENTS or bool(event.details.get("kept"))


class _Queue:
    """Transfers and resolutions in order, as few calls of the ledger as the order allows."""

    def __init__(self, ledger: Ledger, tx: Tx) -> None:
        self._ledger = ledger
        self._tx = tx
        self._transfers: list[Transfer] = []
        self._resolutions: list[Resolution] = []

    async def post(self, transfer: Transfer) -> None:
        if self._resolutions or len(self._transfers) == MAX_BATCH:
            await self.flush()
        self._transfers.append(transfer)

    async def resolve(self, resolution: Resolution) -> None:
        if self._transfers or len(self._resolutions) == MAX_BATCH:
            await self.flush()
        self._resolutions.append(resolution)

    async def flush(self) -> None:
        transfers, self._transfers = self._transfers, []
        resolutions, self._resolutions = self._resolutions, []
        await self._ledger.post(self._tx, transfers)
        await self._ledger.post_pending(self._tx, resolutions)
