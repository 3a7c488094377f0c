"""Payouts pass the platform's risk engine, by hand and automatically; what it holds waits."""

from __future__ import annotations

from typing import Any

import pytest

from millpond.chains.coins import coin_named
from millpond.mining.payouts import PayoutState
from millpond.mining.payouts.errors import PayoutBalanceError
from millpond.risk import PLATFORM, Function, HoldKind, Limits, RiskRefusedError, Role, Rule, Scope
from millpond.store import Store
from tests.mining.payouts.scene import LTC, PayoutScene, address

COIN = coin_named("devcoin")
ANN, BOB = address(COIN, 1), address(COIN, 2)
CODE = COIN.asset.code
DAY_S = 86_400


@pytest.fixture
async def scene(store: Store) -> PayoutScene:
    made = PayoutScene(store, COIN, wallet=None)
    await made.top_up(100 * LTC)
    await made.credit(ANN, 6 * LTC)
    await made.credit(BOB, 6 * LTC)
    return made


async def limit(scene: PayoutScene, scope: Scope, **limits: int) -> None:
    async with scene.store.begin() as tx:
        await scene.payouts.risk.set_limits(tx, "op", scope, CODE, Limits(**limits))


async def pause(scene: PayoutScene, scope: Scope, **options: Any) -> None:
    async with scene.store.begin() as tx:
        await scene.payouts.risk.pause(tx, "op", scope, None, "a leak", **options)


async def resume(scene: PayoutScene, scope: Scope) -> None:
    async with scene.store.begin() as tx:
        await scene.payouts.risk.resume(tx, "op", scope, None, "it was none")


async def violations(scene: PayoutScene) -> list[tuple[Rule, str, int]]:
    async with scene.store.read() as tx:
        found = await scene.payouts.risk.violations(tx)
    return [(violation.rule, violation.user, violation.count) for violation in found]


@pytest.mark.parametrize("scope", [PLATFORM, Scope.product("mining"), Scope.pool("main")])
async def test_a_request_over_a_limit_is_refused_and_leaves_only_a_violation(
    scene: PayoutScene, scope: Scope
):
    await limit(scene, scope, user_24h=4 * LTC)
    with pytest.raises(RiskRefusedError) as refusal:
        await scene.request(ANN, amount=5 * LTC)
    assert refusal.value.code == "risk_user_24h"
    assert refusal.value.details["room"] == str(4 * LTC)
    assert await scene.owed(ANN) == 6 * LTC
    assert await scene.events("payouts") == []
    assert await violations(scene) == [(Rule.USER_24H, ANN, 1)]
    assert (await scene.request(ANN, amount=4 * LTC)).state is PayoutState.RESERVED


async def test_more_than_the_balance_is_no_matter_of_risk(scene: PayoutScene):
    await limit(scene, PLATFORM, outflow_cap=7 * LTC)
    await scene.request(BOB, amount=LTC)
    with pytest.raises(PayoutBalanceError):
        await scene.request(ANN, amount=7 * LTC)
    assert await violations(scene) == []


async def test_the_automatic_run_pays_whom_the_limits_let_and_says_whom_not_once_a_day(
    scene: PayoutScene,
):
    await limit(scene, Scope.user(ANN), withdrawal_cap=LTC)
    first = await scene.run.run_once()
    assert [payout.wallet for payout in first.requested] == [BOB]
    assert len(first.batches) == 1
    for _ in range(2):
        assert (await scene.run.run_once()).requested == ()
    assert await violations(scene) == [(Rule.WITHDRAWAL_CAP, ANN, 3)]
    scene.clock.advance(DAY_S)
    await scene.run.run_once()
    assert [count for _, _, count in await violations(scene)] == [1, 3]
    await scene.assert_books_hold()


