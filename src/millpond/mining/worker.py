"""The worker: the loops that carry shares to balances and balances to miners.

Each loop is one thing done again and again: fold, follow blocks, watch the
wallet, pay out. They share nothing but the database. What goes wrong in one
is logged, shown in its health and tried again with growing pauses; the others
go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import msgspec
import structlog

from millpond.clock import Clock
from millpond.mining.folds.service import Progress

_log = structlog.get_logger(__name__)

_LONGEST_PAUSE_S = 60.0
_MAX_DOUBLINGS = 10


@dataclass(frozen=True, slots=True)
class Loop:
    """One thing that the worker does again and again.

    Attributes:
        name: Unique among the worker's loops.
        step: Does it once. True, or a `Progress` that is behind, means that
            there is more to do at once.
        interval_s: Pause after a step.
        wakes: News of a block ends the pause.
    """

    name: str
    step: Callable[[], Awaitable[object]]
    interval_s: float
    wakes: bool = False


class LoopHealth(msgspec.Struct, kw_only=True):
    """How one loop is doing.

    Attributes:
        runs: Steps that went well.
        failures: Failures in a row; 0 when it is well.
        last_ok_ms: End of the last step that went well; None before the first.
        last_error: The latest error in one sentence; empty if none yet.
        last_error_ms: When that was.
    """

    name: str
    runs: int = 0
    failures: int = 0
    last_ok_ms: int | None = None
    last_error: str = ""
    last_error_ms: int | None = None


class Worker:
    """Runs loops until it is told to stop.

    Args:
        loops: What to do; payouts and intents plug in here as well.
        clock: For the pauses.
        on_error: Told of each failure, for a heartbeat.
    """

    def __init__(
        self,
        loops: Iterable[Loop],
        clock: Clock,
        *,
        on_error: Callable[[str], None] | None = None,
    ) -> None:
        self._loops = tuple(loops)
        self._clock = clock
        self._on_error = on_error
        self._health = {loop.name: LoopHealth(name=loop.name) for loop in self._loops}
        assert len(self._health) == len(self._loops), "loops have names of their own"
        self._news = {loop.name: asyncio.Event() for loop in self._loops if loop.wakes}

    def health(self) -> list[LoopHealth]:
        """Every loop, in the order given."""
        return list(self._health.values())

    @property
    def well(self) -> bool:
        """True if no loop is failing."""
        return not any(health.failures for health in self._health.values())

    def wake(self) -> None:
        """There is news of a block: do not wait for the end of the pause."""
        for event in self._news.values():
            event.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run all loops until `stop` is set; a step that has begun is finished."""
        await asyncio.gather(*(self._run(loop, stop) for loop in self._loops))

    async def _run(self, loop: Loop, stop: asyncio.Event) -> None:
        health = self._health[loop.name]
        news = self._news.get(loop.name)
        while not stop.is_set():
            if news is not None:
                news.clear()
            more = await self._step(loop, health)
            if not more:
                await self._pause(self._pause_s(loop, health), stop, news)

    async def _step(self, loop: Loop, health: LoopHealth) -> bool:
        """Do it once, in a task of its own, so that its errors stay with it."""
        task = asyncio.ensure_future(loop.step())
        try:
            await asyncio.wait({task})
        finally:
            # Only when this loop itself was cancelled is the step not done here.
            task.cancel()
        if task.cancelled():
            raise asyncio.CancelledError
        error = task.exception()
        now_ms = self._clock.now_ms()
        if error is None:
            health.runs += 1
            health.failures = 0
            health.last_ok_ms = now_ms
            result = task.result()
            return result is True or (isinstance(result, Progress) and result.behind)
        if not isinstance(error, Exception):
            raise error
        health.failures += 1
        health.last_error = f"{type(error).__name__}: {error}"[:300]
        health.last_error_ms = now_ms
        _log.error("loop_failed", loop=loop.name, failures=health.failures, exc_info=error)
        if self._on_error is not None:
            self._on_error(f"{loop.name}: {health.last_error}")
        return False

    def _pause_s(self, loop: Loop, health: LoopHealth) -> float:
        """The interval; while it fails, doubled with each failure up to a minute."""
        if not health.failures:
            return loop.interval_s
        doublings = min(health.failures - 1, _MAX_DOUBLINGS)
        return max(loop.interval_s, min(0.5 * (1 << doublings), _LONGEST_PAUSE_S))

    async def _pause(self, seconds: float, stop: asyncio.Event, news: asyncio.Event | None) -> None:
        waits = {
            asyncio.ensure_future(stop.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        }
        if news is not None:
            waits.add(asyncio.ensure_future(news.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
