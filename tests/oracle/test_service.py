"""Prices asked, refreshed, stored, alerted about; the breaker told in time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from millpond.alerts import Alerts, Severity
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.errors import UnavailableError
from millpond.oracle import (
    Feed,
    Oracle,
    PriceDegradedError,
    Prices,
    PriceUnavailableError,
    Problem,
    Reading,
    ReadingError,
    UnknownPairError,
    rows,
)
from millpond.oracle.fixed import E18
from millpond.oracle.service import ALERT_DEGRADED, ALERT_SOURCE, ALERT_UNAVAILABLE
from millpond.store import Store, Tx
from tests.oracle.test_cases import POLICY

HOUR_MS = 3_600_000
HEARTBEAT_MS = 10 * 60_000
CACHE_S = 30.0


class Source:
    """A source that says what a test sets, as of now."""

    def __init__(self, name: str, clock: ManualClock, dollars: int | None = 100) -> None:
        self.name = name
        self.dollars = dollars
        self.problem: Problem | None = None
        self.decimals: int | None = None
        self.age_ms = 0
        self.asked = 0
        self.gate: asyncio.Event | None = None
        self._clock = clock

    async def read(self) -> Reading:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.problem is not None:
            raise ReadingError(self.problem, "as the test wants", figure="1")
        if self.dollars is None:
            raise UnavailableError("away")
        at_ms = self._clock.now_ms() - self.age_ms
        return Reading(self.name, self.dollars * E18, at_ms, HEARTBEAT_MS, self.decimals)


@dataclass
class Tripped:
    """A breaker that remembers; writes nothing."""

    calls: list[dict[str, Any]] = field(default_factory=list)

    async def oracle_failed(self, tx: Tx, **facts: Any) -> None:
        assert tx.in_transaction()
        self.calls.append(facts)


@dataclass
class World:
    """An oracle of one pair: two tiers, `main` and `spare`."""

    store: Store
    clock: ManualClock
    main: Source
    spare: Source
    alerts: Alerts
    breaker: Tripped
    oracle: Oracle

    @property
    def prices(self) -> Prices:
        return self.oracle.prices

    async def open_alerts(self) -> dict[str, str]:
        async with self.store.read() as tx:
            return {alert.kind: alert.subject for alert in await self.alerts.open(tx)}

    async def current(self, **options: Any):
        async with self.store.read() as tx:
            return await self.prices.current(tx, "BTCD", **options)


@pytest.fixture
def world(store: Store) -> World:
    return make(store)


def make(store: Store, **feed: Any) -> World:
    clock = ManualClock()
    ids = Ids(clock, SeededEntropy())
    main, spare = Source("main", clock), Source("spare", clock, 90)
    policy = replace(POLICY, tiers=(("main",), ("spare",)))
    alerts, breaker = Alerts(clock, ids), Tripped()
    oracle = Oracle(
        store,
        clock,
        ids,
        alerts,
        [Feed(policy, (main, spare), **feed)],
        breaker=breaker,
        cache_s=CACHE_S,
        read_timeout_s=60,
    )
    return World(store, clock, main, spare, alerts, breaker, oracle)


async def test_a_price_is_asked_once_and_then_from_the_cache(world: World):
    price = await world.oracle.price("BTCD")
    assert (price.value_e18, price.source, price.degraded) == (100 * E18, "main", False)
    world.main.dollars = 105
    world.clock.advance(CACHE_S - 1)
    again = await world.oracle.price("BTCD")
    assert (again.value_e18, again.age_ms) == (100 * E18, 29_000)
    world.clock.advance(1)
    assert (await world.oracle.price("BTCD")).value_e18 == 105 * E18
    assert world.main.asked == 2


async def test_many_who_ask_at_once_cause_one_round(world: World):
    world.main.gate = asyncio.Event()
    askers = [asyncio.create_task(world.oracle.price("BTCD")) for _ in range(20)]
    while not world.main.asked:
        await asyncio.sleep(0)
    world.main.gate.set()
    assert {price.value_e18 for price in await asyncio.gather(*askers)} == {100 * E18}
    assert world.main.asked == 1


async def test_a_refresh_asks_whatever_is_cached(world: World):
    await world.oracle.price("BTCD")
    world.main.dollars = 101
    assert (await world.oracle.refresh("BTCD")).value_e18 == 101 * E18
    assert (await world.oracle.price("BTCD")).value_e18 == 101 * E18


async def test_a_fallback_is_degraded_and_alerted_until_the_first_tier_is_back(world: World):
    world.main.dollars = None
    price = await world.oracle.refresh("BTCD")
    assert (price.value_e18, price.degraded) == (90 * E18, True)
    assert price.reason == "fallback 1: too_few"
    assert await world.open_alerts() == {
        ALERT_SOURCE: "BTCD/USD:main",
        ALERT_DEGRADED: "BTCD/USD",
    }
    with pytest.raises(PriceDegradedError) as caught:
        await world.oracle.price("BTCD", degraded=False)
    assert caught.value.code == "price_degraded"
    world.main.dollars = 100
    assert not (await world.oracle.refresh("BTCD")).degraded
    assert await world.open_alerts() == {}


async def test_each_failing_read_counts_on_its_alert(world: World):
    world.main.problem = Problem.CLAMPED
    for _ in range(3):
        await world.oracle.refresh("BTCD")
    async with world.store.read() as tx:
        alert = await world.alerts.find_open(tx, ALERT_SOURCE, "BTCD/USD:main")
    assert alert is not None
    assert (alert.count, alert.severity) == (3, Severity.WARNING)
    assert alert.details == {"problem": "clamped", "figure": "1"}


async def test_the_last_price_stands_in_degraded_and_then_there_is_none(world: World):
    await world.oracle.refresh("BTCD")
    world.main.dollars = world.spare.dollars = None
    world.clock.advance(60)
    price = await world.oracle.refresh("BTCD")
    assert (price.value_e18, price.age_ms, price.degraded) == (100 * E18, 60_000, True)
    assert price.reason == "last known price: too_few"
    assert await world.current() == price
    with pytest.raises(PriceDegradedError):
        await world.current(degraded=False)
    world.clock.advance(HOUR_MS / 1000 - 59)
    with pytest.raises(PriceUnavailableError) as caught:
        await world.oracle.refresh("BTCD")
    assert caught.value.code == "price_unavailable"
    with pytest.raises(PriceUnavailableError):
        await world.current()
    assert (await world.open_alerts())[ALERT_UNAVAILABLE] == "BTCD/USD"
    assert ALERT_DEGRADED not in await world.open_alerts()


async def test_a_price_standing_in_is_not_written_down_as_news(world: World):
    await world.oracle.refresh("BTCD")
    world.main.dollars = world.spare.dollars = None
    world.clock.advance(60)
    await world.oracle.refresh("BTCD")
    async with world.store.read() as tx:
        assert len(await rows.history(tx, "BTCD", "USD")) == 1


async def test_the_breaker_is_told_after_an_hour_without_confirmation_and_not_before(world: World):
    await world.oracle.refresh("BTCD")
    confirmed_ms = world.clock.now_ms()
    world.main.dollars = world.spare.dollars = None
    world.clock.advance(3600)
    await world.oracle.refresh_all()
    assert world.breaker.calls == []
    world.clock.advance(1)
    await world.oracle.refresh_all()
    (facts,) = world.breaker.calls
    assert facts["since_ms"] == confirmed_ms
    assert facts["reason"] == "No source confirmed a price of BTCD/USD for 3601 s."
    world.main.dollars = 100
    await world.oracle.refresh_all()
    assert len(world.breaker.calls) == 1


async def test_a_price_that_never_was_trips_an_hour_after_it_first_failed(world: World):
    world.main.dollars = world.spare.dollars = None
    first_ms = world.clock.now_ms()
    for _ in range(2):
        await world.oracle.refresh_all()
        world.clock.advance(1800.5)
    assert world.breaker.calls == []
    await world.oracle.refresh_all()
    assert [facts["since_ms"] for facts in world.breaker.calls] == [first_ms]


async def test_a_slow_feed_within_its_heartbeat_does_not_trip(store: Store):
    world = make(store, trip_after_ms=60_000)
    for _ in range(3):
        world.clock.advance(600)
        world.main.age_ms = HEARTBEAT_MS
        assert (await world.oracle.refresh("BTCD")).age_ms == HEARTBEAT_MS
    assert world.breaker.calls == []


async def test_a_grave_problem_trips_at_once_although_there_is_a_price(store: Store):
    world = make(store, trip_on=frozenset([Problem.CLAMPED]))
    world.main.problem = Problem.CLAMPED
    assert (await world.oracle.refresh("BTCD")).value_e18 == 90 * E18
    assert [facts["reason"] for facts in world.breaker.calls] == [
        "A source of BTCD/USD is clamped."
    ]


async def test_other_decimals_than_first_seen_do_not_count_until_a_person_says_so(world: World):
    world.main.decimals = 8
    await world.oracle.refresh("BTCD")
    world.main.decimals = 18
    assert (await world.oracle.refresh("BTCD")).source == "spare"
    async with world.store.begin() as tx:
        (main, _) = await rows.sources(tx, "BTCD", "USD")
        assert (main.problem, main.decimals, main.failures) == ("wrong_decimals", 8, 1)
        assert await rows.forget_source(tx, "BTCD", "USD", "main")
        assert not await rows.forget_source(tx, "BTCD", "USD", "nobody")
    assert (await world.oracle.refresh("BTCD")).source == "main"
    async with world.store.read() as tx:
        assert await rows.known_decimals(tx, "BTCD", "USD") == {"main": 18}


async def test_decimals_of_a_price_that_does_not_count_are_not_remembered(world: World):
    world.main.decimals, world.main.dollars = 8, 2_000_000
    await world.oracle.refresh("BTCD")
    async with world.store.read() as tx:
        assert await rows.known_decimals(tx, "BTCD", "USD") == {}


async def test_whatever_a_source_says_the_round_ends_and_is_written_down(world: World):
    for age_ms, dollars in [(-(10**80), 100), (10**80, 100), (0, 10**80), (0, -(10**80))]:
        world.main.age_ms, world.main.dollars = age_ms, dollars
        assert (await world.oracle.refresh("BTCD")).source == "spare"
    async with world.store.read() as tx:
        (main, _) = await rows.sources(tx, "BTCD", "USD")
    assert (main.problem, main.failures) == ("not_positive", 4)


async def test_a_source_that_hangs_is_left_behind(store: Store):
    world = make(store)
    world.oracle._read_timeout_s = 0.01
    world.main.gate = asyncio.Event()
    price = await world.oracle.refresh("BTCD")
    assert price.source == "spare"
    async with store.read() as tx:
        (main, _) = await rows.sources(tx, "BTCD", "USD")
    assert main.message == "the source did not answer in time"


async def test_what_nobody_refreshes_degrades_by_itself(world: World):
    await world.oracle.refresh("BTCD")
    assert not (await world.current()).degraded
    world.clock.advance(HEARTBEAT_MS / 1000)
    assert not (await world.current(degraded=False)).degraded
    world.clock.advance(1)
    assert (await world.current()).reason == "stale"


async def test_a_page_sees_the_last_price_when_nothing_may_use_it(world: World):
    await world.oracle.refresh("BTCD")
    world.main.dollars = world.spare.dollars = None
    world.clock.advance(2 * 3600)
    failing_ms = world.clock.now_ms()
    report = await world.oracle.refresh_all()
    assert (report.good, report.degraded, report.unavailable) == ([], [], ["BTCD/USD"])
    async with world.store.read() as tx:
        view = await world.prices.view(tx, "BTCD")
    assert view.price is None
    assert view.last is not None
    assert view.last.value_e18 == 100 * E18
    assert (view.problem, view.failing_ms) == ("too_few", failing_ms)
    assert [(s.source, s.problem, s.failures) for s in view.sources] == [
        ("main", "unavailable", 1),
        ("spare", "unavailable", 1),
    ]
    assert view.sources[0].value_e18 == 100 * E18


async def test_before_the_first_round_there_is_no_price(world: World):
    with pytest.raises(PriceUnavailableError):
        await world.current()
    async with world.store.read() as tx:
        view = await world.prices.view(tx, "BTCD")
    assert (view.price, view.last, view.read_ms, view.sources) == (None, None, None, [])


async def test_what_is_not_configured_has_no_price(world: World):
    with pytest.raises(UnknownPairError) as caught:
        await world.oracle.price("DOGE")
    assert caught.value.code == "price_not_configured"


async def test_history_comes_by_pages_and_is_pruned_but_for_the_last(world: World):
    for dollars in range(100, 107):
        world.main.dollars = dollars
        await world.oracle.refresh("BTCD")
        world.clock.advance(1)
    seen: list[int] = []
    before = None
    async with world.store.read() as tx:
        while page := await rows.history(tx, "BTCD", "USD", before=before, limit=3):
            seen += [point.value_e18 // E18 for point in page]
            before = (page[-1].checked_ms, page[-1].id)
        since = await rows.history(tx, "BTCD", "USD", since_ms=world.clock.now_ms() - 2_000)
    assert seen == [106, 105, 104, 103, 102, 101, 100]
    assert [point.value_e18 // E18 for point in since] == [106, 105]
    assert since[0].readings == [
        {"source": "main", "value_e18": str(106 * E18), "at_ms": since[0].at_ms}
    ]
    world.main.dollars = world.spare.dollars = None
    world.clock.advance(91 * 86_400)
    assert (await world.oracle.refresh_all()).pruned == 6
    async with world.store.read() as tx:
        assert [p.value_e18 for p in await rows.history(tx, "BTCD", "USD")] == [106 * E18]


async def test_metrics_tell_the_state_of_a_price(world: World):
    labels = {"pair": "BTCD/USD"}
    await world.oracle.refresh("BTCD")
    assert REGISTRY.get_sample_value("millpond_oracle_price_state", labels) == 0
    world.main.dollars = None
    await world.oracle.refresh("BTCD")
    assert REGISTRY.get_sample_value("millpond_oracle_price_state", labels) == 1
    world.clock.advance(2 * 3600)
    world.spare.dollars = None
    await world.oracle.refresh_all()
    assert REGISTRY.get_sample_value("millpond_oracle_price_state", labels) == 2
