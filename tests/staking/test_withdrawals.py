"""Withdrawals: reserved when asked for, paid once, and the chain has the last word."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest

from millpond.chains.evm.tx import Call, CallRevertedError, Market
from millpond.clock import SeededEntropy
from millpond.intents import Intent, Intents
from millpond.risk import HoldKind, Limits, RiskEngine, RiskRefusedError, Scope
from millpond.staking import accounts
from millpond.staking.batches import payload_of
from millpond.staking.errors import (
    StakeTooSmallError,
    WithdrawalOpenError,
    WithdrawalStateError,
    WithdrawalTooSmallError,
)
from millpond.staking.paying import NO_GAS, HotWallet
from millpond.staking.pools import PoolState, change_pool
from millpond.staking.settings import StakingSettings
from millpond.staking.withdrawals import rows
from millpond.staking.withdrawals.effect import WithdrawalEffect
from millpond.staking.withdrawals.model import Withdrawal, WithdrawalState
from millpond.staking.withdrawals.run import WithdrawalRun
from millpond.staking.withdrawals.service import Withdrawals
from millpond.store import Store
from tests.staking.chain import wallet
from tests.staking.rig import Rig, rig_for
from tests.staking.samples import TOKEN, direct_pool, vault_pool

POOL = "btcd-main-pool"
A, B, C = wallet(1), wallet(2), wallet(3)
OPERATOR = wallet(99)
_S = WithdrawalState


@dataclass
class Gas:
    """The paying side of a chain: gas money, and whether the contract refuses."""

    wei: int = 10**20
    refuses: str = ""
    tried: list[Call] = field(default_factory=list)

    async def balance(self, address: str) -> int:
        """What the hot wallet has."""
        assert address == OPERATOR
        return self.wei

    async def market(self) -> Market:
        """Ten gwei."""
        return Market(10**10, 10**9)

    async def simulate(self, sender: str, call: Call) -> bytes:
        """Refuse or not."""
        self.tried.append(call)
        if self.refuses:
            raise CallRevertedError(self.refuses)
        return b""


@dataclass
class Desk:
    """A rig with withdrawals beside it."""

    rig: Rig
    withdrawals: Withdrawals
    run: WithdrawalRun
    effect: WithdrawalEffect
    gas: Gas
    risk: RiskEngine

    async def ask(self, who: str, amount: int | None = None) -> Withdrawal:
        """Request in a transaction of its own."""
        async with self.rig.store.begin() as tx:
            return await self.withdrawals.request(tx, pool_id=POOL, wallet=who, amount=amount)

    async def get(self, withdrawal: Withdrawal) -> Withdrawal:
        """As it is now."""
        async with self.rig.store.read() as tx:
            return await rows.fetch(tx, withdrawal.id)

    async def batch(self) -> Intent:
        """Run the worker; it writes one batch."""
        (result,) = await self.run.run_once()
        (intent,) = result.batches
        return intent

    def sign(self, intent: Intent) -> None:
        """Put the batch's transaction into the chain's pool."""
        payload = payload_of(intent)
        payees = [(who, int(units)) for who, units in payload.payees]
        self.rig.chain.pay(POOL, payload.chain_key, payees)

    async def free(self, who: str) -> int:
        """What of a stake can be asked for."""
        async with self.rig.store.read() as tx:
            account = accounts.staked(POOL, who, TOKEN.asset)
            return (await self.rig.ledger.balance(tx, account)).available.units


@pytest.fixture
async def desk(store: Store) -> Desk:
    """A direct pool in which A has staked 100 and B 50."""
    rig = await rig_for(store, [direct_pool(min_withdrawal=10)], risky=True)
    intents = Intents(store, rig.clock, rig.ids, SeededEntropy(3))
    risk = rig.risk
    withdrawals = Withdrawals(rig.ledger, risk, rig.clock, rig.ids)
    gas = Gas()
    run = WithdrawalRun(
        store,
        intents,
        risk,
        {31337: HotWallet(gas, OPERATOR)},
        alerts=rig.alerts,
        clock=rig.clock,
        ids=rig.ids,
        settings=StakingSettings(max_payees=2),
    )
    effect = WithdrawalEffect(withdrawals, rig.alerts)
    rig.chain.deposit(POOL, A, 100)
    rig.chain.deposit(POOL, B, 50)
    rig.chain.mine(3)
    await rig.index()
    return Desk(rig, withdrawals, run, effect, gas, risk)


async def test_a_request_reserves_and_the_confirmed_payment_completes_it(desk: Desk) -> None:
    asked = await desk.ask(A, 60)
    assert (asked.state, await desk.free(A)) == (_S.PENDING, 40)
    intent = await desk.batch()
    assert (await desk.get(asked)).state is _S.PROCESSING
    desk.sign(intent)
    desk.rig.chain.mine()
    await desk.rig.index()
    assert (await desk.get(asked)).state is _S.PROCESSING, "not deep enough yet"
    desk.rig.chain.mine(2)
    await desk.rig.index()
    done = await desk.get(asked)
    assert (done.state, done.reason, done.reserved) == (_S.COMPLETED, "", False)
    assert done.tx_hash is not None
    assert await desk.free(A) == 40
    assert await desk.rig.balance(accounts.principal(POOL, TOKEN.asset)) == 90
    await desk.rig.check()


async def test_all_that_is_free_is_meant_when_no_amount_is_given(desk: Desk) -> None:
    asked = await desk.ask(B)
    assert asked.amount == 50
    assert await desk.ask(B) == asked, "asking again is answered with the same"
    with pytest.raises(WithdrawalOpenError):
        await desk.ask(B, 20)


async def test_what_cannot_be_paid_is_refused_with_a_reason(desk: Desk) -> None:
    with pytest.raises(WithdrawalTooSmallError):
        await desk.ask(A, 9)
    with pytest.raises(StakeTooSmallError):
        await desk.ask(A, 101)
    with pytest.raises(WithdrawalTooSmallError):
        await desk.ask(C)
    async with desk.rig.store.read() as tx:
        assert await rows.listed(tx) == []


async def test_a_vault_is_left_by_redeeming(store: Store) -> None:
    rig = await rig_for(store, [vault_pool()])
    risk = RiskEngine(rig.ledger, rig.clock, rig.ids)
    withdrawals = Withdrawals(rig.ledger, risk, rig.clock, rig.ids)
    async with store.begin() as tx:
        with pytest.raises(WithdrawalStateError):
            await withdrawals.request(tx, pool_id="btcd-vault", wallet=A, amount=10)


async def test_exits_stay_open_in_a_paused_pool_and_limits_hold(desk: Desk) -> None:
    async with desk.rig.store.begin() as tx:
        await change_pool(tx, POOL, desk.rig.clock, state=PoolState.PAUSED)
        await desk.risk.set_limits(
            tx,
            "ann",
            Scope.pool(POOL),
            TOKEN.asset.code,
            Limits(withdrawal_cap=60),
        )
    with pytest.raises(RiskRefusedError):
        await desk.ask(A, 61)
    assert (await desk.ask(A, 60)).state is _S.PENDING
    async with desk.rig.store.read() as tx:
        assert len(await rows.listed(tx, pool_id=POOL)) == 1


async def test_one_that_waits_can_be_cancelled_and_one_under_way_cannot(desk: Desk) -> None:
    asked = await desk.ask(A, 60)
    async with desk.rig.store.begin() as tx:
        failed = await desk.withdrawals.cancel(tx, asked.id, reason="asked to")
    assert (failed.state, await desk.free(A)) == (_S.FAILED, 100)
    again = await desk.ask(A, 60)
    await desk.batch()
    async with desk.rig.store.begin() as tx:
        with pytest.raises(WithdrawalStateError):
            await desk.withdrawals.cancel(tx, again.id, reason="too late")


async def test_who_took_the_stake_out_is_skipped_and_the_others_are_paid(desk: Desk) -> None:
    first, second = await desk.ask(A, 80), await desk.ask(B, 50)
    intent = await desk.batch()
    desk.rig.chain.withdraw(POOL, A, 50)
    desk.sign(intent)
    desk.rig.chain.mine(3)
    await desk.rig.index()
    skipped, paid = await desk.get(first), await desk.get(second)
    assert (skipped.state, paid.state) == (_S.FAILED, _S.COMPLETED)
    assert "smaller" in skipped.reason
    assert await desk.free(A) == 50
    await desk.rig.check()


async def test_taking_out_what_is_reserved_fails_a_request_that_waits(desk: Desk) -> None:
    asked = await desk.ask(A, 80)
    desk.rig.chain.withdraw(POOL, A, 30)
    desk.rig.chain.mine(3)
    await desk.rig.index()
    failed = await desk.get(asked)
    assert (failed.state, failed.reserved) == (_S.FAILED, False)
    assert await desk.free(A) == 70
    (result,) = await desk.run.run_once()
    assert result.payees == 0
    await desk.rig.check()


async def test_taking_out_what_is_free_leaves_the_request_alone(desk: Desk) -> None:
    asked = await desk.ask(A, 60)
    desk.rig.chain.withdraw(POOL, A, 40)
    desk.rig.chain.mine(3)
    await desk.rig.index()
    assert (await desk.get(asked)).reserved
    assert await desk.free(A) == 0
    await desk.rig.check()


async def test_the_transaction_under_way_decides_after_the_stake_came_back(desk: Desk) -> None:
    """Taken out, staked again, then paid by the old batch: paid once, books as the chain."""
    asked = await desk.ask(A, 60)
    intent = await desk.batch()
    desk.rig.chain.withdraw(POOL, A, 90)
    desk.rig.chain.mine(3)
    await desk.rig.index()
    waiting = await desk.get(asked)
    assert (waiting.state, waiting.reserved) == (_S.PROCESSING, False)
    desk.rig.chain.deposit(POOL, A, 70)
    desk.rig.chain.mine()
    desk.sign(intent)
    desk.rig.chain.mine(3)
    await desk.rig.index()
    assert (await desk.get(asked)).state is _S.COMPLETED
    assert await desk.free(A) == 20
    await desk.rig.check()


@pytest.mark.parametrize("keep", [True, False], ids=["again", "dropped"])
async def test_a_payment_that_a_deep_reorg_took_back_is_under_way_again(
    desk: Desk, keep: bool
) -> None:
    asked = await desk.ask(A, 60)
    intent = await desk.batch()
    desk.sign(intent)
    desk.rig.chain.mine(3)
    await desk.rig.index()
    assert (await desk.get(asked)).state is _S.COMPLETED
    desk.rig.chain.reorg(3, keep=False, blocks=4)
    await desk.rig.index()
    open_again = await desk.get(asked)
    assert (open_again.state, open_again.reserved) == (_S.PROCESSING, True)
    assert (await desk.free(A), open_again.hold) == (40, 2)
    await desk.rig.check()
    if keep:
        desk.rig.chain.pending += desk.rig.chain.dropped
        desk.rig.chain.mine(3)
        await desk.rig.index()
        assert (await desk.get(asked)).state is _S.COMPLETED
        assert await desk.free(A) == 40
        await desk.rig.check()


async def test_a_deposit_that_a_deep_reorg_took_back_fails_the_request(desk: Desk) -> None:
    asked = await desk.ask(A, 60)
    desk.rig.chain.reorg(3, keep=False, blocks=7)
    await desk.rig.index()
    failed = await desk.get(asked)
    assert (failed.state, failed.reserved) == (_S.FAILED, False)
    assert await desk.free(A) == 0
    assert "staking_deep_reorg" in await desk.rig.open_alerts()
    await desk.rig.check()


async def test_without_gas_money_people_wait_and_the_operator_is_told(desk: Desk) -> None:
    asked = await desk.ask(A, 60)
    desk.gas.wei = 10**12
    (result,) = await desk.run.run_once()
    assert (result.batches, result.waits) == ((), NO_GAS)
    assert (await desk.get(asked)).state is _S.PENDING
    assert "staking_gas_shortage" in await desk.rig.open_alerts()
    desk.gas.wei = 10**20
    await desk.batch()
    assert "staking_gas_shortage" not in await desk.rig.open_alerts()


async def test_a_paused_contract_lets_people_wait_and_the_operator_is_told(desk: Desk) -> None:
    asked = await desk.ask(A, 60)
    desk.gas.refuses = "paused"
    (result,) = await desk.run.run_once()
    assert "paused" in result.waits
    assert (await desk.get(asked)).state is _S.PENDING
    assert "staking_withdrawals_refused" in await desk.rig.open_alerts()


async def test_exits_that_are_held_let_people_wait_and_say_why(desk: Desk) -> None:
    asked = await desk.ask(A, 60)
    async with desk.rig.store.begin() as tx:
        hold = await desk.risk.trip(
            tx,
            HoldKind.RECONCILIATION,
            Scope.pool(POOL),
            "less is there than the books say",
            asset=TOKEN.code,
            exits_because="less is there than the books say",
        )
    (result,) = await desk.run.run_once()
    assert result.waits == "withdrawals are held: less is there than the books say"
    assert (await desk.get(asked)).state is _S.PENDING
    async with desk.rig.store.begin() as tx:
        await desk.risk.reset_breaker(tx, "ann", hold.id, "found", role=hold.reset_role)
    await desk.batch()


async def test_the_oldest_that_waits_too_long_is_an_alert(desk: Desk) -> None:
    await desk.ask(A, 60)
    desk.gas.wei = 0
    desk.rig.clock.advance(4_000)
    await desk.run.run_once()
    assert "staking_withdrawal_old" in await desk.rig.open_alerts()


async def test_workers_at_once_put_nobody_into_two_batches(desk: Desk) -> None:
    for number in range(10, 15):
        desk.rig.chain.deposit(POOL, wallet(number), 30)
    desk.rig.chain.mine(3)
    await desk.rig.index()
    for number in range(10, 15):
        await desk.ask(wallet(number), 20)
    (one,), (two,) = await desk.run.run_once(), await desk.run.run_once()
    payees = [p for i in (*one.batches, *two.batches) for p, _ in payload_of(i).payees]
    assert sorted(payees) == [wallet(number) for number in range(10, 15)]
    assert [len(payload_of(i).payees) for i in one.batches] == [2, 2, 1]


async def test_a_batch_that_came_to_nothing_lets_its_people_wait_again(desk: Desk) -> None:
    asked = await desk.ask(A, 60)
    intent = await desk.batch()
    async with desk.rig.store.begin() as tx:
        await desk.effect.release(tx, intent, "the contract refuses it")
    waiting = await desk.get(asked)
    assert (waiting.state, waiting.batch_id, waiting.reserved) == (_S.PENDING, None, True)
    assert (await desk.batch()).id != intent.id


async def test_one_that_was_given_up_after_sending_is_not_repeated(desk: Desk) -> None:
    """And if the chain pays it after all, it was paid, and the books say so."""
    asked = await desk.ask(A, 60)
    intent = await desk.batch()
    sent = msgspec.structs.replace(intent, sends=1)
    async with desk.rig.store.begin() as tx:
        await desk.effect.release(tx, sent, "abandoned by ann")
    assert (await desk.get(asked)).state is _S.FAILED
    assert await desk.free(A) == 100
    desk.sign(intent)
    desk.rig.chain.mine(3)
    await desk.rig.index()
    late = await desk.get(asked)
    assert (late.state, await desk.free(A)) == (_S.COMPLETED, 40)
    await desk.rig.check()


@pytest.mark.parametrize(("asked", "paid"), [(60, 40), (60, 90), (100, 40)])
async def test_a_batch_that_pays_another_amount_leaves_nothing_reserved(
    desk: Desk, asked: int, paid: int
) -> None:
    """By hand, with the name of a batch of ours; what is left can be taken out."""
    withdrawal = await desk.ask(A, asked)
    batch = payload_of(await desk.batch())
    desk.rig.chain.pay(POOL, batch.chain_key, [(A, paid)])
    desk.rig.chain.mine(3)
    await desk.rig.index()
    now = await desk.get(withdrawal)
    assert (now.state, now.reserved, "another amount" in now.reason) == (_S.COMPLETED, False, True)
    assert await desk.free(A) == 100 - paid
    desk.rig.chain.withdraw(POOL, A, 100 - paid)
    desk.rig.chain.mine(3)
    await desk.rig.index()
    assert await desk.free(A) == 0
    await desk.rig.check()
    assert "staking_pool_stopped" not in await desk.rig.open_alerts()


async def test_a_payment_of_another_amount_that_a_reorg_took_back_is_reserved_as_asked(
    desk: Desk,
) -> None:
    withdrawal = await desk.ask(A, 60)
    intent = await desk.batch()
    desk.rig.chain.pay(POOL, payload_of(intent).chain_key, [(A, 40)])
    desk.rig.chain.mine(3)
    await desk.rig.index()
    desk.rig.chain.reorg(3, keep=False, blocks=4)
    await desk.rig.index()
    now = await desk.get(withdrawal)
    assert (now.state, now.reserved, await desk.free(A)) == (_S.PROCESSING, True, 40)
    desk.sign(intent)
    desk.rig.chain.mine(3)
    await desk.rig.index()
    assert ((await desk.get(withdrawal)).state, await desk.free(A)) == (_S.COMPLETED, 40)
    await desk.rig.check()


async def test_what_users_take_out_by_themselves_counts_towards_their_limits(desk: Desk) -> None:
    async with desk.rig.store.begin() as tx:
        limits = Limits(user_24h=70)
        await desk.risk.set_limits(tx, "ann", Scope.pool(POOL), TOKEN.asset.code, limits)
    desk.rig.chain.withdraw(POOL, A, 50)
    desk.rig.chain.mine(3)
    await desk.rig.index()
    with pytest.raises(RiskRefusedError):
        await desk.ask(A, 30)
    asked = await desk.ask(A, 20)
    desk.sign(await desk.batch())
    desk.rig.chain.mine(3)
    await desk.rig.index()
    assert (await desk.get(asked)).state is _S.COMPLETED
    desk.rig.chain.reorg(6, keep=False, blocks=10)
    await desk.rig.index()
    await desk.rig.check()
