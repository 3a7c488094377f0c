"""One row a condition: raised, counted, acknowledged, cleared, read, pruned."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from millpond.alerts import AlertNotFoundError, Alerts, Severity
from millpond.alerts.service import KEPT_MS
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.store import Store

STALE = ("oracle_stale", "BTCD/USD")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def alerts(clock: ManualClock) -> Alerts:
    return Alerts(clock, Ids(clock, SeededEntropy()))


async def _raise(
    store: Store, alerts: Alerts, severity: Severity = Severity.WARNING, message: str = "old"
):
    async with store.begin() as tx:
        return await alerts.raise_(tx, *STALE, severity, message, {"age_ms": 5})


async def test_raising_again_counts_on_the_open_alert(
    store: Store, alerts: Alerts, clock: ManualClock
):
    first = await _raise(store, alerts)
    clock.advance(7)
    second = await _raise(store, alerts, Severity.INFO, "still old")
    assert (first.count, first.is_new, first.is_open) == (1, True, True)
    assert (second.id, second.count, second.first_ms) == (first.id, 2, first.first_ms)
    assert second.last_ms == first.last_ms + 7_000
    assert (second.severity, second.message) == (Severity.INFO, "still old")
    async with store.read() as tx:
        assert await alerts.open(tx) == [second]
        assert await alerts.find_open(tx, *STALE) == second
        assert await alerts.find_open(tx, STALE[0], "ETH/USD") is None


async def test_after_clearing_the_same_condition_is_a_new_alert(
    store: Store, alerts: Alerts, clock: ManualClock
):
    first = await _raise(store, alerts)
    async with store.begin() as tx:
        cleared = await alerts.clear(tx, *STALE)
        assert cleared is not None
        assert cleared.id == first.id
        assert not cleared.is_open
        assert await alerts.clear(tx, *STALE) is None
    clock.advance(1)
    again = await _raise(store, alerts)
    assert again.id != first.id
    assert again.count == 1
    async with store.read() as tx:
        assert [alert.id for alert in await alerts.page(tx)] == [again.id, first.id]
        assert [alert.id for alert in await alerts.open(tx)] == [again.id]


async def test_an_alert_rolled_back_never_was(store: Store, alerts: Alerts):
    with pytest.raises(LookupError):
        async with store.begin() as tx:
            await alerts.raise_(tx, *STALE, Severity.CRITICAL, "gone")
            raise LookupError
    async with store.read() as tx:
        assert await alerts.page(tx) == []


async def test_raised_by_many_at_once_it_is_one_row_with_their_count(store: Store, alerts: Alerts):
    await asyncio.gather(*(_raise(store, alerts) for _ in range(12)))
    async with store.read() as tx:
        found = await alerts.page(tx)
    assert [alert.count for alert in found] == [12]


async def test_an_acknowledgement_lasts_until_it_gets_worse(
    store: Store, alerts: Alerts, clock: ManualClock
):
    raised = await _raise(store, alerts)
    async with store.begin() as tx:
        known = await alerts.acknowledge(tx, raised.id, "operator")
        clock.advance(1)
        assert await alerts.acknowledge(tx, raised.id, "another") == known
    assert known.acknowledged_by == "operator"
    assert (await _raise(store, alerts)).acknowledged_by == "operator"
    worse = await _raise(store, alerts, Severity.CRITICAL)
    assert (worse.acknowledged_by, worse.acknowledged_ms, worse.count) == (None, None, 3)


async def test_an_unknown_alert_cannot_be_acknowledged(store: Store, alerts: Alerts):
    async with store.begin() as tx:
        with pytest.raises(AlertNotFoundError) as caught:
            await alerts.acknowledge(tx, "nothing", "operator")
    assert caught.value.code == "alert_not_found"


async def test_the_gravest_open_alert_comes_first(store: Store, alerts: Alerts, clock: ManualClock):
    async with store.begin() as tx:
        for number, severity in enumerate(
            [Severity.WARNING, Severity.CRITICAL, Severity.INFO, Severity.CRITICAL]
        ):
            clock.advance(1)
            await alerts.raise_(tx, "kind", f"s{number}", severity, "m")
    async with store.read() as tx:
        assert [a.subject for a in await alerts.open(tx)] == ["s3", "s1", "s0", "s2"]
        assert [a.subject for a in await alerts.open(tx, limit=1)] == ["s3"]
        assert [a.subject for a in await alerts.open(tx, subject="s2")] == ["s2"]


async def test_pages_join_without_a_gap(store: Store, alerts: Alerts, clock: ManualClock):
    async with store.begin() as tx:
        for number in range(7):
            clock.advance(1)
            kind = "even" if number % 2 == 0 else "odd"
            await alerts.raise_(tx, kind, f"s{number}", Severity.INFO, "m")
    seen: list[str] = []
    before = None
    async with store.read() as tx:
        while page := await alerts.page(tx, before=before, limit=3):
            seen += [alert.subject for alert in page]
            before = page[-1].id
        odd = await alerts.page(tx, kinds=["odd"])
    assert seen == [f"s{number}" for number in reversed(range(7))]
    assert [alert.subject for alert in odd] == ["s5", "s3", "s1"]


async def test_a_huge_message_or_detail_does_not_stop_an_alert(store: Store, alerts: Alerts):
    async with store.begin() as tx:
        alert = await alerts.raise_(tx, *STALE, Severity.INFO, "x" * 10_000, {"blob": "y" * 10_000})
    assert len(alert.message) == 500
    assert alert.details == {"dropped_bytes": 10_011}


async def test_what_strangers_said_fits_into_a_message(store: Store, alerts: Alerts):
    said = "node says: \x00\x1b[2J\ud800 böse"
    async with store.begin() as tx:
        alert = await alerts.raise_(tx, *STALE, Severity.INFO, said, {"said": "\x00"})
    assert alert.message == "node says: ??[2J? böse"
    assert alert.details == {"said": "\x00"}


async def test_open_alerts_are_counted_for_the_metrics(store: Store, alerts: Alerts):
    async with store.begin() as tx:
        await alerts.raise_(tx, "a", "1", Severity.CRITICAL, "m")
        known = await alerts.raise_(tx, "a", "2", Severity.CRITICAL, "m")
        await alerts.acknowledge(tx, known.id, "operator")
        await alerts.raise_(tx, "a", "3", Severity.INFO, "m")
        await alerts.clear(tx, "a", "3")
        counts = await alerts.observe(tx)
    assert counts == {Severity.INFO: 0, Severity.WARNING: 0, Severity.CRITICAL: 2}
    for acknowledged in ("true", "false"):
        labels = {"severity": "critical", "acknowledged": acknowledged}
        assert REGISTRY.get_sample_value("millpond_alerts_open", labels) == 1


async def test_cleared_alerts_are_pruned_after_their_time_and_open_ones_never(
    store: Store, alerts: Alerts, clock: ManualClock
):
    async with store.begin() as tx:
        await alerts.raise_(tx, "a", "lasting", Severity.INFO, "m")
        await alerts.raise_(tx, "a", "over", Severity.INFO, "m")
        await alerts.clear(tx, "a", "over")
        clock.advance(KEPT_MS / 1000)
        assert await alerts.prune(tx) == 0
        clock.advance(1)
        assert await alerts.prune(tx) == 1
        assert [alert.subject for alert in await alerts.page(tx)] == ["lasting"]
