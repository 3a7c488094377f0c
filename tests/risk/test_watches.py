"""Breakers that others report to, and limits that stand in contracts."""

from __future__ import annotations

import pytest

from millpond.errors import UnavailableError
from millpond.oracle.service import Breaker
from millpond.risk import (
    PLATFORM,
    ChainCache,
    ChainReading,
    Function,
    HoldKind,
    Limits,
    RiskRefusedError,
    Scope,
)
from millpond.store import Store
from tests.risk.scene import BTCD, POOL, UNIT, Scene

ANN = "0xAnn"
POOL_SCOPE = Scope.pool(POOL)


@pytest.fixture
async def scene(store: Store) -> Scene:
    made = Scene(store)
    await made.deposit(ANN, 100 * UNIT)
    return made


async def test_a_rate_that_jumps_trips_the_breaker_once_and_a_reset_accepts_it(scene: Scene):
    await scene.limit(POOL_SCOPE, rate_jump_bps=100)
    tripped = []
    for rate in (10_000, 10_100, 9_999, 10_100, 10_100):
        async with scene.store.begin() as tx:
            hold = await scene.risk.rate_seen(tx, POOL_SCOPE, BTCD.code, "exchange_rate", rate)
        tripped.append(None if hold is None else (hold.kind, hold.count))
    assert tripped == [
        None,
        None,
        None,
        (HoldKind.RATE_JUMP, 1),
        None,
    ]


async def test_without_a_limit_a_rate_may_jump(scene: Scene):
    for rate in (1, 10**30):
        async with scene.store.begin() as tx:
            assert await scene.risk.rate_seen(tx, POOL_SCOPE, BTCD.code, "rate", rate) is None


@pytest.mark.parametrize(("age_s", "trips"), [(3600, False), (3601, True)])
async def test_a_price_that_is_missing_for_too_long_trips_where_a_limit_asks_for_it(
    scene: Scene, age_s: int, trips: bool
):
    await scene.limit(Scope.product("staking"), oracle_max_age_s=3600)
    await scene.limit(PLATFORM, tvl_cap=5)
    breaker: Breaker = scene.risk
    since_ms = scene.clock.now_ms() - age_s * 1000
    async with scene.store.begin() as tx:
        for asset in (BTCD.code, "LTC"):
            await breaker.oracle_failed(
                tx, asset=asset, quote="USD", reason="no source answers", since_ms=since_ms
            )
        held = await scene.risk.holds(tx)
    assert [(hold.scope, hold.asset) for hold in held] == (
        [(Scope.product("staking"), BTCD.code)] if trips else []
    )
    await scene.withdraw(ANN, UNIT)


async def test_a_grave_problem_of_a_price_trips_however_young_it_is(scene: Scene):
    await scene.limit(POOL_SCOPE, oracle_max_age_s=3600)
    async with scene.store.begin() as tx:
        await scene.risk.oracle_failed(
            tx,
            asset=BTCD.code,
            quote="USD",
            reason="a source is clamped",
            since_ms=scene.clock.now_ms(),
            at_once=True,
        )
        (hold,) = await scene.risk.holds(tx)
    assert (hold.scope, hold.reason) == (POOL_SCOPE, "a source is clamped")


@pytest.mark.parametrize(
    ("outside", "held"),
    [
        (95, None),
        (105, None),
        (106, False),
        (94, True),
    ],
)
async def test_a_difference_holds_exits_only_where_less_is_there_than_is_owed(
    scene: Scene, outside: int, held: bool | None
):
    await scene.limit(POOL_SCOPE, difference_cap=5)
    async with scene.store.begin() as tx:
        hold = await scene.risk.difference_found(
            tx, POOL_SCOPE, BTCD.code, books=100, outside=outside
        )
    assert (None if hold is None else Function.WITHDRAW in hold.functions) is held
    async with scene.store.read() as tx:
        status = await scene.risk.status(tx, POOL_SCOPE)
    assert status.exits_open is (not held)


class Contract:
    """A pool's contract with a cap, which may be away."""

    def __init__(self) -> None:
        self.reading: ChainReading | None = None

    async def read(self, pool_id: str) -> ChainReading:
        assert pool_id == POOL
        if self.reading is None:
            raise UnavailableError("no node answers")
        return self.reading

    def says(self, block: int, *paused: Function, **limits: int) -> None:
        self.reading = ChainReading(
            asset=BTCD.code, limits=Limits(**limits), paused=frozenset(paused), block=block
        )


@pytest.mark.parametrize(("chain", "platform"), [(5, 9), (9, 5)])
async def test_the_stricter_of_chain_and_platform_holds(scene: Scene, chain: int, platform: int):
    contract = Contract()
    contract.says(10, withdrawal_cap=chain * UNIT)
    await scene.limit(POOL_SCOPE, withdrawal_cap=platform * UNIT)
    cache = ChainCache(scene.store, scene.clock, scene.alerts, contract)
    assert await cache.refresh([POOL]) == []
    with pytest.raises(RiskRefusedError):
        await scene.withdraw(ANN, 5 * UNIT + 1)
    await scene.withdraw(ANN, 5 * UNIT)


async def test_what_was_read_from_a_contract_holds_while_it_cannot_be_read_again(scene: Scene):
    contract = Contract()
    cache = ChainCache(scene.store, scene.clock, scene.alerts, contract)
    contract.says(10, Function.DEPOSIT, withdrawal_cap=5)
    await cache.refresh([POOL])
    contract.reading = None
    scene.clock.advance(3600)
    assert await cache.refresh([POOL]) == [POOL]
    assert await scene.open_alerts() == [("risk_chain_limits", f"pool:{POOL}")]
    async with scene.store.read() as tx:
        status = await scene.risk.status(tx, POOL_SCOPE)
        request = scene.ask(ANN, 1, function=Function.DEPOSIT, reference="")
        deposit = await scene.risk.preview(tx, request)
        held = await scene.risk.held(
            tx, Function.DEPOSIT, product="staking", pool_id=POOL, asset=BTCD.code
        )
    assert [(limit.source, limit.stale, limit.block) for limit in status.limits] == [
        ("chain", True, 10)
    ]
    assert "the contract has paused it" in deposit.refusals[0].message
    assert held is not None
    with pytest.raises(RiskRefusedError):
        await scene.withdraw(ANN, 6)
    contract.says(9)
    await cache.refresh([POOL])
    with pytest.raises(RiskRefusedError):
        await scene.withdraw(ANN, 6)
    contract.says(11)
    await cache.refresh([POOL])
    await scene.withdraw(ANN, 6)
    assert await scene.open_alerts() == []
