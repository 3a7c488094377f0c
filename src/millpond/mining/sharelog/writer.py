"""The one writer of a (pool, edge): groups shares, commits, and says so.

`append` is called for every share and only adds to the open group. One task
takes the group, stores it and calls `on_commit` with those who wait for it.
While the database does not answer, the same group is repeated as the same
bytes; when `retry_s` has passed, its waiters are told that nothing was taken,
and every further share is refused until the group's fate is known:

- found in the log: it stands, and the chain goes on behind it;
- not found: it is forgotten, and its place is used again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from millpond.clock import Clock
from millpond.errors import MillpondError
from millpond.mining.sharelog.backend import Backend, Head, NewCandidate
from millpond.mining.sharelog.builder import GroupBuilder
from millpond.mining.sharelog.errors import ShareLogForkedError, ShareLogUnavailableError
from millpond.mining.sharelog.records import Group, Job, RejectReason
from millpond.mining.sharelog.settings import ShareLogSettings

OnCommit = Callable[[list[Any], MillpondError | None], None]
"""Called with the waiters of a group, and why it was not taken (None: it is durable)."""

_FIRST_DELAY_S = 0.05
_LAST_DELAY_S = 1.0
_REJECT_LINGER_S = 1.0


class ShareLogWriter:
    """See the module. Belongs to one event loop.

    Attributes:
        commits: Groups stored since the start.
        shares: Shares stored since the start.
        commit_ns: How long the last commit took.
        failures: Tries that failed since the start.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        pool_id: str,
        edge: str,
        clock: Clock,
        settings: ShareLogSettings,
        on_commit: OnCommit,
    ) -> None:
        self._backend = backend
        self._pool_id = pool_id
        self._edge = edge
        self._clock = clock
        self._settings = settings
        self._on_commit = on_commit
        self._head = Head(0, b"")
        self._builder = GroupBuilder()
        self._waiters: list[Any] = []
        self._taken: list[Any] = []
        self._wanted = asyncio.Event()
        self._full = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._available = False
        self._stopping = False
        self._failure: MillpondError | None = None
        self._task: asyncio.Task[None] | None = None
        self._reject_timer: asyncio.TimerHandle | None = None
        self._last_take_ns = 0
        self.commits = 0
        self.shares = 0
        self.commit_ns = 0
        self.failures = 0

    @property
    def available(self) -> bool:
        """Shares can be taken now."""
        return self._available and not self._stopping and self._failure is None

    @property
    def failure(self) -> MillpondError | None:
        """Why the log can never be written again by this process, if so."""
        return self._failure

    @property
    def head(self) -> Head:
        """The newest group that is known to be stored."""
        return self._head

    @property
    def waiting(self) -> int:
        """Shares in the open group."""
        return self._builder.count

    async def start(self) -> None:
        """Take the right to write and continue the chain.

        Raises:
            ShareLogTakenError: Another process writes for this pool and edge.
            ShareLogUnavailableError: The database does not answer.
        """
        self._head = await self._backend.open()
        self._available = True
        self._task = asyncio.create_task(self._run(), name="sharelog-writer")
        self._task.add_done_callback(self._ended)

    async def flush(self) -> None:
        """Take no more shares; commit and report those that wait, bounded by `retry_s`."""
        self._stopping = True
        self._wanted.set()
        self._full.set()
        if self._reject_timer is not None:
            self._reject_timer.cancel()
        task, self._task = self._task, None
        if task is not None:
            if not self._available:
                task.cancel()
            # An error of the task was told by `_ended`.
            await asyncio.wait([task])
        self._available = False

    async def stop(self) -> None:
        """`flush`, and let go of the log."""
        await self.flush()
        await self._backend.close()

    def append(  # noqa: PLR0917
        self,
        time_ms: int,
        worker: str,
        job: Job,
        difficulty: int,
        achieved_bits: int,
        waiter: Any,
    ) -> bool:
        """Add a credited share; `waiter` is handed to `on_commit` with its group.

        Returns False, and takes nothing, while the log cannot be written or
        too many shares wait.
        """
        builder = self._builder
        if not self.available or builder.count >= self._settings.max_waiting or builder.full:
            return False
        builder.add(time_ms, worker, job, difficulty, achieved_bits)
        self._waiters.append(waiter)
        if builder.count == 1:
            self._idle.clear()
            self._wanted.set()
        elif builder.count == self._settings.max_group:
            self._full.set()
        return True

    def mark_block(
        self, block_hash: str, height: int, value: int, network_difficulty: int, at_ms: int
    ) -> None:
        """Say that the share appended last met the network target."""
        self._builder.mark_block(block_hash, height, value, network_difficulty, at_ms)

    def reject(
        self,
        time_ms: int,
        worker: str,
        reason: RejectReason,
        difficulty: int,
        evidence: bytes = b"",
    ) -> None:
        """Count a refused share; nobody waits for it."""
        builder = self._builder
        if not self.available or builder.full:
            return
        builder.reject(time_ms, worker, reason, difficulty, evidence)
        if self._reject_timer is None and not self._wanted.is_set():
            loop = asyncio.get_running_loop()
            self._reject_timer = loop.call_later(_REJECT_LINGER_S, self._want)

    async def store_candidate(self, candidate: NewCandidate) -> None:
        """Keep a block durably; see `Backend`."""
        await self._backend.store_candidate(candidate)

    async def update_candidate(self, block_hash: str, state: str, result: str) -> None:
        """Note what the daemons said of a block."""
        await self._backend.update_candidate(block_hash, state, result, self._clock.now_ms())

    async def open_candidates(self) -> list[NewCandidate]:
        """Blocks that were found and never answered for, to be submitted again."""
        return await self._backend.open_candidates()

    async def flushed(self) -> None:
        """Return when nothing waits any more."""
        await self._idle.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """An error that nobody foresaw must not leave miners waiting for ever."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failure = ShareLogUnavailableError(f"the share log's writer ended: {error!r}")
            self._waiters = self._taken + self._waiters
            self._refuse_waiting(self._failure)

    def _want(self) -> None:
        self._reject_timer = None
        if not self._builder.empty:
            self._wanted.set()

    async def _run(self) -> None:
        while True:
            if self._builder.empty:
                self._wanted.clear()
                self._idle.set()
                if self._stopping:
                    return
            await self._wanted.wait()
            self._idle.clear()
            if self._builder.empty:
                continue
            await self._linger()
            builder, self._builder = self._builder, GroupBuilder()
            self._taken, self._waiters = self._waiters, []
            self._full.clear()
            group = builder.finish(
                self._pool_id, self._edge, self._head.sequence + 1, self._head.hash
            )
            error = await self._commit(group)
            waiters, self._taken = self._taken, []
            self._on_commit(waiters, error)
            if error is not None:
                self._refuse_waiting(error)
                if self._stopping:
                    return
                await self._resolve(group)

    async def _linger(self) -> None:
        """Let a group fill for `linger_ms` after the one before; at once after a pause."""
        now = self._clock.monotonic_ns()
        wait_s = self._settings.linger_ms / 1e3 - (now - self._last_take_ns) / 1e9
        if self._last_take_ns and wait_s > 0 and not self._full.is_set() and not self._stopping:
            await self._clock.sleep(wait_s)
        self._last_take_ns = self._clock.monotonic_ns()

    async def _commit(self, group: Group) -> MillpondError | None:
        """Store the group, repeating it while the outcome is unknown; None when it is durable."""
        started = self._clock.monotonic_ns()
        delay = _FIRST_DELAY_S
        while True:
            try:
                await self._backend.append(group)
            except ShareLogForkedError as error:
                self._failure = error
                return error
            except ShareLogUnavailableError as error:
                self.failures += 1
                spent_s = (self._clock.monotonic_ns() - started) / 1e9
                if spent_s + delay > self._settings.retry_s:
                    self._available = False
                    return error
                await self._clock.sleep(delay)
                delay = min(delay * 2, _LAST_DELAY_S)
                await self._reconnect()
            else:
                self._stored(group)
                self.commit_ns = self._clock.monotonic_ns() - started
                return None

    async def _reconnect(self) -> None:
        # The next append tells whether this helped.
        with contextlib.suppress(ShareLogUnavailableError):
            await self._backend.open()

    def _stored(self, group: Group) -> None:
        self._head = Head(group.sequence, group.hash)
        self.commits += 1
        self.shares += group.shares

    def _refuse_waiting(self, error: MillpondError) -> None:
        waiters, self._waiters = self._waiters, []
        self._builder = GroupBuilder()
        self._available = False
        if waiters:
            self._on_commit(waiters, error)

    async def _resolve(self, group: Group) -> None:
        """Wait for the database, then find out what became of the group."""
        while self._failure is None:
            try:
                head = await self._backend.open()
            except ShareLogUnavailableError:
                self.failures += 1
                await self._clock.sleep(_LAST_DELAY_S)
                continue
            if head.sequence == group.sequence and head.hash == group.hash:
                self._stored(group)
            elif head != self._head:
                self._failure = ShareLogForkedError(
                    "the share log does not end where we left it", sequence=head.sequence
                )
                return
            self._available = True
            return
