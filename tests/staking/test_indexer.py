"""The indexer: exactly once, in order, through reorgs, and the books with it."""

from __future__ import annotations

import pytest

from millpond.staking import accounts
from millpond.staking.history import balances_before, booked_mark, changes_between
from millpond.staking.positions import events_of, get_position
from millpond.store import Store
from tests.staking.chain import wallet
from tests.staking.rig import Rig, rig_for
from tests.staking.samples import TOKEN, direct_pool

POOL = "btcd-main-pool"
A, B, C = wallet(1), wallet(2), wallet(3)


@pytest.fixture
async def rig(store: Store) -> Rig:
    """A direct pool with three confirmations."""
    return await rig_for(store, [direct_pool()])


async def test_a_deposit_is_seen_at_once_and_counts_when_it_is_deep_enough(rig: Rig) -> None:
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine()
    assert await rig.index() == 1
    async with rig.store.read() as tx:
        position = await get_position(tx, POOL, A)
    assert (position.seen, position.balance) == (100, 0)
    assert await rig.balance(accounts.principal(POOL, TOKEN.asset)) == 0
    rig.chain.mine(2)
    await rig.index()
    async with rig.store.read() as tx:
        position = await get_position(tx, POOL, A)
    assert (position.seen, position.balance) == (100, 100)
    assert position.since_s == rig.chain.minted[1].block.timestamp_s
    assert await rig.balance(accounts.principal(POOL, TOKEN.asset)) == 100
    await rig.check()


async def test_running_again_changes_nothing(rig: Rig) -> None:
    rig.chain.deposit(POOL, A, 100)
    rig.chain.withdraw(POOL, A, 30)
    rig.chain.mine(5)
    assert await rig.index() == 2
    assert await rig.index() == 0
    await rig.check()


async def test_history_is_what_the_reward_engine_folds_over(rig: Rig) -> None:
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine()
    rig.chain.deposit(POOL, B, 50)
    rig.chain.withdraw(POOL, A, 40)
    rig.chain.mine(4)
    await rig.index()
    times = [each.block.timestamp_s for each in rig.chain.minted]
    async with rig.store.read() as tx:
        changes = await changes_between(tx, POOL, times[0], times[3])
        assert [(c.at_s, c.wallet, c.balance) for c in changes] == [
            (times[1], A, 100),
            (times[2], B, 50),
            (times[2], A, 60),
        ]
        assert await balances_before(tx, POOL, times[2]) == {A: 100}
        assert await balances_before(tx, POOL, times[2] + 1) == {A: 60, B: 50}
        mark = await booked_mark(tx, POOL)
        assert (mark.number, mark.time_s) == (3, times[3])
        assert [e.amount for e in await events_of(tx, POOL, wallet=A)] == [40, 100]


async def test_reorgs_of_every_depth_before_and_after_the_confirmation(rig: Rig) -> None:
    rig.chain.mine(6)
    for keep in (True, False):
        for depth in range(1, 6):
            for after in range(5):
                await _reorg(rig, depth=depth, after=after, keep=keep)


async def _reorg(rig: Rig, *, depth: int, after: int, keep: bool) -> None:
    """Two blocks with events, `after` more on top, then a reorg of `depth`."""
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine()
    rig.chain.deposit(POOL, B, 70)
    rig.chain.withdraw(POOL, A, 25)
    rig.chain.mine(1 + after)
    await rig.index()
    await rig.check()
    rig.chain.reorg(depth, keep=keep)
    await rig.index()
    await rig.check()
    # The blocks with events have `after` and `after + 1` on top; with two an event is booked.
    booked = (depth > after >= 2) or (depth > after + 1 >= 2)
    assert ("staking_deep_reorg" in await rig.open_alerts()) == booked
    async with rig.store.begin() as tx:
        await rig.alerts.clear(tx, "staking_deep_reorg", POOL)
    rig.chain.mine(8)
    await rig.index()
    await rig.check()
