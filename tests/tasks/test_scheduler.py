"""When tasks run, what their rows say, and that one that fails or hangs disturbs no other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millpond.clock import ManualClock, SeededEntropy
from millpond.errors import UnavailableError
from millpond.ops.system import SystemClock
from millpond.store import Store
from millpond.tasks import (
    Lease,
    Scheduler,
    Task,
    TaskLeaseLostError,
    TaskNotFoundError,
    TaskStatus,
    current_lease,
    list_tasks,
    rows,
    run_now,
    still_ours,
)


class Scene:
    """One process, one task whose runs are counted, and others on request."""

    def __init__(self, store: Store, *, jitter_s: float = 0.0) -> None:
        self.store = store
        self.clock = ManualClock()
        self.ran: list[int] = []
        self.fault: Exception | None = None
        self.task = Task("pool-sync", 60, jitter_s, self.count)
        self.scheduler = self.process("w1")

    def process(self, name: str, *tasks: Task) -> Scheduler:
        return Scheduler(self.store, self.clock, SeededEntropy(7), name, tasks or [self.task])

    async def count(self) -> str:
        self.ran.append(self.clock.now_ms())
        if self.fault is not None:
            raise self.fault
        return f"{len(self.ran)} pools"

    async def status(self) -> TaskStatus:
        async with self.store.read() as tx:
            return {task.name: task for task in await list_tasks(tx, self.clock)}["pool-sync"]

    async def ask(self, name: str = "pool-sync", actor: str = "ann") -> TaskStatus:
        async with self.store.begin() as tx:
            return await run_now(tx, name, actor, self.clock)


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


async def test_a_task_runs_at_once_and_then_every_interval(scene: Scene):
    start_ms = scene.clock.now_ms()
    assert await scene.scheduler.run_once() is not None
    for _ in range(3):
        assert await scene.scheduler.run_once() is None
        scene.clock.advance(59.999)
        assert await scene.scheduler.run_once() is None
        scene.clock.advance(0.001)
        assert await scene.scheduler.run_once() is not None
    assert scene.ran == [start_ms + number * 60_000 for number in range(4)]
    status = await scene.status()
    assert (status.runs, status.failures, status.last_result) == (4, 0, "4 pools")
    assert (status.next_ms, status.lag_ms) == (scene.clock.now_ms() + 60_000, 0)


async def test_missed_ticks_do_not_pile_up_and_the_lag_is_told(scene: Scene):
    await scene.scheduler.run_once()
    scene.clock.advance(3600)
    assert (await scene.status()).lag_ms == 3540_000
    assert await scene.scheduler.run_once() is not None
    assert await scene.scheduler.run_once() is None
    status = await scene.status()
    assert (status.last_lag_ms, status.lag_ms) == (3540_000, 0)
    assert status.next_ms == scene.clock.now_ms() + 60_000


async def test_jitter_spreads_the_runs_within_its_bound(store: Store):
    scene = Scene(store, jitter_s=30)
    await scene.scheduler.register()
    assert 0 <= (await scene.status()).next_ms - scene.clock.now_ms() < 30_000
    gaps = set()
    for _ in range(10):
        scene.clock.advance(90)
        await scene.scheduler.run_once()
        gaps.add((await scene.status()).next_ms - scene.clock.now_ms())
    assert len(gaps) > 5
    assert all(60_000 <= gap < 90_000 for gap in gaps)


async def test_a_run_asked_for_by_hand_comes_now_once_from_any_process(scene: Scene):
    await scene.scheduler.run_once()
    scene.clock.advance(1)
    assert (await scene.ask()).requested_by == "ann"
    assert (await scene.ask(actor="bob")).requested_by == "ann"
    assert await scene.process("w2").run_once() is not None
    assert await scene.scheduler.run_once() is None
    assert (await scene.status()).requested_ms is None
    with pytest.raises(TaskNotFoundError):
        await scene.ask("nothing")


async def test_a_run_asked_for_during_a_run_comes_after_it(scene: Scene):
    requests: list[TaskStatus] = []

    async def ask_again() -> None:
        requests.append(await scene.ask())
        assert await scene.process("w2").run_once() is None

    asking = scene.process("w1", Task("pool-sync", 60, 0, ask_again))
    assert await asking.run_once() is not None
    assert requests[0].running
    assert await scene.scheduler.run_once() is not None
    assert len(scene.ran) == 1


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (UnavailableError("no node answers"), "no node answers"),
        (ZeroDivisionError("a bug"), "ZeroDivisionError: a bug"),
    ],
)
async def test_a_run_that_fails_is_told_and_tried_again_at_its_time(
    scene: Scene, fault: Exception, text: str
):
    scene.fault = fault
    for _ in range(2):
        ran = await scene.scheduler.run_once()
        assert ran is not None
        assert ran.error == text
        scene.clock.advance(60)
    status = await scene.status()
    assert (status.last_error, status.failing, status.last_ok_ms) == (text, 2, None)
    scene.fault = None
    await scene.scheduler.run_once()
    status = await scene.status()
    assert (status.last_error, status.failing, status.failures) == ("", 0, 2)
    assert status.last_ok_ms == scene.clock.now_ms()


async def test_a_run_that_hangs_is_cancelled(scene: Scene):
    ended = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    ran = await scene.process("w1", Task("pool-sync", 60, 0, hang, timeout_s=0.01)).run_once()
    assert ran is not None
    assert ran.error == "it took more than 0.01 s"
    assert ended.is_set()
    assert not (await scene.status()).running


async def test_terms_that_change_are_taken_over_and_a_long_wait_is_cut(scene: Scene):
    await scene.process("w1", Task("pool-sync", 86_400, 0, scene.count)).run_once()
    await scene.process("w1").register()
    status = await scene.status()
    assert (status.interval_ms, status.next_ms) == (60_000, scene.clock.now_ms() + 60_000)
    assert status.runs == 1


@pytest.mark.parametrize("error", [UnavailableError, RuntimeError])
async def test_an_error_in_words_that_no_database_takes_is_written_all_the_same(
    scene: Scene, error: type[Exception]
):
    async def bad() -> None:
        raise error("a node said \0 and \ud800 and \x1b[2J")

    ran = await scene.process("w1", Task("pool-sync", 60, 0, bad)).run_once()
    assert ran is not None
    assert not ran.lost
    status = await scene.status()
    assert status.last_error.endswith("a node said ? and ? and ?[2J")
    assert not status.running


def ahead_of(scene: Scene) -> Scheduler:
    """A process whose clock is a day ahead, until somebody puts it right."""
    clock = ManualClock(scene.clock.now_ms() + 86_400_000)
    return Scheduler(scene.store, clock, SeededEntropy(7), "w1", [scene.task])


async def test_a_clock_put_right_while_the_process_lives_costs_no_day(scene: Scene):
    late = scene.process("w2")
    await late.register()
    assert await late.run_once() is not None
    assert await ahead_of(scene).run_once() is not None
    assert await late.run_once() is not None
    assert await late.run_once() is None


async def test_a_process_that_died_while_its_clock_was_ahead_is_followed(scene: Scene):
    late = scene.process("w2")
    await late.register()
    async with scene.store.begin() as tx:
        task = {"pool-sync": scene.task}
        ahead_ms = scene.clock.now_ms() + 86_400_000
        assert await rows.claim(tx, task, "w1", now_ms=ahead_ms, uniform=0.0) is not None
    assert await late.run_once() is not None
    assert (await scene.status()).failures == 1


async def test_a_claim_that_was_lost_guards_what_its_run_writes(scene: Scene):
    leases: list[Lease] = []

    async def look() -> None:
        lease = current_lease()
        assert lease is not None
        leases.append(lease)
        async with scene.store.begin() as tx:
            await still_ours(tx)

    process = scene.process("w1", Task("pool-sync", 60, 0, look))
    for _ in range(2):
        assert (await process.run_once() or pytest.fail("it was due")).error == ""
        scene.clock.advance(60)
    assert [lease.fence for lease in leases] == [1, 2]
    async with scene.store.begin() as tx:
        await leases[1].guard(tx)
        with pytest.raises(TaskLeaseLostError):
            await leases[0].guard(tx)
        await still_ours(tx)  # outside of a task nothing is guarded
    assert current_lease() is None


async def test_tasks_run_side_by_side_and_a_stop_lets_go_of_them(store: Store):
    both = asyncio.Barrier(2)
    met = asyncio.Event()
    stop = asyncio.Event()

    async def meet() -> None:
        await both.wait()
        met.set()
        await asyncio.Event().wait()

    tasks = [Task(name, 60, 0, meet) for name in ("a", "b")]
    clock = SystemClock()
    scheduler = Scheduler(store, clock, SeededEntropy(1), "w1", tasks)
    running = asyncio.create_task(scheduler.run(stop, poll_s=0.001))
    await met.wait()
    stop.set()
    await running
    async with store.read() as tx:
        statuses = await list_tasks(tx, clock)
    assert [(each.name, each.running, each.runs) for each in statuses] == [
        ("a", False, 0),
        ("b", False, 0),
    ]
    assert all(each.next_ms <= clock.now_ms() for each in statuses)


async def test_the_scheduler_goes_on_when_the_database_is_away_for_a_while(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    stop = asyncio.Event()
    real: Any = scene.store.read
    failures = iter([True, True])

    def flaky() -> Any:
        if next(failures, False):
            raise UnavailableError("the database is away")
        return real()

    async def done() -> None:
        stop.set()

    monkeypatch.setattr(scene.store, "read", flaky)
    await scene.process("w1", Task("pool-sync", 60, 0, done)).run(stop)
    monkeypatch.undo()
    status = await scene.status()
    assert status.fence == 1
