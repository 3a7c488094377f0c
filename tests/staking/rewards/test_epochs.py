"""Closing epochs on real databases: once, in order, out of what was funded."""

from __future__ import annotations

import asyncio

import pytest

from millpond.staking import accounts
from millpond.staking.model import EventKind
from millpond.staking.pools import PoolState, change_pool
from millpond.staking.rewards import rows
from millpond.staking.rewards.epochs import DISPUTED, UNDERFUNDED
from millpond.staking.rewards.errors import (
    EpochChangedError,
    EpochClearedError,
    EpochNotFoundError,
    EpochStateError,
    NoRewardsError,
)
from millpond.staking.rewards.merkle import proves
from millpond.staking.rewards.model import EpochState
from millpond.staking.rewards.rows import clear_snapshots
from millpond.staking.rewards.statement import decode, statement_hash
from millpond.staking.rewards.statements import export, proof
from millpond.staking.rewards.tables import snapshot_table
from millpond.store import Store
from tests.staking.rewards.chain import ALICE, BOB, CAROL, E18, World, vault


async def earned(world: World, wallet: str) -> int:
    account = accounts.rewards(world.pool.pool_id, wallet, world.pool.asset)
    async with world.store.read() as tx:
        return (await world.ledger.balance(tx, account)).posted.units


async def reserve(world: World) -> int:
    account = accounts.reward_reserve(world.pool.pool_id, world.pool.asset)
    async with world.store.read() as tx:
        return (await world.ledger.balance(tx, account)).posted.units


async def staked_world(store: Store) -> World:
    """Alice holds three, Bob one, from epoch 0 on; a thousand are funded."""
    world = await World(store).create()
    await world.fund(5, 1000 * E18)
    await world.hold(10, ALICE, 3 * E18)
    await world.hold(20, BOB, E18)
    return world


async def test_epochs_are_closed_one_by_one_when_their_blocks_are_deep(store: Store):
    world = await staked_world(store)
    await world.mark(299)
    assert await world.close_next() is None
    await world.mark(300)
    first = await world.close_next()
    # What arrived in an epoch counts from the next.
    assert (first.epoch, first.number, first.wanted, first.distributed) == (0, 1, 0, 0)
    assert await world.close_next() is None
    await world.mark(950)
    closed = await world.close_all()
    assert [epoch.epoch for epoch in closed] == [1, 2]
    assert await earned(world, ALICE) == 2 * 5 * E18 * 3 // 4
    assert await earned(world, BOB) == 2 * 5 * E18 // 4
    assert await reserve(world) == 990 * E18
    async with store.read() as tx:
        assert await world.ledger.verify(tx) == []


async def test_closing_at_the_same_time_closes_each_epoch_once(store: Store):
    world = await staked_world(store)
    await world.mark(3000)
    await asyncio.gather(*(world.close_next() for _ in range(6)))
    async with store.read() as tx:
        page = await rows.epochs_page(tx, world.pool.pool_id)
    assert [epoch.epoch for epoch in page] == [5, 4, 3, 2, 1, 0]
    assert await earned(world, ALICE) + await earned(world, BOB) == 25 * E18


async def test_a_pool_in_which_nobody_ever_staked_has_no_epochs(sqlite_store: Store):
    world = await World(sqlite_store).create()
    await world.fund(5, E18)
    await world.mark(10_000)
    assert await world.close_all() == []
    await world.hold(10_001, ALICE, 1)
    await world.mark(11_000)
    closed = await world.close_all()
    assert [(epoch.epoch, epoch.number) for epoch in closed] == [(33, 1), (34, 2), (35, 3)]
    # What was funded before anybody staked is there for the first.
    assert closed[0].funded == E18


async def test_an_underfunded_epoch_pays_what_is_there_says_so_and_alerts(store: Store):
    world = await World(store).create()
    await world.hold(10, ALICE, 3)
    await world.hold(20, BOB, 1)
    await world.fund(30, 8 * E18)
    await world.mark(900)
    await world.close_all()
    assert (await earned(world, ALICE), await earned(world, BOB)) == (6 * E18, 2 * E18)
    assert await reserve(world) == 0
    async with store.read() as tx:
        document = await export(tx, world.pool.pool_id, 2)
        alert = await world.alerts.find_open(tx, UNDERFUNDED, f"pool:{world.pool.pool_id}")
    emission = decode(document).emission
    assert (emission.wanted, emission.pot) == (str(5 * E18), str(3 * E18))
    assert emission.shortfall == str(2 * E18)
    assert alert is not None
    assert alert.details["shortfall"] == str(2 * E18)

    await world.mark(1200)
    await world.close_all()
    await world.fund(1201, 100 * E18)
    await world.mark(1500)
    # Funds pay the epoch in which they arrive and those behind it, at the rate; no arrears.
    (epoch,) = await world.close_all()
    assert (epoch.pot, epoch.shortfall) == (5 * E18, 0)
    async with store.read() as tx:
        assert await world.alerts.find_open(tx, UNDERFUNDED, alert.subject) is None


