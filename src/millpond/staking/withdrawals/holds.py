"""Open withdrawals while events are booked: what stays reserved, what is paid, what is void.

The chain is the truth. What a user takes out of the contract is booked even
if it was reserved for a withdrawal; then the reservation ends, and the
withdrawal with it unless a transaction that pays it is under way: that one
decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from millpond.money.errors import InsufficientFundsError
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution, Transfer
from millpond.risk import RiskEngine
from millpond.staking import accounts
from millpond.staking.accounts import derived_id
from millpond.staking.booking import stake_total
from millpond.staking.model import Event, EventKind
from millpond.staking.pools import StakingPool
from millpond.staking.withdrawals import rows
from millpond.staking.withdrawals.model import Withdrawal, WithdrawalState
from millpond.store import Tx

_LEAVES = frozenset({EventKind.WITHDRAW, EventKind.TRANSFER_OUT})
_ANSWERS = frozenset({EventKind.WITHDRAW, EventKind.SKIPPED})
_CONCERNS = _LEAVES | _ANSWERS

SKIPPED_BECAUSE = {
    1: "the balance in the contract was smaller than the withdrawal",
    2: "the token refused to pay this address",
}
"""Reasons of `WithdrawalSkipped`, as in the contract."""

TAKEN_OUT = "the stake was taken out on chain before the withdrawal was paid"
TAKEN_OUT_LATE = "the stake was taken out on chain; the transaction under way decides"
PAID_ANOTHER_AMOUNT = "its transaction paid another amount than was asked for"
PAID_LATE = "paid on chain after it had been given up"
PAYMENT_UNDONE = "the payment was taken back by the chain and may come again"
STAKE_UNDONE = "the stake was taken back by the chain"


def hold_transfer(pool: StakingPool, withdrawal: Withdrawal) -> Transfer:
    """The reservation of a withdrawal."""
    return Transfer(
        withdrawal.hold_id,
        debit=accounts.staked(pool.pool_id, withdrawal.wallet, pool.stake),
        credit=stake_total(pool),
        amount=pool.stake.amount(withdrawal.amount),
        code="withdrawal",
        reference=withdrawal.reference,
    )


def void_of(withdrawal: Withdrawal) -> Resolution:
    """The end of a reservation that was not used."""
    return Resolution(derived_id("void", withdrawal.hold_id), withdrawal.hold_id)


class Holds:
    """The withdrawals that a run of events concerns; locked while they are booked.

    Args:
        pool: The pool.
        ledger: Where the reservations are.
        now_ms: Written into what changes.
        risk: Told of what was counted as leaving and does not.
    """

    def __init__(
        self, pool: StakingPool, ledger: Ledger, now_ms: int, risk: RiskEngine | None = None
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._risk = risk
        self._now_ms = now_ms
        self._open: dict[str, list[str]] = {}
        self._by_batch: dict[tuple[str, str], str] = {}
        self._now: dict[str, Withdrawal] = {}
        self._changed: dict[str, Withdrawal] = {}

    async def load(self, tx: Tx, events: Sequence[Event], *, everybody: bool = False) -> None:
        """Read the withdrawals that these events may touch.

        Args:
            tx: A write transaction.
            events: What is booked or undone.
            everybody: Also of wallets whose stake only grows, which matters when undoing.
        """
        wallets = {e.wallet for e in events if everybody or e.kind in _CONCERNS}
        batches = {e.batch_id for e in events if e.kind in _ANSWERS and e.batch_id}
        found = await rows.open_of(tx, self._pool.pool_id, sorted(wallets), lock=True)
        for withdrawal in found:
            self._open.setdefault(withdrawal.wallet, []).append(withdrawal.id)
            self._now[withdrawal.id] = withdrawal
        answered = await rows.by_chain_keys(tx, self._pool.pool_id, sorted(batches))
        for key, withdrawal in answered.items():
            self._by_batch[key] = withdrawal.id
            self._now.setdefault(withdrawal.id, withdrawal)

    def answered_by(self, event: Event) -> Withdrawal | None:
        """The withdrawal that a batch's event pays or skips."""
        if event.kind not in _ANSWERS or event.batch_id is None:
            return None
        found = self._by_batch.get((event.batch_id, event.wallet))
        return None if found is None else self._now[found]

    def reserved_of(self, wallet: str) -> list[Withdrawal]:
        """Withdrawals of a wallet with an open reservation, oldest first."""
        found = [self._now[each] for each in self._open.get(wallet, ())]
        return [withdrawal for withdrawal in found if withdrawal.reserved]

    def paid(self, withdrawal: Withdrawal, event: Event) -> None:
        """The chain has paid what is reserved; the caller posts the reservation."""
        self._end(withdrawal, WithdrawalState.COMPLETED, "", event)

    async def paid_otherwise(self, tx: Tx, withdrawal: Withdrawal, event: Event) -> None:
        """The chain has paid what is not reserved, or not as much: what is reserved returns."""
        await self._void(tx, withdrawal)
        why = "" if withdrawal.amount == event.amount else PAID_ANOTHER_AMOUNT
        if withdrawal.state is WithdrawalState.FAILED:
            why = PAID_LATE
        self._end(withdrawal, WithdrawalState.COMPLETED, why, event)

    async def skipped(self, tx: Tx, withdrawal: Withdrawal, event: Event) -> None:
        """The contract has passed it over: what was reserved returns."""
        if withdrawal.final:
            return
        await self._void(tx, withdrawal)
        why = SKIPPED_BECAUSE.get(event.details["reason"], "the contract passed it over")
        self._end(withdrawal, WithdrawalState.FAILED, why, event)

    async def make_room(self, tx: Tx, event: Event) -> None:
        """Void reservations that stand in the way of what left the contract."""
        account = accounts.staked(self._pool.pool_id, event.wallet, self._pool.stake)
        for withdrawal in self.reserved_of(event.wallet)[::-1]:
            balance = await self._ledger.balance(tx, account)
            if balance.available.units >= event.amount:
                return
            await self._void(tx, withdrawal)
            self._give_up(withdrawal, TAKEN_OUT, TAKEN_OUT_LATE)

    async def suspend(self, tx: Tx) -> None:
        """Void every open reservation of the wallets concerned, for `resume` to make again."""
        for wallet in self._open:
            for withdrawal in self.reserved_of(wallet):
                await self._void(tx, withdrawal)

    def reopen(self, event: Event) -> None:
        """A payment or a skip was undone: its transaction may come again."""
        withdrawal = self.answered_by(event)
        if withdrawal is None or not withdrawal.final:
            return
        reopened = msgspec.structs.replace(
            withdrawal,
            state=WithdrawalState.PROCESSING,
            reason=PAYMENT_UNDONE,
            tx_hash=None,
            block_number=None,
            finished_ms=None,
            reserved=False,
        )
        self._set(reopened)
        known = self._open.setdefault(withdrawal.wallet, [])
        if withdrawal.id not in known:
            known.append(withdrawal.id)

    async def resume(self, tx: Tx) -> None:
        """Reserve again what is still open and still covered."""
        for withdrawal_id in [each for ids in self._open.values() for each in sorted(ids)]:
            again = msgspec.structs.replace(
                self._now[withdrawal_id], hold=self._now[withdrawal_id].hold + 1, reserved=True
            )
            try:
                await self._ledger.reserve(tx, [hold_transfer(self._pool, again)])
            except InsufficientFundsError:
                self._give_up(self._now[withdrawal_id], STAKE_UNDONE, STAKE_UNDONE)
            else:
                self._set(again)

    async def save(self, tx: Tx) -> list[Withdrawal]:
        """Write what changed; tell about it at the end of the transaction."""
        changed = list(self._changed.values())
        for withdrawal in changed:
            if self._risk is not None and withdrawal.state is WithdrawalState.FAILED:
                await self._risk.returned(tx, withdrawal.reference)
        await rows.save(tx, changed, now_ms=self._now_ms)
        return changed

    def _set(self, withdrawal: Withdrawal) -> None:
        self._now[withdrawal.id] = self._changed[withdrawal.id] = withdrawal

    async def _void(self, tx: Tx, withdrawal: Withdrawal) -> None:
        if withdrawal.reserved:
            await self._ledger.void_pending(tx, [void_of(withdrawal)])
            self._set(msgspec.structs.replace(self._now[withdrawal.id], reserved=False))

    def _give_up(self, withdrawal: Withdrawal, failed: str, under_way: str) -> None:
        """Nothing is reserved any more: it fails, unless a transaction is under way."""
        now = msgspec.structs.replace(self._now[withdrawal.id], reserved=False)
        if now.state is WithdrawalState.PENDING:
            now = msgspec.structs.replace(
                now, state=WithdrawalState.FAILED, reason=failed, finished_ms=self._now_ms
            )
            self._open[now.wallet].remove(now.id)
        else:
            now = msgspec.structs.replace(now, reason=under_way)
        self._set(now)

    def _end(
        self, withdrawal: Withdrawal, state: WithdrawalState, reason: str, event: Event
    ) -> None:
        self._set(
            msgspec.structs.replace(
                self._now[withdrawal.id],
                state=state,
                reason=reason,
                reserved=False,
                tx_hash=event.tx_hash,
                block_number=event.block_number,
                finished_ms=self._now_ms,
            )
        )
        if withdrawal.id in self._open.get(withdrawal.wallet, ()):
            self._open[withdrawal.wallet].remove(withdrawal.id)