async def test_an_emergency_pause_leaves_payouts_open(scene: PayoutScene):
    await pause(scene, PLATFORM)
    assert (await scene.request(ANN)).state is PayoutState.RESERVED
    result = await scene.run.run_once()
    assert [payout.wallet for payout in result.requested] == [BOB]
    assert len(result.batches) == 1


async def test_a_pause_of_exits_holds_requests_run_and_batches_until_it_ends(scene: PayoutScene):
    reserved = await scene.request(BOB)
    await pause(scene, Scope.product("mining"), exits_because="payouts go to wrong addresses")
    with pytest.raises(RiskRefusedError) as refusal:
        await scene.request(ANN)
    assert refusal.value.code == "risk_paused"
    held = await scene.run.run_once()
    assert (held.requested, held.batches) == ((), ())
    assert held.waiting == ((reserved.id, "payouts are held: a leak"),)
    await resume(scene, Scope.product("mining"))
    after = await scene.run.run_once()
    assert [payout.wallet for payout in after.requested] == [ANN]
    assert len(after.batches) == 1
    await scene.assert_books_hold()


async def test_a_pause_of_one_pool_holds_only_its_payouts(scene: PayoutScene):
    await pause(scene, Scope.pool("other"), exits_because="its wallet leaks")
    assert len((await scene.run.run_once()).batches) == 1


async def test_a_tripped_breaker_holds_payouts_until_the_owner_resets_it(scene: PayoutScene):
    await limit(scene, Scope.product("mining"), outflow_cap=7 * LTC)
    await scene.request(ANN)
    with pytest.raises(RiskRefusedError) as refusal:
        await scene.request(BOB)
    assert refusal.value.code == "risk_outflow"
    with pytest.raises(RiskRefusedError) as held:
        await scene.request(BOB, amount=LTC)
    assert held.value.code == "risk_breaker"
    assert (await scene.run.run_once()).batches == ()
    async with scene.store.begin() as tx:
        status = await scene.payouts.risk.status(tx, Scope.product("mining"))
        (breaker,) = status.breakers
        assert (breaker.kind, breaker.reset_role) == (HoldKind.OUTFLOW, Role.OWNER)
        assert Function.PAYOUT in breaker.functions
        await scene.payouts.risk.reset_breaker(
            tx, "op", breaker.id, "they were real", role=Role.OWNER
        )
    assert len((await scene.run.run_once(automatic=False)).batches) == 1
    assert (await scene.request(BOB, amount=LTC)).state is PayoutState.RESERVED


async def test_a_payout_that_waits_for_the_wallet_is_asked_about_when_it_is_reserved(store: Store):
    scene = PayoutScene(store, COIN, wallet=None)
    await scene.credit(ANN, 3 * LTC)
    await scene.credit(BOB, 3 * LTC)
    await limit(scene, PLATFORM, total_24h=4 * LTC)
    first, second = await scene.request(ANN), await scene.request(BOB)
    assert {first.state, second.state} == {PayoutState.REQUESTED}
    await scene.top_up(10 * LTC)
    result = await scene.run.run_once(automatic=False)
    assert [payout.id for payout in result.reserved] == [first.id]
    waiting = await scene.get(second)
    assert waiting.state is PayoutState.REQUESTED
    assert "in 24 hours" in waiting.reason
    await scene.run.run_once(automatic=False)
    assert await violations(scene) == [(Rule.TOTAL_24H, BOB, 2)]
    scene.clock.advance(DAY_S + 60)
    assert [p.id for p in (await scene.run.run_once(automatic=False)).reserved] == [second.id]
    await scene.assert_books_hold()


async def test_a_payout_that_failed_does_not_count(scene: PayoutScene):
    await limit(scene, PLATFORM, user_24h=6 * LTC, total_24h=6 * LTC)
    payout = await scene.request(ANN)
    async with scene.store.begin() as tx:
        await scene.payouts.fail(tx, [payout], "nobody can pay there")
    assert (await scene.request(ANN)).state is PayoutState.RESERVED
