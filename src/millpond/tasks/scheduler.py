"""One process's part in running the tasks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from millpond.clock import Clock, Entropy
from millpond.errors import MillpondError, UnavailableError, plain
from millpond.store import Store
from millpond.store.retry import retrying
from millpond.tasks import rows
from millpond.tasks.lease import Lease, TaskLeaseLostError, under
from millpond.tasks.model import Task

_log = structlog.get_logger(__name__)

_RUNS = Counter("millpond_task_runs", "Runs that ended, by how", ["task", "outcome"])
_SECONDS = Histogram("millpond_task_seconds", "How long runs take", ["task"])
_LAG = Gauge(
    "millpond_task_lag_seconds", "How late the last run began", ["task"], multiprocess_mode="max"
)
_LAST_OK = Gauge(
    "millpond_task_last_success_seconds",
    "When a run last ended well, Unix time",
    ["task"],
    multiprocess_mode="max",
)


class Ran(msgspec.Struct, frozen=True):
    """A run that ended in this process.

    Attributes:
        task: Its name.
        result: What it said, as text.
        error: What went wrong; empty if nothing.
        lost: Another process had taken it over, so nothing was written.
    """

    task: str
    result: str
    error: str
    lost: bool = False


class Scheduler:
    """Runs tasks in this process; any number of processes share one table.

    Args:
        store: The database.
        clock: Time; the machines' clocks differ by less than a lease.
        entropy: For jitter.
        worker_id: Names this process in the rows; unique.
        tasks: What this process can run. Others may know others.
    """

    def __init__(
        self, store: Store, clock: Clock, entropy: Entropy, worker_id: str, tasks: Iterable[Task]
    ) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._worker = worker_id
        self._tasks: dict[str, Task] = {}
        for task in tasks:
            assert task.name not in self._tasks, "tasks have names of their own"
            self._tasks[task.name] = task
        self._registered = False

    async def register(self) -> None:
        """Write the rows of the tasks, and their terms where they have changed."""
        async with self._store.begin() as tx:
            for name in sorted(self._tasks):
                await rows.register(
                    tx,
                    self._tasks[name],
                    now_ms=self._clock.now_ms(),
                    uniform=self._entropy.uniform(),
                )
        self._registered = True

    async def run_once(self) -> Ran | None:
        """Run the task that is due longest; None if none is, or others have them in hand."""
        claimed = await self._claim()
        return None if claimed is None else await self._run(*claimed)

    async def run(self, stop: asyncio.Event, *, poll_s: float = 1.0) -> None:
        """Run whatever is due, side by side, until told to stop.

        Runs that are under way then are cancelled, and let go of.

        Args:
            stop: Says when.
            poll_s: How often to look.
        """
        running: set[asyncio.Task[Ran]] = set()
        try:
            while not stop.is_set():
                claimed = await self._claim_or_wait()
                if claimed is not None:
                    running.add(asyncio.create_task(self._run(*claimed)))
                    continue
                await self._pause(stop, poll_s)
                running = {each for each in running if not _reaped(each)}
        finally:
            for each in running:
                each.cancel()
            if running:
                await asyncio.wait(running)
                for each in running:
                    _reaped(each)

    async def _claim(self) -> tuple[Task, Lease, int] | None:
        if not self._tasks:
            return None
        if not self._registered:
            await self.register()
        async with self._store.read() as tx:
            if not await rows.any_due(tx, self._tasks, self._clock.now_ms()):
                return None
        async with self._store.begin() as tx:
            return await rows.claim(
                tx,
                self._tasks,
                self._worker,
                now_ms=self._clock.now_ms(),
                uniform=self._entropy.uniform(),
            )

    async def _claim_or_wait(self) -> tuple[Task, Lease, int] | None:
        """As `_claim`; a database that is away is asked again later."""
        try:
            return await self._claim()
        except UnavailableError as error:
            _log.warning("tasks cannot be claimed now", error=error.message)
            return None

    async def _run(self, task: Task, lease: Lease, lag_ms: int) -> Ran:
        """Do it in an asyncio task of its own, so that its errors and time stay with it."""
        _LAG.labels(task.name).set(lag_ms / 1000)
        began_ns = self._clock.monotonic_ns()
        work = asyncio.ensure_future(_under(lease, task.run))
        try:
            await asyncio.wait({work}, timeout=task.timeout_s)
            timed_out = not work.done()
        except asyncio.CancelledError:
            await _cancelled(work)
            await self._give_up(lease)
            raise
        await _cancelled(work)
        _SECONDS.labels(task.name).observe((self._clock.monotonic_ns() - began_ns) / 1e9)
        error = f"it took more than {task.timeout_s:g} s" if timed_out else _error_of(work)
        result = "" if error else _text(work.result())
        return await self._end(task, lease, Ran(task.name, result, error))

    async def _end(self, task: Task, lease: Lease, ran: Ran) -> Ran:
        now_ms = self._clock.now_ms()
        try:
            await retrying(
                self._store,
                lambda tx: rows.end(tx, lease, now_ms=now_ms, result=ran.result, error=ran.error),
                clock=self._clock,
                entropy=self._entropy,
            )
        except UnavailableError as error:
            # Lost to another process, or the database is away and the lease will run out.
            lost = isinstance(error, TaskLeaseLostError)
            _log.warning("a task's end was not written", task=task.name, error=error.message)
            _RUNS.labels(task.name, "lost").inc()
            return msgspec.structs.replace(ran, lost=lost)
        if ran.error:
            _log.warning("a task failed", task=task.name, error=ran.error)
        else:
            _LAST_OK.labels(task.name).set(now_ms / 1000)
        _RUNS.labels(task.name, "failed" if ran.error else "ok").inc()
        return ran

    async def _give_up(self, lease: Lease) -> None:
        with contextlib.suppress(UnavailableError):
            async with self._store.begin() as tx:
                await rows.give_up(tx, lease, now_ms=self._clock.now_ms())

    async def _pause(self, stop: asyncio.Event, seconds: float) -> None:
        pause = asyncio.ensure_future(self._clock.sleep(seconds))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({pause, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancelled(pause)
            await _cancelled(stopped)


async def _under(lease: Lease, run: Callable[[], Awaitable[object]]) -> object:
    under(lease)
    return await run()


async def _cancelled(work: asyncio.Future[Any]) -> None:
    """Cancel what still runs and wait until it has ended."""
    while not work.done():
        work.cancel()
        await asyncio.wait({work})


def _error_of(work: asyncio.Future[object]) -> str:
    """What went wrong, in a sentence; a bug in one task must not end the others."""
    if work.cancelled():
        return "it was cancelled"
    error = work.exception()
    if error is None:
        return ""
    if isinstance(error, MillpondError):
        return error.message or error.code
    _log.error("a task has a bug", exc_info=error)
    return plain(f"{type(error).__name__}: {error}")


def _text(result: object) -> str:
    if result is None:
        return ""
    return plain(result if isinstance(result, str) else str(result))


def _reaped(run: asyncio.Task[Ran]) -> bool:
    """Whether a run has ended; its errors were written, so one that is left is a bug."""
    if not run.done():
        return False
    if not run.cancelled():
        run.result()
    return True
