"""Timers may call the reward cycle as they like."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from millpond.staking.pools import PoolState, StakingPool, change_pool
from millpond.staking.rewards import cycle
from millpond.staking.rewards.cycle import BOOKS_ALERT, RewardCycle
from millpond.staking.tables import event_table
from millpond.store import Store, Tx
from tests.staking.rewards.chain import ALICE, E18, ZERO_S, World, vault
from tests.staking.samples import direct_pool


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    """One database is enough: nothing here is about it."""
    return sqlite_store


async def rewarded(store: Store, pool: StakingPool | None = None) -> tuple[World, RewardCycle]:
    world = await World(store, pool).create()
    await world.fund(0, 10**6 * E18)
    await world.hold(1, ALICE, 10)
    return world, RewardCycle(store, world.epochs, world.clock, world.entropy, world.alerts)


async def test_runs_of_a_direct_pool_are_four_minutes_apart(store: Store):
    world, runs = await rewarded(store)
    await world.mark(600)
    assert (await runs.run(world.pool.pool_id)).closed == [0, 1]
    await world.mark(600 + 239)
    assert (await runs.run(world.pool.pool_id)).waits == "ran a moment ago"
    await world.mark(600 + 240)
    assert (await runs.run(world.pool.pool_id)).waits == ""
    await world.mark(1300)
    assert [run.closed for run in await runs.run_all()] == [[2, 3]]


async def test_a_pool_of_short_epochs_runs_once_in_each(store: Store):
    pool = direct_pool(epoch_zero_s=ZERO_S, epoch_s=30, reward_per_minute=E18, confirmations=1)
    world, runs = await rewarded(store, pool)
    await world.mark(30)
    assert (await runs.run(world.pool.pool_id)).closed == [0]
    await world.mark(30 + 23)
    assert (await runs.run(world.pool.pool_id)).waits == "ran a moment ago"
    await world.mark(60)
    assert (await runs.run(world.pool.pool_id)).closed == [1]


async def test_a_late_run_catches_up_epoch_by_epoch_within_bounds(store: Store, monkeypatch):
    monkeypatch.setattr(cycle, "MAX_EPOCHS", 3)
    world, runs = await rewarded(store)
    await world.mark(300 * 5)
    assert (await runs.run(world.pool.pool_id)).closed == [0, 1, 2]
    world.clock.advance(300)
    assert (await runs.run(world.pool.pool_id)).closed == [3, 4]


async def test_a_token_beyond_all_counting_stops_its_own_pool_alone(store: Store):
    world, runs = await rewarded(store)
    terms = {"epoch_zero_s": ZERO_S, "epoch_s": 300, "reward_per_minute": E18, "confirmations": 1}
    pool = direct_pool(
        pool_id="a-first", contract=f"0x{'7' * 40}", rewards_contract=f"0x{'8' * 40}", **terms
    )
    huge = await World(store, pool).create()
    await huge.hold(1, ALICE, 2**256 - 1)
    for each in (huge, world):
        await each.fund(2, E18)
        await each.mark(600)
    first, second = await runs.run_all()
    assert (first.pool_id, first.closed) == ("a-first", [0])
    assert "cannot be closed" in first.waits
    assert (second.pool_id, second.closed) == (world.pool.pool_id, [0, 1])
    async with store.read() as tx:
        opened = [(alert.kind, alert.subject) for alert in await world.alerts.open(tx)]
        assert opened == [(BOOKS_ALERT, "pool:a-first")]
        assert await world.ledger.verify(tx) == []


async def test_a_vault_may_be_run_at_any_time(store: Store):
    world, runs = await rewarded(store, vault())
    await world.mark(3600)
    assert (await runs.run(world.pool.pool_id)).closed == [0]
    assert (await runs.run(world.pool.pool_id)).closed == []


async def test_what_holds_rewards_back_is_told_and_nothing_is_lost(store: Store):
    world, _ = await rewarded(store)

    class Paused:
        reason: str | None = "rewards are paused"

        async def held_because(self, tx: Tx, pool: StakingPool) -> str | None:
            return self.reason

    gate = Paused()
    runs = RewardCycle(store, world.epochs, world.clock, world.entropy, world.alerts, gate=gate)
    await world.mark(900)
    run = await runs.run(world.pool.pool_id)
    assert (run.closed, run.waits) == ([], "rewards are paused")
    gate.reason = None
    world.clock.advance(300)
    assert (await runs.run(world.pool.pool_id)).closed == [0, 1, 2]


async def test_books_that_hold_less_than_the_chain_says_stop_the_pool_and_alert(store: Store):
    world, runs = await rewarded(store)
    async with store.begin() as tx:
        funded = event_table.c.kind == "funded"
        await tx.execute(update(event_table).where(funded).values(amount=10**9 * E18))
        await change_pool(tx, world.pool.pool_id, world.clock, reward_per_minute=10**8 * E18)
    await world.mark(900)
    run = await runs.run(world.pool.pool_id)
    assert run.closed == [0]
    async with store.read() as tx:
        assert await world.alerts.find_open(tx, BOOKS_ALERT, f"pool:{world.pool.pool_id}")
        assert await world.ledger.verify(tx) == []


async def test_pools_that_are_not_active_are_left_alone(store: Store):
    world, runs = await rewarded(store)
    async with store.begin() as tx:
        await change_pool(tx, world.pool.pool_id, world.clock, state=PoolState.CLOSED)
    await world.mark(900)
    assert await runs.run_all() == []
