"""Real processes: one runs a task at a time, a dead one is followed, a late one writes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

from millpond.clock import ManualClock, SeededEntropy
from millpond.store import Store
from millpond.tasks import Scheduler, Task, get_task
from tests.tasks.victim import make_notes, note, notes

RUNS = 3
"""How often each process must have had its turn."""


@contextlib.asynccontextmanager
async def process(url: str, worker: str, what: str) -> AsyncIterator[Process]:
    command = (sys.executable, "-m", "tests.tasks.victim", url, worker, what)
    started = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()


async def line(of: Process) -> str:
    """The next word that it says; what it logs is passed over."""
    assert of.stdout is not None
    while written := (await of.stdout.readline()).decode():
        if written.startswith("> "):
            return written[2:].strip()
    raise AssertionError("it said nothing")


def tell(to: Process) -> None:
    assert to.stdin is not None
    to.stdin.write(b"go on\n")


def successor(store: Store, clock: ManualClock) -> Scheduler:
    """Another process, as it were, at another time."""

    async def run() -> None:
        await note(store, "begin", "heir")
        await note(store, "end", "heir")

    return Scheduler(store, clock, SeededEntropy(1), "heir", [Task("slow", 3600, 0, run)])


async def test_of_many_processes_one_runs_a_task_at_a_time(store: Store, store_url: str):
    await make_notes(store)
    async with contextlib.AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(process(store_url, f"w{number}", "busy"))
            for number in range(3)
        ]
        for worker in workers:
            for _ in range(RUNS):
                assert await line(worker) == "ran"
        for worker in workers:
            tell(worker)
        for worker in workers:
            assert await worker.wait() == 0
    found = await notes(store)
    assert {worker for _, worker, _ in found} == {"w0", "w1", "w2"}
    complete = [fence for word, _, fence in found if word == "end"]
    assert len(complete) >= 3 * RUNS
    # A run that the end of the test cut short has a begin and no end.
    runs = [(word, worker, fence) for word, worker, fence in found if fence in set(complete)]
    pairs = list(zip(runs[::2], runs[1::2], strict=True))
    assert all(
        (first[0], last[0]) == ("begin", "end") and first[1:] == last[1:] for first, last in pairs
    )
    assert complete == sorted(set(complete))


async def test_another_takes_over_from_a_killed_process_when_its_lease_is_over(
    store: Store, store_url: str
):
    await make_notes(store)
    async with process(store_url, "victim", "slow") as victim:
        assert await line(victim) == "began"
        victim.send_signal(signal.SIGKILL)
        assert await victim.wait() == -signal.SIGKILL
    async with store.read() as tx:
        status = await get_task(tx, "slow", ManualClock())
    assert (status.holder, status.running, status.fence) == ("victim", True, 1)
    assert status.lease_until_ms is not None
    clock = ManualClock(status.lease_until_ms - 1)
    heir = successor(store, clock)
    assert await heir.run_once() is None
    clock.advance(0.001)
    ran = await heir.run_once()
    assert ran is not None
    assert not ran.error
    assert await notes(store) == [
        ("begin", "victim", 1),
        ("begin", "heir", 2),
        ("end", "heir", 2),
    ]
    async with store.read() as tx:
        after = await get_task(tx, "slow", clock)
    assert (after.runs, after.failures, after.failing, after.holder) == (2, 1, 0, None)


async def test_a_process_that_slept_through_its_lease_writes_nothing(store: Store, store_url: str):
    await make_notes(store)
    async with process(store_url, "sleeper", "slow") as sleeper:
        assert await line(sleeper) == "began"
        async with store.read() as tx:
            status = await get_task(tx, "slow", ManualClock())
        assert status.lease_until_ms is not None
        clock = ManualClock(status.lease_until_ms)
        assert await successor(store, clock).run_once() is not None
        async with store.read() as tx:
            before = await get_task(tx, "slow", clock)
        tell(sleeper)
        assert await line(sleeper) == "True: another process has taken the task over"
        assert await sleeper.wait() == 0
    assert [worker for word, worker, _ in await notes(store) if word == "end"] == ["heir"]
    async with store.read() as tx:
        assert await get_task(tx, "slow", clock) == before
