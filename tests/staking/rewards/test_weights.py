"""Rates and weights: for epochs yet to begin, within one, and in the trail."""

from __future__ import annotations

import msgspec
import pytest

from millpond.staking.pools import PPM, create_pool, get_pool
from millpond.staking.rewards.errors import WeightError
from millpond.staking.rewards.statement import decode
from millpond.staking.rewards.statements import export
from millpond.staking.rewards.weights import parse_weight, terms_history
from millpond.store import Store
from tests.staking.rewards.chain import ALICE, E18, ZERO_S, World
from tests.staking.samples import direct_pool

OTHER = direct_pool(
    pool_id="btcd-other-pool",
    contract="0x6666666666666666666666666666666666666666",
    rewards_contract="0x7777777777777777777777777777777777777777",
    epoch_zero_s=ZERO_S,
    reward_per_minute=E18,
)


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    """One database is enough: nothing here is about it."""
    return sqlite_store


async def test_a_rate_counts_from_the_next_epoch_and_never_backwards(store: Store):
    world = await World(store).create()
    pool_id = world.pool.pool_id
    await world.fund(0, 10**6 * E18)
    await world.hold(1, ALICE, 10)
    # Epochs 0 and 1 are over and not closed yet when the rate is doubled.
    await world.mark(700)
    async with store.begin() as tx:
        (terms,) = await world.weights.set_rate(tx, "admin", pool_id, 2 * E18, reason="more")
    assert terms.from_epoch == 3
    await world.mark(1200)
    closed = await world.close_all()
    assert [epoch.wanted for epoch in closed] == [0, 5 * E18, 5 * E18, 10 * E18]
    async with store.read() as tx:
        statement = decode(await export(tx, pool_id, 3))
        (entry,) = await world.trail.read(tx)
        assert (await get_pool(tx, pool_id)).reward_per_minute == 2 * E18
    assert [(t.from_epoch, t.reward_per_minute) for t in statement.terms] == [
        (0, str(E18)),
        (3, str(2 * E18)),
    ]
    assert (entry.actor, entry.reason) == ("admin", "more")
    assert entry.before["reward_per_minute"] == str(E18)


async def test_two_changes_within_an_epoch_leave_the_last(store: Store):
    world = await World(store).create()
    async with store.begin() as tx:
        await world.weights.set_weight(tx, "a", world.pool.pool_id, 500_000, reason="one")
        await world.weights.set_weight(tx, "a", world.pool.pool_id, 250_000, reason="two")
        history = await terms_history(tx, world.pool.pool_id)
    assert [(t.from_epoch, t.weight_ppm) for t in history] == [(0, PPM), (1, 250_000)]


async def test_pools_share_an_emission_by_weight_and_not_beyond_one(store: Store):
    world = await World(store).create()
    main = world.pool.pool_id
    async with store.begin() as tx:
        await create_pool(tx, OTHER, world.clock)
        with pytest.raises(WeightError, match="1 together"):
            await world.weights.set_weight(tx, "a", OTHER.pool_id, 1, reason="join", emission=main)
        await world.weights.set_weight(tx, "a", main, 700_000, reason="room")
        await world.weights.set_weight(
            tx, "a", OTHER.pool_id, 300_000, reason="join", emission=main
        )
        with pytest.raises(WeightError, match="1 together"):
            await world.weights.set_weight(tx, "a", main, 700_001, reason="too much")
        both = await world.weights.set_rate(tx, "a", main, 10 * E18, reason="both")
    assert {t.pool_id: (t.reward_per_minute, t.weight_ppm) for t in both} == {
        main: (10 * E18, 700_000),
        OTHER.pool_id: (10 * E18, 300_000),
    }
    await world.fund(0, 10**6 * E18)
    await world.hold(1, ALICE, 10)
    await world.mark(600)
    assert [epoch.wanted for epoch in await world.close_all()] == [0, 35 * E18]


async def test_weights_are_decimals_from_nothing_to_one(store: Store):
    assert [parse_weight(text) for text in ("0", "1", "0.25", "0.000001", "1.0")] == [
        0,
        PPM,
        250_000,
        1,
        PPM,
    ]
    for text in ("", "-1", "1.000001", "0.0000001", "2", "1e-1", "٠"):
        with pytest.raises(WeightError):
            parse_weight(text)
    world = await World(store).create()
    async with store.begin() as tx:
        for weight in (-1, PPM + 1):
            with pytest.raises(WeightError):
                await world.weights.set_weight(tx, "a", world.pool.pool_id, weight, reason="wrong")
        with pytest.raises(WeightError):
            await world.weights.set_rate(tx, "a", "nobody", 1, reason="wrong")
        with pytest.raises(WeightError):
            await world.weights.set_rate(tx, "a", world.pool.pool_id, -1, reason="wrong")


async def test_a_part_is_given_to_another_pool_when_the_first_has_stopped_to_emit_it(
    store: Store,
):
    """Epochs of a day and of five minutes share an emission: never more than one together."""
    world = await World(store).create()
    slow = msgspec.structs.replace(OTHER, epoch_s=86_400)
    async with store.begin() as tx:
        await create_pool(tx, slow, world.clock)
        set_weight = world.weights.set_weight
        await set_weight(tx, "a", world.pool.pool_id, 0, reason="share")
        shared = await set_weight(tx, "a", slow.pool_id, PPM, reason="x", emission="btcd-main-pool")
        # From tomorrow on; until then it emits its own.
        assert shared.from_epoch == 1
        less = await set_weight(tx, "a", slow.pool_id, PPM // 2, reason="half")
        more = await set_weight(tx, "a", world.pool.pool_id, PPM // 2, reason="half")
        rate = (await world.weights.set_rate(tx, "a", "btcd-main-pool", 5, reason="r"))[0]
    assert less.from_epoch == 1
    assert more.from_epoch == 86_400 // 300
    assert rate.from_epoch == more.from_epoch
