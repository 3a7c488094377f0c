"""Pauses and breakers: who may, what is held, what stays open, and how it ends."""

from __future__ import annotations

import asyncio

import pytest

from millpond.risk import PLATFORM, Function, HoldKind, Limits, RiskRefusedError, Role, Scope
from millpond.risk.errors import (
    ExitsStayOpenError,
    HoldNotFoundError,
    HoldTimeError,
    RiskRoleError,
)
from millpond.store import Store
from tests.risk.scene import BTCD, POOL, UNIT, Scene

ANN, BOB = "0xAnn", "0xBob"
POOL_SCOPE = Scope.pool(POOL)


@pytest.fixture
async def scene(store: Store) -> Scene:
    made = Scene(store)
    await made.deposit(ANN, 100 * UNIT)
    await made.deposit(BOB, 100 * UNIT)
    return made


async def refused_functions(scene: Scene, wallet: str = ANN) -> set[str]:
    """Everything that is refused now."""
    found = set()
    for function in Function:
        async with scene.store.read() as tx:
            request = scene.ask(wallet, 1, function=function)
            if not (await scene.risk.preview(tx, request)).allowed:
                found.add(function.value)
    return found


@pytest.mark.parametrize("scope", [PLATFORM, Scope.user(ANN)])
async def test_an_emergency_pause_stops_all_but_the_exits(scene: Scene, scope: Scope):
    await scene.pause(scope)
    assert await refused_functions(scene) == {"deposit", "rewards", "claim", "order"}
    await scene.withdraw(ANN, 100 * UNIT)


async def test_exits_are_paused_only_by_who_says_why_they_are_the_reason(scene: Scene):
    for function in (Function.WITHDRAW, Function.PAYOUT):
        with pytest.raises(ExitsStayOpenError):
            await scene.pause(PLATFORM, function)
    hold = await scene.pause(PLATFORM, Function.WITHDRAW, exits_because="a forged withdrawal")
    assert await refused_functions(scene) == {"withdraw"}
    assert hold.exits_because == "a forged withdrawal"
    with pytest.raises(RiskRefusedError) as refusal:
        await scene.withdraw(ANN, 1)
    assert refusal.value.code == "risk_paused"
    assert refusal.value.decision.held
    assert (await scene.violations())[0].hold_id == hold.id


async def test_a_hold_on_exits_ends_by_itself_in_bounded_time(scene: Scene):
    longest_s = scene.risk.settings.exit_hold_max_s
    latest_ms = scene.clock.now_ms() + longest_s * 1000
    with pytest.raises(HoldTimeError):
        await scene.pause(PLATFORM, exits_because="leak", expires_ms=latest_ms + 1)
    with pytest.raises(HoldTimeError):
        await scene.pause(PLATFORM, expires_ms=scene.clock.now_ms())
    assert (await scene.pause(PLATFORM, exits_because="leak")).until_ms == latest_ms
    scene.clock.advance(longest_s - 0.001)
    assert await refused_functions(scene) == {each.value for each in Function}
    scene.clock.advance(0.001)
    assert await refused_functions(scene) == set()
    async with scene.store.begin() as tx:
        (lapsed,) = (await scene.risk.sweep(tx)).lapsed
    assert (lapsed.ended_by, await scene.open_alerts()) == ("time", [])


async def test_a_pause_with_an_expiry_ends_at_it_and_may_be_made_again(scene: Scene):
    first = await scene.pause(POOL_SCOPE, Function.DEPOSIT, expires_ms=scene.clock.now_ms() + 1000)
    scene.clock.advance(1)
    assert await refused_functions(scene) == set()
    second = await scene.pause(POOL_SCOPE, Function.DEPOSIT)
    assert second.id != first.id
    assert await refused_functions(scene) == {"deposit"}


async def test_a_pause_of_one_scope_holds_no_other(scene: Scene):
    await scene.pause(Scope.user(ANN), Function.CLAIM)
    await scene.pause(Scope.pool("other"))
    await scene.pause(Scope.product("mining"))
    assert await refused_functions(scene) == {"claim"}
    assert await refused_functions(scene, BOB) == set()


async def test_a_guardian_pauses_and_an_admin_resumes_and_the_trail_names_both(scene: Scene):
    await scene.pause(POOL_SCOPE)
    assert await scene.open_alerts() == [
        ("risk_pause", f"pool:{POOL}:pause:claim,deposit,order,rewards")
    ]
    for _ in range(2):
        async with scene.store.begin() as tx:
            with pytest.raises(RiskRoleError):
                await scene.risk.resume(
                    tx, "gus", POOL_SCOPE, None, "all is well", role=Role.GUARDIAN
                )
    async with scene.store.begin() as tx:
        with pytest.raises(HoldNotFoundError):
            await scene.risk.resume(tx, "ann", PLATFORM, None, "all is well")
        await scene.risk.resume(tx, "ann", POOL_SCOPE, None, "all is well")
    assert await refused_functions(scene) == set()
    assert await scene.acts() == [
        ("gus", "risk.pause", f"pool:{POOL}"),
        ("ann", "risk.resume", f"pool:{POOL}"),
    ]
    assert await scene.open_alerts() == []


