"""Writers of one SQLite file take turns: in this process and between processes.

SQLite lets one connection write and has the others poll with growing pauses,
so that a busy writer can starve the rest until they fail with "database is
locked". Here writers queue before they ask SQLite: tasks of one process in
the order in which they came; processes by two locks of the operating system,
of which the first is held only while waiting for the second. Whoever writes
must pass through the first again, behind those who wait already.

The locks vanish with their process, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path

from millpond.store.errors import StoreBusyError

_FIRST_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.004


class WriterTurns:
    """The queue of writers of one SQLite file."""

    def __init__(self, database: Path, *, patience_s: float) -> None:
        self._patience_s = patience_s
        self._tasks = asyncio.Lock()
        self._gate = _open(database.with_name(database.name + "-gate"))
        self._writer = _open(database.with_name(database.name + "-writer"))

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the turn, and give it to the next at the end.

        Raises:
            StoreBusyError: It did not come in the time allowed.
        """
        async with contextlib.AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._patience_s):
                    await held.enter_async_context(self._tasks)
                    await _lock(self._gate)
                    try:
                        await _lock(self._writer)
                        held.callback(_unlock, self._writer)
                    finally:
                        _unlock(self._gate)
            except TimeoutError as error:
                raise StoreBusyError("the turn to write did not come in time") from error
            yield

    def close(self) -> None:
        """Close the lock files; once is enough, twice does no harm."""
        descriptors, self._gate, self._writer = {self._gate, self._writer}, -1, -1
        for descriptor in descriptors - {-1}:
            os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)


async def _lock(descriptor: int) -> None:
    # Polled, because a thread that waits in flock cannot be cancelled. That is
    # fair all the same: behind the gate there is only one who polls for the writer.
    pause_s = _FIRST_PAUSE_S
    while not _try_lock(descriptor):
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)
