"""A writer, with what it reported."""

from __future__ import annotations

from millpond.clock import Clock
from millpond.mining.sharelog.backend import Backend
from millpond.mining.sharelog.opening import open_backend
from millpond.mining.sharelog.records import Job
from millpond.mining.sharelog.settings import ShareLogSettings
from millpond.mining.sharelog.writer import ShareLogWriter
from millpond.ops.system import SystemClock

JOB = Job(100, 1 << 40)
BASE_MS = 1_700_000_000_000


class Log:
    """A writer with what it reported."""

    def __init__(
        self,
        url: str,
        edge: str = "edge-1",
        *,
        backend: Backend | None = None,
        clock: Clock | None = None,
        **settings,
    ) -> None:
        self.settings = ShareLogSettings(url=url, **settings)
        self.done: list[object] = []
        self.failed: list[tuple[object, str]] = []
        self.writer = ShareLogWriter(
            backend or open_backend("p", edge, self.settings),
            pool_id="p",
            edge=edge,
            clock=clock or SystemClock(),
            settings=self.settings,
            on_commit=self._on_commit,
        )

    def _on_commit(self, waiters, error) -> None:
        if error is None:
            self.done.extend(waiters)
        else:
            self.failed.extend((waiter, error.code) for waiter in waiters)

    def add(self, number: int, worker: str = "a.x", difficulty: int = 1) -> bool:
        return self.writer.append(BASE_MS + number, worker, JOB, difficulty, 0, number)

    async def group(self, *numbers: int, worker: str = "a.x") -> None:
        for number in numbers:
            assert self.add(number, worker, difficulty=number + 1)
        await self.writer.flushed()