async def test_reward_of_an_epoch_without_stakers_stays_in_the_reserve(sqlite_store: Store):
    world = await staked_world(sqlite_store)
    await world.hold(310, ALICE, 0)
    await world.hold(360, BOB, 0)
    await world.mark(1200)
    closed = await world.close_all()
    assert [epoch.pot for epoch in closed] == [0, E18, 0, 0]
    # One unit of the pot is fractions that the two carry, and in the reserve for them.
    assert await reserve(world) == 999 * E18 + 1
    assert closed[1].distributed == E18 - 1


async def test_a_flash_stake_across_a_vaults_epoch_end_earns_for_its_seconds_alone(
    sqlite_store: Store,
):
    world = await World(sqlite_store, vault()).create()
    await world.fund(0, 10**6 * E18)
    await world.hold(1, ALICE, 10**24)
    await world.hold(3600 + 3599, CAROL, 10**30)
    await world.hold(7200, CAROL, 0)
    await world.mark(4 * 3600)
    await world.close_all()
    assert await earned(world, CAROL) == 0
    assert await earned(world, ALICE) == 3 * 60 * E18


async def test_a_statement_is_exported_byte_for_byte_and_names_the_one_before(store: Store):
    world = await staked_world(store)
    await world.hold(400, CAROL, 7)
    await world.mark(1500)
    closed = await world.close_all()
    before = "0x" + "00" * 32
    for epoch in closed:
        async with store.read() as tx:
            document = await export(tx, world.pool.pool_id, epoch.epoch)
        assert statement_hash(document) == epoch.statement_hash
        assert decode(document).previous == before
        before = epoch.statement_hash
    async with store.read() as tx:
        with pytest.raises(EpochNotFoundError):
            await export(tx, world.pool.pool_id, 77)


async def test_a_changed_snapshot_is_found_when_it_is_exported(store: Store):
    world = await staked_world(store)
    await world.mark(900)
    await world.close_all()
    async with store.begin() as tx:
        where = snapshot_table.c.epoch == 2, snapshot_table.c.wallet == BOB
        await tx.execute(snapshot_table.update().where(*where).values(earned=1))
    async with store.read() as tx:
        with pytest.raises(EpochChangedError):
            await export(tx, world.pool.pool_id, 2)


