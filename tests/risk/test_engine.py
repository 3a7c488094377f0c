"""What is refused changes nothing and is written down; what passes is counted once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.errors import MillpondError
from millpond.money.amount import Asset
from millpond.money.errors import InsufficientFundsError
from millpond.money.ledger import Ledger
from millpond.risk import (
    PLATFORM,
    Function,
    HoldKind,
    RiskEngine,
    RiskRefusedError,
    Role,
    Rule,
    Scope,
)
from millpond.risk.errors import RiskReferenceError, RiskUserDayError
from millpond.risk.model import ScopeKind
from millpond.store import Store
from millpond.store.retry import retrying
from tests.risk.scene import BTCD, DAY_S, POOL, UNIT, Scene

ANN, BOB = "0xAnn", "0xBob"
POOL_SCOPE = Scope.pool(POOL)


@pytest.fixture
async def scene(store: Store) -> Scene:
    made = Scene(store)
    await made.deposit(ANN, 100 * UNIT)
    await made.deposit(BOB, 100 * UNIT)
    return made


async def test_without_limits_everything_passes_and_nothing_is_written(scene: Scene):
    await scene.withdraw(ANN, 100 * UNIT)
    assert await scene.available(ANN) == 0
    assert await scene.violations() == []


@pytest.mark.parametrize("scope", [PLATFORM, Scope.product("staking"), POOL_SCOPE, Scope.user(ANN)])
async def test_a_user_s_24_hours_roll_exactly_whatever_the_scope(scene: Scene, scope: Scope):
    await scene.limit(scope, user_24h=10 * UNIT)
    await scene.withdraw(ANN, 4 * UNIT)
    scene.clock.advance(3600)
    await scene.withdraw(ANN, 6 * UNIT)
    with pytest.raises(RiskUserDayError) as refusal:
        await scene.withdraw(ANN, 1)
    assert refusal.value.code == "risk_user_24h"
    assert refusal.value.details["room"] == "0"
    if scope.kind is not ScopeKind.USER:
        await scene.withdraw(BOB, 10 * UNIT)
    scene.clock.advance(DAY_S - 3600 - 0.001)
    with pytest.raises(RiskUserDayError):
        await scene.withdraw(ANN, 1)
    scene.clock.advance(0.001)
    await scene.withdraw(ANN, 4 * UNIT)
    with pytest.raises(RiskUserDayError):
        await scene.withdraw(ANN, 1)
    assert await scene.available(ANN) == 86 * UNIT


async def test_all_together_have_24_hours_that_are_at_most_a_minute_longer(scene: Scene):
    await scene.limit(POOL_SCOPE, total_24h=10 * UNIT)
    await scene.withdraw(ANN, 6 * UNIT)
    await scene.withdraw(BOB, 4 * UNIT)
    with pytest.raises(RiskRefusedError, match="leave pool"):
        await scene.withdraw(ANN, 1)
    scene.clock.advance(DAY_S + 60)
    await scene.withdraw(BOB, 10 * UNIT)
    assert (await scene.violations())[0].rule is Rule.TOTAL_24H


async def test_what_came_to_nothing_is_given_back_to_the_limit_once(scene: Scene):
    await scene.limit(POOL_SCOPE, user_24h=10 * UNIT, total_24h=10 * UNIT)
    reference = await scene.withdraw(ANN, 10 * UNIT)
    await scene.returned(reference)
    async with scene.store.begin() as tx:
        assert not await scene.risk.returned(tx, reference)
    await scene.withdraw(ANN, 10 * UNIT)
    with pytest.raises(RiskRefusedError):
        await scene.withdraw(BOB, 1)


async def test_one_reference_counts_once_and_stands_for_one_thing(scene: Scene):
    await scene.limit(POOL_SCOPE, user_24h=10 * UNIT)
    request = scene.ask(ANN, 6 * UNIT)
    for repeated in (False, True):
        async with scene.store.begin() as tx:
            decision = await scene.risk.enforce(tx, request)
        assert (decision.allowed, decision.repeated) == (True, repeated)
    await scene.withdraw(ANN, 4 * UNIT)
    with pytest.raises(RiskReferenceError):
        async with scene.store.begin() as tx:
            await scene.risk.enforce(tx, scene.ask(ANN, 5, reference=request.reference))


async def test_what_the_caller_rolls_back_is_not_counted(scene: Scene):
    await scene.limit(POOL_SCOPE, user_24h=200 * UNIT)
    with pytest.raises(InsufficientFundsError):
        await scene.withdraw(ANN, 101 * UNIT)
    async with scene.store.read() as tx:
        assert await scene.preview(tx, ANN, 1) == 200 * UNIT


async def test_a_refusal_is_a_row_although_everything_else_is_rolled_back(scene: Scene):
    await scene.limit(POOL_SCOPE, withdrawal_cap=5 * UNIT)
    await scene.limit(PLATFORM, user_24h=2 * UNIT)
    with pytest.raises(RiskRefusedError) as refusal:
        await scene.withdraw(ANN, 6 * UNIT, reference="withdrawal:x")
    assert refusal.value.http_status == 409
    assert await scene.available(ANN) == 100 * UNIT
    assert [(v.rule, v.scope, v.limit, v.used) for v in await scene.violations()] == [
        (Rule.WITHDRAWAL_CAP, POOL_SCOPE, 5 * UNIT, 0),
        (Rule.USER_24H, PLATFORM, 2 * UNIT, 0),
    ]
    row = (await scene.violations(scope=POOL_SCOPE, user=ANN, limit=1))[0]
    assert (row.amount, row.reference, row.count) == (6 * UNIT, "withdrawal:x", 1)


async def test_a_refusal_is_one_row_for_who_catches_it_and_commits(scene: Scene):
    await scene.limit(POOL_SCOPE, withdrawal_cap=5)
    async with scene.store.begin() as tx:
        assert not (await scene.risk.check(tx, scene.ask(ANN, 6))).allowed
        with pytest.raises(RiskRefusedError):
            await scene.risk.enforce(tx, scene.ask(ANN, 7))
    assert [v.amount for v in await scene.violations()] == [7, 6]


async def test_a_refusal_survives_whatever_rolls_the_transaction_back(scene: Scene):
    await scene.limit(POOL_SCOPE, withdrawal_cap=5)
    for error in (RuntimeError(), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            async with scene.store.begin() as tx:
                assert not (await scene.risk.check(tx, scene.ask(ANN, 6))).allowed
                raise error
    assert len(await scene.violations()) == 2


async def test_repeated_refusals_under_one_key_are_one_row_that_counts(scene: Scene):
    await scene.limit(POOL_SCOPE, withdrawal_cap=5)
    for units in (6, 7, 8):
        scene.clock.advance(60)
        with pytest.raises(RiskRefusedError):
            await scene.withdraw(ANN, units, key="automatic:ann")
    (row,) = await scene.violations()
    assert (row.count, row.amount, row.last_ms - row.at_ms) == (3, 8, 120_000)


async def test_violations_are_read_in_pages_and_by_scope_and_user(scene: Scene):
    await scene.limit(PLATFORM, withdrawal_cap=5)
    for wallet in (ANN, BOB, ANN, BOB):
        scene.clock.advance(1)
        with pytest.raises(RiskRefusedError):
            await scene.withdraw(wallet, 6)
    first = await scene.violations(limit=3)
    rest = await scene.violations(limit=3, before=first[-1].id)
    assert [v.user for v in first + rest] == [BOB, ANN, BOB, ANN]
    assert [v.user for v in await scene.violations(scope=POOL_SCOPE, user=BOB)] == [BOB, BOB]
    assert await scene.violations(scope=Scope.pool("other")) == []
    assert len(await scene.violations(scope=Scope.product("staking"))) == 4


@pytest.mark.parametrize("limits", [{"user_24h": 10}, {"outflow_cap": 10}])
async def test_withdrawals_that_race_for_a_limit_never_pass_together(
    scene: Scene, limits: dict[str, int]
):
    """Six stores on one database ask at once, each in a transaction of its own."""
    await scene.limit(POOL_SCOPE, **limits)
    stores = [
        await Store.open(
            scene.store.url.render_as_string(hide_password=False)
            .replace("+aiosqlite", "")
            .replace("+asyncpg", "")
        )
        for _ in range(3)
    ]
    both = asyncio.Barrier(6)

    async def one(number: int) -> bool:
        store = stores[number % 3]
        clock, entropy = ManualClock(scene.clock.now_ms()), SeededEntropy(number)
        risk = RiskEngine(Ledger(clock), clock, Ids(clock, entropy))
        request = scene.ask(ANN, 4, reference=f"race:{number}")
        await both.wait()
        try:
            await retrying(
                store, lambda tx: risk.enforce(tx, request), clock=clock, entropy=entropy
            )
        except RiskRefusedError:
            return False
        return True

    passed = await asyncio.gather(*(one(number) for number in range(6)))
    for store in stores:
        await store.close()
    assert sum(passed) == 2
    assert len({v.reference for v in await scene.violations()}) == 4


async def test_deposits_are_held_to_their_caps(scene: Scene):
    await scene.limit(POOL_SCOPE, tvl_cap=100, deposit_cap=50, user_cap=60)
    cases = [
        (50, 50, 10, None),
        (51, 0, 0, "risk_deposit_cap"),
        (50, 51, 0, "risk_tvl_cap"),
        (50, 0, 11, "risk_user_cap"),
        (50, None, 0, "risk_unmeasured"),
    ]
    for units, tvl, total, code in cases:
        request = scene.ask(
            ANN,
            units,
            function=Function.DEPOSIT,
            reference="",
            tvl=tvl,
            user_total=total,
        )
        assert await _code_of(scene, request) == code


async def _code_of(scene: Scene, request: Any) -> str | None:
    try:
        async with scene.store.begin() as tx:
            await scene.risk.enforce(tx, request)
    except MillpondError as error:
        return error.code
    return None


class TwoPools:
    """A product that has 70 locked in one pool and 20 in another."""

    async def locked(self, tx: Any, scope: Scope, asset: Asset, user: str | None) -> int:
        del tx, asset
        share = 1 if user is None else 10
        return {ScopeKind.POOL: 70}.get(scope.kind, 90) // share


@pytest.mark.parametrize(
    ("scope", "limits", "passes", "refused"),
    [
        (PLATFORM, {"tvl_cap": 100}, 10, 11),
        (Scope.product("staking"), {"tvl_cap": 100}, 10, 11),
        (POOL_SCOPE, {"tvl_cap": 100}, 30, 31),
        (Scope.user(ANN), {"user_cap": 10}, 1, 2),
        (Scope.product("staking"), {"user_cap": 10}, 1, 2),
    ],
)
async def test_products_measure_what_is_locked_in_wider_scopes(
    store: Store, scope: Scope, limits: dict[str, int], passes: int, refused: int
):
    scene = Scene(store, exposures={"staking": TwoPools()})
    await scene.limit(scope, **limits)
    for units, allowed in ((passes, True), (refused, False)):
        request = scene.ask(ANN, units, function=Function.DEPOSIT, reference="")
        async with store.begin() as tx:
            assert (await scene.risk.check(tx, request)).allowed is allowed


async def test_what_cannot_be_measured_stops_deposits_and_never_exits(scene: Scene):
    await scene.limit(PLATFORM, tvl_cap=100 * UNIT, change_bps=100)
    request = scene.ask(ANN, 1, function=Function.DEPOSIT, reference="")
    assert await _code_of(scene, request) == "risk_unmeasured"
    await scene.withdraw(ANN, 100 * UNIT)


async def test_what_is_locked_changes_only_so_quickly_either_way(scene: Scene):
    await scene.limit(POOL_SCOPE, change_bps=1000, change_window_s=3600)
    await scene.withdraw(ANN, 15 * UNIT, tvl=200 * UNIT)
    with pytest.raises(RiskRefusedError, match="may change"):
        await scene.withdraw(BOB, 6 * UNIT, tvl=185 * UNIT)
    async with scene.store.begin() as tx:
        deposit = scene.ask(BOB, 4 * UNIT, function=Function.DEPOSIT, reference="deposit:1")
        await scene.risk.saw(tx, deposit)
        await scene.risk.saw(tx, deposit)
    await scene.withdraw(BOB, 9 * UNIT, tvl=189 * UNIT)
    with pytest.raises(RiskRefusedError):
        await scene.withdraw(BOB, 1, tvl=180 * UNIT)
    scene.clock.advance(3661)
    await scene.withdraw(BOB, 18 * UNIT, tvl=180 * UNIT)


async def test_old_flows_are_swept_and_younger_ones_still_count(scene: Scene):
    await scene.limit(POOL_SCOPE, total_24h=10, user_24h=10)
    await scene.returned(await scene.withdraw(ANN, 3))
    scene.clock.advance(8 * DAY_S + 60)
    await scene.withdraw(ANN, 4)
    async with scene.store.begin() as tx:
        swept = await scene.risk.sweep(tx)
    assert (swept.flows, swept.lapsed) == (1, ())
    async with scene.store.read() as tx:
        assert await scene.preview(tx, ANN, 1) == 6


async def test_status_shows_limits_with_use_and_room_holds_and_refusals(scene: Scene):
    await scene.limit(PLATFORM, user_24h=50)
    await scene.limit(POOL_SCOPE, total_24h=10, outflow_cap=20, outflow_window_s=600)
    await scene.withdraw(ANN, 4)
    with pytest.raises(RiskRefusedError):
        await scene.withdraw(ANN, 7)
    await scene.pause(POOL_SCOPE)
    async with scene.store.begin() as tx:
        await scene.risk.trip(
            tx, HoldKind.ORACLE, Scope.product("staking"), "no price", asset=BTCD.code
        )
    async with scene.store.read() as tx:
        status = await scene.risk.status(
            tx, POOL_SCOPE, product="staking", assets={BTCD.code: BTCD}
        )
    assert status.exits_open
    assert set(status.held) == {"claim", "deposit", "order", "rewards"}
    assert [(b.reset_role, b.reason) for b in status.breakers] == [(Role.ADMIN, "no price")]
    assert len(status.pauses) == len(status.violations) == 1
    figures = {
        (g.scope.path, g.rule): (g.limit, g.used, g.room)
        for limit in status.limits
        for g in limit.gauges
    }
    assert figures[f"pool:{POOL}", Rule.TOTAL_24H] == (10, 4, 6)
    assert figures[f"pool:{POOL}", Rule.OUTFLOW] == (20, 4, 16)
    assert {limit.scope for limit in status.limits} == {PLATFORM, POOL_SCOPE}


async def test_the_sums_of_a_window_are_those_of_its_rows_wherever_hours_begin(scene: Scene):
    """Against a plain sum, at odd times over three days, with returns in between."""
    await scene.limit(POOL_SCOPE, total_24h=10**9, outflow_cap=10**9, outflow_window_s=7260)
    moved: list[tuple[int, int]] = []
    for number in range(45):
        scene.clock.advance(1 + number * 7919 % 9000)
        reference = await scene.withdraw(ANN, number + 1)
        if number % 4 == 3:
            await scene.returned(reference)
        else:
            moved.append((scene.clock.now_ms(), number + 1))
    async with scene.store.begin() as tx:
        await scene.risk.sweep(tx)
        status = await scene.risk.status(tx, POOL_SCOPE)
    used = {gauge.rule: gauge.used for gauge in status.limits[0].gauges}
    for rule, window_s in ((Rule.TOTAL_24H, DAY_S), (Rule.OUTFLOW, 7260)):
        since_ms = scene.clock.now_ms() - window_s * 1000
        at_least = sum(units for at_ms, units in moved if at_ms > since_ms)
        at_most = sum(units for at_ms, units in moved if at_ms > since_ms - 60_000)
        assert at_least <= (used[rule] or 0) <= at_most
        assert 0 < at_least < sum(units for _, units in moved)


async def test_who_goes_in_and_out_by_himself_uses_up_nobody_elses_limits(scene: Scene):
    await scene.limit(POOL_SCOPE, total_24h=10, outflow_cap=20)
    for number in range(20):
        for function in (Function.DEPOSIT, Function.WITHDRAW):
            seen = scene.ask(BOB, 9, function=function, reference=f"{function}:{number}")
            async with scene.store.begin() as tx:
                await scene.risk.saw(tx, seen)
    first = await scene.withdraw(ANN, 6)
    assert await used(scene) == {Rule.TOTAL_24H: 6, Rule.OUTFLOW: 6}
    with pytest.raises(RiskRefusedError):
        await scene.withdraw(ANN, 5)
    await scene.returned(first)
    async with scene.store.begin() as tx:
        assert await scene.risk.returned(tx, f"{Function.WITHDRAW}:3")
    await scene.withdraw(ANN, 10)
    assert await used(scene) == {Rule.TOTAL_24H: 10, Rule.OUTFLOW: 10}


async def test_what_leaves_unasked_counts_for_its_user_and_for_the_rate_of_change(scene: Scene):
    await scene.limit(POOL_SCOPE, user_24h=10, change_bps=1_000)
    async with scene.store.begin() as tx:
        await scene.risk.saw(tx, scene.ask(ANN, 8, reference="by herself"))
    with pytest.raises(RiskUserDayError):
        await scene.withdraw(ANN, 3, tvl=192)
    # A tenth of the 200 that were there may leave: 8 have.
    await scene.withdraw(BOB, 10, tvl=192)
    await scene.deposit("0xEve", 10)
    with pytest.raises(RiskRefusedError, match="may change by"):
        await scene.withdraw("0xEve", 3, tvl=182)


async def used(scene: Scene) -> dict[Rule, int | None]:
    async with scene.store.read() as tx:
        (limit,) = (await scene.risk.status(tx, POOL_SCOPE, assets={"BTCD": BTCD})).limits
    return {gauge.rule: gauge.used for gauge in limit.gauges}
