"""The ledger books exactly once, all or nothing, and never below zero."""

import pytest

from millpond.clock import ManualClock
from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Asset
from millpond.money.errors import InsufficientFundsError, LedgerConflictError
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution, Transfer
from millpond.store import Store

LTC = Asset("LTC", 8)
WALLET = Account(AccountType.ASSET, "pool/litecoin", "wallet", LTC)
ALICE = Account(AccountType.LIABILITY, "miner/alice", "balance", LTC)
BOB = Account(AccountType.LIABILITY, "miner/bob", "balance", LTC)


@pytest.fixture
def ledger(clock: ManualClock) -> Ledger:
    return Ledger(clock)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def reward(number: int, units: int, account: Account = ALICE) -> Transfer:
    return Transfer(f"reward-{number}", WALLET, account, LTC.amount(units), "reward", "block:00")


async def test_a_posted_transfer_moves_both_balances(store: Store, ledger: Ledger):
    async with store.begin() as tx:
        (posted,) = await ledger.post(tx, [reward(1, 500)])
    assert posted.amount == LTC.amount(500)
    async with store.read() as tx:
        balances = await ledger.balances(tx, [WALLET, ALICE, BOB])
        assert [balances[a].posted.units for a in (WALLET, ALICE, BOB)] == [500, 500, 0]
        assert await ledger.verify(tx) == []


async def test_repeating_answers_as_the_first_time_and_another_body_conflicts(
    store: Store, ledger: Ledger, clock: ManualClock
):
    async with store.begin() as tx:
        first = await ledger.post(tx, [reward(1, 500), reward(2, 7, BOB), reward(1, 500)])
    assert first[0] == first[2]
    clock.advance(10)
    async with store.begin() as tx:
        assert await ledger.post(tx, [reward(1, 500), reward(2, 7, BOB)]) == first[:2]
        for other in (reward(1, 501), reward(1, 500, BOB)):
            with pytest.raises(LedgerConflictError):
                await ledger.post(tx, [other])
        with pytest.raises(LedgerConflictError):
            await ledger.reserve(tx, [reward(1, 500)])
        with pytest.raises(LedgerConflictError):
            await ledger.post(tx, [reward(3, 1), reward(3, 2)])
        assert (await ledger.balance(tx, ALICE)).posted.units == 500


async def test_a_reservation_is_checked_held_partly_posted_and_the_rest_returns(
    store: Store, ledger: Ledger
):
    payout = Transfer("payout-1", ALICE, WALLET, LTC.amount(300), "payout", "payout:1")
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 500)])
        await ledger.reserve(tx, [payout])
        held = await ledger.balance(tx, ALICE)
        assert (held.posted.units, held.available.units) == (500, 200)
        with pytest.raises(InsufficientFundsError) as caught:
            await ledger.post(tx, [Transfer("x", ALICE, BOB, LTC.amount(201), "gift")])
        assert caught.value.details["available"] == "200"
        await ledger.post_pending(tx, [Resolution("end-1", "payout-1", LTC.amount(100))])
    async with store.read() as tx:
        after = await ledger.balance(tx, ALICE)
        assert (after.posted.units, after.available.units) == (400, 400)
        assert await ledger.verify(tx) == []
