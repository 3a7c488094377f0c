"""Asking for a withdrawal: validation, limits, the reservation and the row, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from millpond.chains.evm.address import checksum
from millpond.clock import Clock, Ids
from millpond.money.errors import InsufficientFundsError
from millpond.money.ledger import Ledger
from millpond.risk import Function, Request, RiskEngine
from millpond.staking import accounts
from millpond.staking.errors import (
    StakeTooSmallError,
    WithdrawalOpenError,
    WithdrawalStateError,
    WithdrawalTooSmallError,
)
from millpond.staking.pools import PRODUCT, PoolKind, StakingPool, get_pool
from millpond.staking.withdrawals import rows
from millpond.staking.withdrawals.holds import hold_transfer, void_of
from millpond.staking.withdrawals.model import Withdrawal, WithdrawalState
from millpond.staking.withdrawals.tables import withdrawal_table
from millpond.store import Tx
from millpond.store.sql import insert_or_ignore


class Withdrawals:
    """Withdrawals out of direct pools; a vault pays its holders itself.

    Args:
        ledger: Where the money is.
        risk: Limits, pauses and breakers.
        clock: Time.
        ids: Makes the withdrawals' identifiers.
    """

    def __init__(self, ledger: Ledger, risk: RiskEngine, clock: Clock, ids: Ids) -> None:
        self.ledger = ledger
        self.risk = risk
        self.clock = clock
        self._ids = ids

    async def request(
        self, tx: Tx, *, pool_id: str, wallet: str, amount: int | None = None
    ) -> Withdrawal:
        """Ask to be paid out of a stake, or a part of it.

        A wallet has one open withdrawal in a pool at a time. Asking again for the
        same is answered with it. Exits are open whatever state the pool is in.

        Args:
            tx: The transaction; the reservation is made in it.
            pool_id: Out of which pool.
            wallet: Whose stake.
            amount: Base units; None: all that is free.

        Raises:
            PoolNotFoundError: There is no such pool.
            InvalidAddressError: The wallet is no address.
            WithdrawalStateError: The pool is a vault.
            WithdrawalOpenError: Another one is under way.
            WithdrawalTooSmallError: Less than the pool's minimum.
            StakeTooSmallError: More than is staked and free.
            RiskRefusedError: A limit, a pause or a breaker; only that is written.
        """
        pool = await get_pool(tx, pool_id)
        if pool.kind is not PoolKind.DIRECT:
            raise WithdrawalStateError("a vault pays its holders itself; redeem there")
        wallet = checksum(wallet)
        earlier = await rows.open_of(tx, pool_id, [wallet])
        if earlier:
            return _same(earlier[0], amount)
        wanted = await self._checked_amount(tx, pool, wallet, amount)
        now_ms = self.clock.now_ms()
        withdrawal = Withdrawal(
            id=self._ids.new(),
            pool_id=pool_id,
            wallet=wallet,
            amount=wanted,
            state=WithdrawalState.PENDING,
            reason="",
            batch_id=None,
            reserved=True,
            hold=1,
            tx_hash=None,
            block_number=None,
            requested_ms=now_ms,
            updated_ms=now_ms,
            finished_ms=None,
        )
        await self.risk.enforce(tx, _asked(pool, withdrawal))
        try:
            await self.ledger.reserve(tx, [hold_transfer(pool, withdrawal)])
        except InsufficientFundsError:
            raise StakeTooSmallError("more than is staked and free") from None
        written = await tx.execute(
            insert_or_ignore(tx, withdrawal_table).values(rows.to_values(withdrawal))
        )
        if written.rowcount != 1:
            # Two requests at once; the whole transaction goes back, this one's hold with it.
            raise WithdrawalOpenError("another withdrawal of this stake is under way")
        await rows.tell(tx, [withdrawal], now_ms=now_ms)
        return withdrawal

    async def cancel(self, tx: Tx, withdrawal_id: str, *, reason: str) -> Withdrawal:
        """End one that is in no transaction yet; what was reserved returns.

        Raises:
            WithdrawalNotFoundError: There is none.
            WithdrawalStateError: It is under way or finished.
        """
        withdrawal = await rows.fetch(tx, withdrawal_id, lock=True)
        if withdrawal.state is not WithdrawalState.PENDING:
            raise WithdrawalStateError(f"the withdrawal is {withdrawal.state.value} already")
        return (await self.fail(tx, [withdrawal], reason))[0]

    async def fail(
        self, tx: Tx, withdrawals: Sequence[Withdrawal], reason: str
    ) -> list[Withdrawal]:
        """End withdrawals that will not be paid and return what was reserved."""
        for withdrawal in withdrawals:
            await self.risk.returned(tx, withdrawal.reference)
        held = [void_of(withdrawal) for withdrawal in withdrawals if withdrawal.reserved]
        await self.ledger.void_pending(tx, held)
        now_ms = self.clock.now_ms()
        return await rows.change(
            tx,
            withdrawals,
            now_ms=now_ms,
            state=WithdrawalState.FAILED,
            reason=reason,
            reserved=False,
            finished_ms=now_ms,
        )

    async def put_back(
        self, tx: Tx, withdrawals: Sequence[Withdrawal], reason: str
    ) -> list[Withdrawal]:
        """Let withdrawals whose transaction came to nothing wait for another one.

        One whose stake left in the meantime, or whose wallet has asked for
        another since, fails instead.
        """
        pending = [w for w in withdrawals if w.reserved and not await self._asked_again(tx, w)]
        lost = [w for w in withdrawals if w not in pending]
        await self.fail(tx, lost, reason)
        return await rows.change(
            tx,
            pending,
            now_ms=self.clock.now_ms(),
            state=WithdrawalState.PENDING,
            reason=reason,
            batch_id=None,
        )

    async def under_way(self, tx: Tx, chain_key: str) -> list[Withdrawal]:
        """Withdrawals of a batch, by its name on chain, whose end is open; locked."""
        found = await rows.of_batch(tx, chain_key)
        return [w for w in found if w.state is WithdrawalState.PROCESSING]

    async def explain(self, tx: Tx, withdrawals: Sequence[Withdrawal], reason: str) -> None:
        """Say why withdrawals are where they are."""
        await rows.change(tx, withdrawals, now_ms=self.clock.now_ms(), reason=reason)

    async def _asked_again(self, tx: Tx, withdrawal: Withdrawal) -> bool:
        found = await rows.open_of(tx, withdrawal.pool_id, [withdrawal.wallet])
        return any(other.state is WithdrawalState.PENDING for other in found)

    async def _checked_amount(
        self, tx: Tx, pool: StakingPool, wallet: str, amount: int | None
    ) -> int:
        account = accounts.staked(pool.pool_id, wallet, pool.stake)
        available = (await self.ledger.balance(tx, account)).available.units
        wanted = available if amount is None else amount
        if wanted < pool.min_withdrawal:
            raise WithdrawalTooSmallError(
                f"the smallest withdrawal is {pool.stake.amount(pool.min_withdrawal)}",
                minimum=str(pool.min_withdrawal),
                available=str(available),
            )
        if wanted > available:
            raise StakeTooSmallError(
                f"{pool.stake.amount(available)} are staked and free", available=str(available)
            )
        return wanted


def _asked(pool: StakingPool, withdrawal: Withdrawal) -> Request:
    return Request(
        function=Function.WITHDRAW,
        product=PRODUCT,
        pool_id=pool.pool_id,
        user=withdrawal.wallet,
        asset=pool.stake,
        amount=withdrawal.amount,
        reference=withdrawal.reference,
    )


def _same(earlier: Withdrawal, amount: int | None) -> Withdrawal:
    if amount is not None and amount != earlier.amount:
        raise WithdrawalOpenError(
            "another withdrawal of this stake is under way", withdrawal=earlier.id
        )
    return earlier
