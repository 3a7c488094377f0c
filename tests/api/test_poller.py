"""What live views read: also where nothing is mined, and after a look that failed."""

import asyncio
import shutil
from pathlib import Path

import pytest

from millpond.api.hub import Hub
from millpond.api.poller import Poller
from millpond.clock import ManualClock
from millpond.web.live import pool_of
from tests.api.sample import SampleReads
from tests.api.test_shell import sample_deps


class NothingMined(SampleReads):
    async def pools(self, tx):
        return []


class BrokenOnce(SampleReads):
    async def pools(self, tx):
        found = await super().pools(tx)
        if self.queries == 1:
            raise IndexError("a defect")
        return found


def a_hub() -> Hub:
    return Hub(1, max_watchers=1, max_per_address=1, queue_size=10)


@pytest.fixture(autouse=True)
def database(tmp_path: Path, sqlite_template: Path) -> None:
    """An empty one for `sample_deps` to open."""
    shutil.copy(sqlite_template, tmp_path / "a.db")


async def test_where_nothing_is_mined_the_figures_are_zero(tmp_path: Path):
    deps = await sample_deps(tmp_path, reads=NothingMined(empty=True))
    poller = Poller(deps.store, deps.reads, a_hub(), deps.clock, 1.0)
    snapshot = await poller.snapshot()
    assert (snapshot.stats.pools, snapshot.stats.pool_hashrate) == ([], 0)
    assert snapshot.stats.current_target == ""
    assert pool_of(snapshot, None) is None
    await deps.store.close()


async def test_a_look_that_fails_by_a_defect_ends_no_later_look(tmp_path: Path):
    reads, clock = BrokenOnce(), ManualClock()
    deps = await sample_deps(tmp_path, reads=reads, clock=clock)
    poller = Poller(deps.store, reads, a_hub(), clock, 1.0)
    running = asyncio.create_task(poller.run())
    for _ in range(500):
        await asyncio.sleep(0.01)
        clock.advance(1)
        if reads.queries > 3:
            break
    assert not running.done()
    assert (await poller.snapshot()).version == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await deps.store.close()
