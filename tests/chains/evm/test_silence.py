"""Nodes that stay away are an alert, for as long as they do."""

from __future__ import annotations

import pytest
from aiohttp import web
from sqlalchemy import select

from millpond.alerts import Alerts, Severity
from millpond.alerts.tables import alert_table
from millpond.chains.evm.alerting import SILENT, SilenceWatch, silent_since
from millpond.chains.evm.errors import EquivocationError
from millpond.clock import Ids, SeededEntropy
from millpond.store import Store
from tests.chains.evm.conftest import Town
from tests.support.evm_nodes import CHAIN_ID

_A = alert_table.c


def away(_document):
    return web.Response(status=502)


def back(_document):
    return None


@pytest.fixture
def watch(town: Town, store: Store) -> SilenceWatch:
    nodes = town.nodes(quorum=2, fail_after=1, recover_after=1, backoff_s=1, backoff_max_s=1)
    alerts = Alerts(town.clock, Ids(town.clock, SeededEntropy()))
    return SilenceWatch(nodes, store, alerts, town.clock)


async def rows(store: Store) -> list[tuple[str, int, bool]]:
    async with store.read() as tx:
        query = select(_A.kind, _A.severity, _A.count, _A.cleared_ms).order_by(_A.id)
        found = [tuple(row) for row in await tx.execute(query)]
    assert {kind for kind, *_ in found} <= {SILENT}
    return [(severity, count, cleared is None) for _, severity, count, cleared in found]


async def pass_by(town: Town, watch: SilenceWatch, seconds: int) -> None:
    for _ in range(seconds // 5):
        town.clock.advance(5)
        await watch.check()


async def test_a_long_silence_is_an_alert_until_enough_answer(town, store, watch):
    await watch.check()
    town.a.raw = away
    await pass_by(town, watch, 300)
    assert await rows(store) == [], "two of three are enough"
    town.b.raw = away
    await pass_by(town, watch, 55)
    assert await rows(store) == [], "short silences are everyday"
    await pass_by(town, watch, 10)
    assert await rows(store) == [(Severity.CRITICAL.value, 1, True)]
    async with store.read() as tx:
        since = await silent_since(tx, CHAIN_ID)
        assert since is not None
        assert await silent_since(tx, CHAIN_ID + 1) is None
    await pass_by(town, watch, 60)
    assert await rows(store) == [(Severity.CRITICAL.value, 2, True)], "told once a minute"
    async with store.read() as tx:
        assert await silent_since(tx, CHAIN_ID) == since
    town.b.raw = back
    await pass_by(town, watch, 10)
    assert await rows(store) == [(Severity.CRITICAL.value, 2, False)]
    async with store.read() as tx:
        assert await silent_since(tx, CHAIN_ID) is None


async def test_the_alert_of_a_process_that_died_is_cleared(town, store, watch):
    town.a.raw = town.b.raw = town.c.raw = away
    await pass_by(town, watch, 70)
    assert await rows(store) == [(Severity.CRITICAL.value, 1, True)]
    town.a.raw = town.b.raw = town.c.raw = back
    town.clock.advance(30)
    nodes = town.nodes(quorum=2)
    later = SilenceWatch(
        nodes, store, Alerts(town.clock, Ids(town.clock, SeededEntropy())), town.clock
    )
    await later.check()
    assert await rows(store) == [(Severity.CRITICAL.value, 1, False)]


async def test_what_the_check_finds_is_still_raised(town, store, watch, monkeypatch):
    async def lies() -> None:
        raise EquivocationError("they contradict each other", subject="block 7", answers={})

    monkeypatch.setattr(watch._nodes, "check", lies)
    with pytest.raises(EquivocationError):
        await watch.check()
    assert await rows(store) == []
