"""Loops that share a process share nothing else: not their errors, not their pauses."""

import asyncio

from millpond.clock import ManualClock
from millpond.mining.folds.service import Progress
from millpond.mining.worker import Loop, Worker


class Steps:
    """A step that fails as told and stops the worker after a number of runs."""

    def __init__(self, stop: asyncio.Event, *, until: int, fail: int = 0):
        self.stop, self.until, self.fail = stop, until, fail
        self.runs = 0

    async def __call__(self) -> None:
        self.runs += 1
        if self.runs >= self.until:
            self.stop.set()
        if self.runs <= self.fail:
            raise RuntimeError(f"failure {self.runs}")


class SlowClock(ManualClock):
    """Notes how long was slept."""

    def __init__(self):
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await super().sleep(seconds)


class StandingClock(ManualClock):
    """Sleeps for ever."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


async def test_an_error_in_one_loop_leaves_the_others_alone():
    stop = asyncio.Event()
    bad = Steps(stop, until=10**9, fail=10**9)
    good = Steps(stop, until=20)
    told: list[str] = []
    worker = Worker(
        [Loop("bad", bad, 1.0), Loop("good", good, 1.0)], ManualClock(), on_error=told.append
    )
    await worker.run(stop)
    by_name = {health.name: health for health in worker.health()}
    assert by_name["good"].runs == 20
    assert by_name["good"].failures == 0
    assert by_name["bad"].failures == bad.runs > 1
    assert by_name["bad"].last_error == f"RuntimeError: failure {bad.runs}"
    assert told[0] == "bad: RuntimeError: failure 1"
    assert not worker.well


async def test_pauses_grow_while_it_fails_and_shrink_when_it_is_well():
    stop, clock = asyncio.Event(), SlowClock()
    worker = Worker([Loop("one", Steps(stop, until=12, fail=9), 1.0)], clock)
    await worker.run(stop)
    assert clock.slept[:12] == [1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 1.0, 1.0, 1.0]
    assert worker.well


async def test_news_of_a_block_ends_the_pause_of_those_who_want_it():
    stop = asyncio.Event()
    follows = Steps(stop, until=2)
    sleeps = Steps(stop, until=10**9)
    worker = Worker(
        [Loop("follows", follows, 3600.0, wakes=True), Loop("sleeps", sleeps, 3600.0)],
        StandingClock(),
    )
    running = asyncio.ensure_future(worker.run(stop))
    while not (follows.runs and sleeps.runs):
        await asyncio.sleep(0)
    worker.wake()
    await asyncio.wait_for(running, 30)
    assert (follows.runs, sleeps.runs) == (2, 1)


async def test_a_loop_that_is_behind_does_not_pause():
    stop, clock = asyncio.Event(), SlowClock()
    left = [3, 2, 1, 0]

    async def fold() -> Progress:
        now = left.pop(0)
        if not now:
            stop.set()
        return Progress(1, 1, behind=bool(now))

    await Worker([Loop("fold", fold, 5.0)], clock).run(stop)
    assert len(clock.slept) <= 1


async def test_a_step_that_has_begun_is_finished_at_a_stop():
    stop, begun, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    done = []

    async def step() -> None:
        begun.set()
        await go.wait()
        done.append(True)

    running = asyncio.ensure_future(Worker([Loop("one", step, 1.0)], ManualClock()).run(stop))
    await begun.wait()
    stop.set()
    go.set()
    await asyncio.wait_for(running, 30)
    assert done == [True]