async def test_limits_are_set_by_admins_and_the_trail_keeps_before_and_after(scene: Scene):
    await scene.limit(POOL_SCOPE, tvl_cap=5)
    await scene.limit(POOL_SCOPE, tvl_cap=10**40)
    async with scene.store.begin() as tx:
        with pytest.raises(RiskRoleError):
            await scene.risk.set_limits(
                tx, "gus", POOL_SCOPE, BTCD.code, Limits(), role=Role.GUARDIAN
            )
        entry = (await scene.trail.read(tx))[0]
    assert entry.before == {"asset": "BTCD", "tvl_cap": "5"}
    assert entry.after == {"asset": "BTCD", "tvl_cap": str(10**40)}


async def test_outflow_trips_although_the_request_is_rolled_back_and_holds_what_leaves(
    scene: Scene,
):
    await scene.limit(POOL_SCOPE, outflow_cap=10 * UNIT, outflow_window_s=600)
    await scene.withdraw(ANN, 9 * UNIT)
    with pytest.raises(RiskRefusedError) as refusal:
        await scene.withdraw(BOB, 2 * UNIT)
    assert refusal.value.code == "risk_outflow"
    assert await refused_functions(scene) == {"withdraw", "payout", "claim"}
    async with scene.store.read() as tx:
        (breaker,) = (await scene.risk.status(tx, POOL_SCOPE)).breakers
    assert (breaker.kind, breaker.reset_role) == (HoldKind.OUTFLOW, Role.OWNER)
    assert "would have left" in breaker.reason
    assert breaker.details["used"] == str(9 * UNIT)
    assert await scene.open_alerts() == [("risk_breaker", f"pool:{POOL}:outflow:BTCD")]
    assert (await scene.acts())[-1] == ("risk", "risk.trip", f"pool:{POOL}")


async def test_only_who_has_the_role_resets_a_breaker_and_once(scene: Scene):
    async with scene.store.begin() as tx:
        hold = await scene.risk.trip(tx, HoldKind.OUTFLOW, POOL_SCOPE, "too much", asset="BTCD")
        with pytest.raises(RiskRoleError):
            await scene.risk.reset_breaker(tx, "ann", hold.id, "fine", role=Role.ADMIN)
        ended = await scene.risk.reset_breaker(tx, "eve", hold.id, "it was real", role=Role.OWNER)
        assert (ended.ended_by, ended.end_reason) == ("eve", "it was real")
        with pytest.raises(HoldNotFoundError):
            await scene.risk.reset_breaker(tx, "eve", hold.id, "again", role=Role.OWNER)
    await scene.withdraw(ANN, UNIT)
    assert [act[:2] for act in await scene.acts()] == [("risk", "risk.trip"), ("eve", "risk.reset")]
    async with scene.store.read() as tx:
        assert [each.id for each in await scene.risk.holds(tx, scope=POOL_SCOPE)] == [hold.id]


async def test_a_breaker_that_is_tripped_counts_and_is_one_row(scene: Scene):
    for number in range(3):
        scene.clock.advance(1)
        async with scene.store.begin() as tx:
            await scene.risk.trip(tx, HoldKind.ORACLE, PLATFORM, f"no price {number}")
    async with scene.store.read() as tx:
        (hold,) = await scene.risk.holds(tx)
    assert (hold.count, hold.reason, hold.last_ms - hold.since_ms) == (3, "no price 2", 2000)
    assert len(await scene.acts()) == 1


async def test_a_breaker_that_is_not_about_exits_leaves_them_open(scene: Scene):
    for kind in (HoldKind.ORACLE, HoldKind.RATE_JUMP, HoldKind.RECONCILIATION):
        async with scene.store.begin() as tx:
            with pytest.raises(ExitsStayOpenError):
                await scene.risk.trip(tx, kind, PLATFORM, "why", held=list(Function))
            await scene.risk.trip(tx, kind, PLATFORM, "why")
        assert await refused_functions(scene) == {"deposit", "rewards", "claim", "order"}
    await scene.withdraw(ANN, UNIT)


async def test_trips_at_the_same_time_are_one(scene: Scene):
    async def trip() -> None:
        async with scene.store.begin() as tx:
            await scene.risk.trip(tx, HoldKind.ORACLE, PLATFORM, "no price")

    await asyncio.gather(*(trip() for _ in range(8)))
    async with scene.store.read() as tx:
        (hold,) = await scene.risk.holds(tx)
    assert hold.count == 8