async def test_a_wallet_proves_what_it_has(sqlite_store: Store):
    world = await staked_world(sqlite_store)
    await world.mark(900)
    closed = await world.close_all()
    async with sqlite_store.read() as tx:
        found = await proof(tx, world.pool.pool_id, BOB)
        with pytest.raises(NoRewardsError):
            await proof(tx, world.pool.pool_id, CAROL)
    assert (found.cumulative, found.root) == (10 * E18 // 4, closed[-1].root)
    siblings = [bytes.fromhex(one[2:]) for one in found.proof]
    assert proves(bytes.fromhex(found.root[2:]), BOB, found.cumulative, siblings)


async def test_a_vaults_proof_leads_to_the_root_that_is_on_chain(sqlite_store: Store):
    world = await World(sqlite_store, vault()).create()
    await world.fund(0, 10**6 * E18)
    await world.hold(1, ALICE, 10**24)
    await world.mark(4 * 3600)
    closed = await world.close_all()
    async with sqlite_store.read() as tx:
        with pytest.raises(NoRewardsError):
            await proof(tx, world.pool.pool_id, ALICE)
    async with sqlite_store.begin() as tx:
        details = {"epoch": 3, "root": closed[2].root}
        await world.event(tx, 4 * 3600, EventKind.EPOCH_POSTED, "", 0, details=details)
    async with sqlite_store.read() as tx:
        found = await proof(tx, world.pool.pool_id, ALICE)
    assert (found.number, found.root, found.cumulative) == (3, closed[2].root, 120 * E18)


async def test_a_reorg_below_a_closed_epoch_disputes_it_and_rewrites_nothing(store: Store):
    world = await staked_world(store)
    await world.mark(900)
    await world.close_all()
    pool_id = world.pool.pool_id
    async with store.begin() as tx:
        assert await world.epochs.check_again(tx, pool_id) == []
    before = await earned(world, BOB)
    await world.undo(3)
    async with store.begin() as tx:
        (disputed,) = await world.epochs.check_again(tx, pool_id)
    assert (disputed.epoch, disputed.state) == (0, EpochState.DISPUTED)
    async with store.begin() as tx:
        assert await world.epochs.check_again(tx, pool_id) == []
    async with store.read() as tx:
        alert = await world.alerts.find_open(tx, DISPUTED, f"epoch:{pool_id}:0")
        assert await rows.epoch_row(tx, pool_id, 0) == disputed
    assert alert is not None
    assert await earned(world, BOB) == before


async def test_no_epoch_is_closed_behind_a_disputed_one_until_somebody_accepts_it(
    sqlite_store: Store,
):
    world = await staked_world(sqlite_store)
    await world.hold(310, BOB, 2 * E18)
    await world.mark(900)
    await world.close_all()
    pool_id = world.pool.pool_id
    await world.undo(4)
    await world.mark(1200)
    async with sqlite_store.begin() as tx:
        await world.epochs.check_again(tx, pool_id)
    assert await world.close_all() == []
    async with sqlite_store.begin() as tx:
        await world.epochs.accept(tx, "operator", pool_id, 1, reason="seen")
        with pytest.raises(EpochStateError):
            await world.epochs.accept(tx, "operator", pool_id, 1, reason="again")
    assert [epoch.epoch for epoch in await world.close_all()] == [3]
    async with sqlite_store.read() as tx:
        assert await world.alerts.find_open(tx, DISPUTED, f"epoch:{pool_id}:1") is None
        (entry,) = await world.trail.read(tx)
    assert (entry.actor, entry.action) == ("operator", "staking.accept-epoch")


async def test_a_paused_pool_closes_nothing_and_catches_up_afterwards(sqlite_store: Store):
    world = await staked_world(sqlite_store)
    await world.mark(900)
    async with sqlite_store.begin() as tx:
        await change_pool(tx, world.pool.pool_id, world.clock, state=PoolState.PAUSED)
    assert await world.close_all() == []
    async with sqlite_store.begin() as tx:
        await change_pool(tx, world.pool.pool_id, world.clock, state=PoolState.ACTIVE)
    assert len(await world.close_all()) == 3


async def test_lines_of_old_epochs_are_dropped_and_what_is_needed_of_them_stays(store: Store):
    world = await staked_world(store)
    pool_id = world.pool.pool_id
    await world.mark(1_500)
    closed = await world.close_all()
    async with store.begin() as tx:
        assert await clear_snapshots(tx, pool_id, before_s=closed[2].end_s) == 1
        assert await clear_snapshots(tx, pool_id, before_s=10**12) == len(closed) - 3
        assert await clear_snapshots(tx, pool_id, before_s=10**12) == 0
        with pytest.raises(EpochClearedError):
            await export(tx, pool_id, closed[1].epoch)
        assert await export(tx, pool_id, closed[-1].epoch)
        assert (await proof(tx, pool_id, ALICE)).root == closed[-1].root
    await world.mark(1_800)
    (behind,) = await world.close_all()
    assert behind.previous == closed[-1].statement_hash
    assert behind.cumulative > closed[-1].cumulative


async def test_lines_behind_a_root_on_chain_stay_for_its_proofs(sqlite_store: Store):
    world = await World(sqlite_store, vault()).create()
    await world.fund(0, 10**6 * E18)
    await world.hold(1, ALICE, 10**24)
    await world.mark(4 * 3600)
    closed = await world.close_all()
    async with sqlite_store.begin() as tx:
        details = {"epoch": 3, "root": closed[2].root}
        await world.event(tx, 4 * 3600, EventKind.EPOCH_POSTED, "", 0, details=details)
        await clear_snapshots(tx, world.pool.pool_id, before_s=10**12)
        assert (await proof(tx, world.pool.pool_id, ALICE)).root == closed[2].root
