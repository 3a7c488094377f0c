"""One process tree: starts the parts, watches them, starts crashed ones again, stops all.

The supervisor does no work of the pool itself. A part is a child
process; it says through an inherited pipe when it is ready, and the kernel
ends it should the supervisor be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from millpond.clock import Clock
from millpond.errors import MillpondError
from millpond.ops.config.settings import SupervisorSettings
from millpond.ops.heartbeat import NOTIFY_FD, Heartbeat
from millpond.ops.process import PARENT_PID

_HEALTHY_NS = 60 * 1_000_000_000
_CONFIG_FAULT = 2
_MAX_LINE = 16_384
Say = Callable[[str], None]


class PartsFailedError(MillpondError):
    """A part could not be kept running."""

    code = "part_failed"


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part to keep running.

    Attributes:
        name: As in `edge`.
        command: The program and its arguments.
        needs: Parts that must be ready before it starts.
        stop_rank: Parts of a lower rank are stopped before it.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    stop_rank: int = 0


@dataclass(slots=True)
class _Part:
    plan: PartPlan
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.subprocess.Process | None = None
    crashes: int = 0
    was_ready: bool = False
    stopping: bool = False


class Supervisor:
    """Keeps the planned parts running until told to stop."""

    def __init__(
        self,
        plans: Sequence[PartPlan],
        settings: SupervisorSettings,
        *,
        clock: Clock,
        say: Say,
        environ: Mapping[str, str],
        when_ready: Say | None = None,
    ) -> None:
        self._parts = {plan.name: _Part(plan) for plan in plans}
        self._settings = settings
        self._clock = clock
        self._say = say
        self._when_ready = when_ready
        self._environ = dict(environ)
        self._stop = asyncio.Event()
        self._failure: str = ""
        self.forced = False

    def stop(self) -> None:
        """Begin to stop; called a second time, end everything at once."""
        if self._stop.is_set():
            self.forced = True
            for part in self._parts.values():
                _signal(part, signal.SIGKILL)
        self._stop.set()

    async def run(self) -> None:
        """Start all, keep all, and return when all have ended after `stop`.

        Raises:
            PartsFailedError: A part cannot be kept running; the others were stopped.
        """
        keepers = [asyncio.create_task(self._keep(part)) for part in self._parts.values()]
        announcing = asyncio.create_task(self._announce())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
            await self._stop_all()
        finally:
            for task in (announcing, stopping, *keepers):
                task.cancel()
            await asyncio.gather(announcing, stopping, *keepers, return_exceptions=True)
        if self._failure:
            raise PartsFailedError(self._failure)

    async def _announce(self) -> None:
        for part in self._parts.values():
            await part.ready.wait()
        if self._when_ready is not None:
            self._when_ready("ready")

    async def _keep(self, part: _Part) -> None:
        for need in part.plan.needs:
            if need in self._parts:
                await self._parts[need].ready.wait()
        pause = self._settings.restart_first_s
        while not self._stop.is_set():
            began = self._clock.monotonic_ns()
            code = await self._run_once(part)
            if self._stop.is_set() or part.stopping:
                return
            if self._clock.monotonic_ns() - began > _HEALTHY_NS:
                part.crashes, pause = 0, self._settings.restart_first_s
            part.crashes += 1
            how = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
            if code == _CONFIG_FAULT or part.crashes > self._settings.restart_limit:
                self._failure = f"{part.plan.name} {how} and cannot be kept running"
                return
            self._say(f"{part.plan.name:<9} {how}; starting it again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stop.wait()
            pause = min(pause * 2, self._settings.restart_longest_s)

    async def _run_once(self, part: _Part) -> int:
        """Start the part's process and wait for its end; returns its exit code."""
        read_fd, write_fd = os.pipe()
        began = self._clock.monotonic_ns()
        try:
            process = await asyncio.create_subprocess_exec(
                *part.plan.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(write_fd,),
                # Ctrl-C on the terminal is for the supervisor alone, which
                # then stops the parts in their order.
                start_new_session=True,
                limit=_MAX_LINE,
                env={
                    **self._environ,
                    NOTIFY_FD: str(write_fd),
                    PARENT_PID: str(os.getpid()),
                },
            )
        finally:
            os.close(write_fd)
        part.process = process
        if self._stop.is_set():
            _signal(part, signal.SIGTERM)
        up = asyncio.Event()
        listening = asyncio.create_task(self._listen(part, read_fd, began, up))
        echoing = asyncio.create_task(self._echo(part, process))
        deadline = asyncio.create_task(self._watch_start(part, up))
        try:
            return await process.wait()
        finally:
            part.process = None
            deadline.cancel()
            await asyncio.gather(listening, echoing, deadline, return_exceptions=True)

    async def _watch_start(self, part: _Part, up: asyncio.Event) -> None:
        """End a part that does not become ready in time."""
        try:
            async with asyncio.timeout(self._settings.ready_timeout_s):
                await up.wait()
        except TimeoutError:
            self._say(f"{part.plan.name:<9} is not ready in time; ending it")
            _signal(part, signal.SIGKILL)

    async def _listen(self, part: _Part, read_fd: int, began: int, up: asyncio.Event) -> None:
        """Follow what the part says about itself."""
        reader = asyncio.StreamReader(limit=_MAX_LINE)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb", 0)
        )
        last = ""
        try:
            while line := await reader.readline():
                try:
                    beat = msgspec.json.decode(line, type=Heartbeat)
                except msgspec.DecodeError:
                    continue
                if beat.state == "ready":
                    seconds = (self._clock.monotonic_ns() - began) / 1e9
                    word = "ready again" if part.was_ready else "ready"
                    self._say(f"{part.plan.name:<9} {word:<11} {beat.detail}  ({seconds:.1f} s)")
                    part.was_ready = True
                elif beat.state == "degraded" and last != beat.state:
                    self._say(f"{part.plan.name:<9} degraded    {beat.detail}")
                if beat.state in {"ready", "degraded"}:
                    # One that runs and waits, for a daemon perhaps, is up too.
                    up.set()
                    part.ready.set()
                last = beat.state
        finally:
            transport.close()

    async def _echo(self, part: _Part, process: asyncio.subprocess.Process) -> None:
        """Pass on what the part writes to its own standard output and error."""
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                continue  # longer than the limit: the reader has dropped it
            if not line:
                return
            self._say(f"{part.plan.name:<9} | {line.decode(errors='replace').rstrip()}")

    async def _stop_all(self) -> None:
        self._stop.set()
        ranks = sorted({part.plan.stop_rank for part in self._parts.values()})
        for rank in ranks:
            await asyncio.gather(
                *(
                    self._stop_one(part)
                    for part in self._parts.values()
                    if part.plan.stop_rank == rank
                )
            )

    async def _stop_one(self, part: _Part) -> None:
        part.stopping = True
        process = part.process
        if process is None:
            return
        _signal(part, signal.SIGTERM)
        try:
            async with asyncio.timeout(self._settings.stop_timeout_s):
                await process.wait()
        except TimeoutError:
            self._say(f"{part.plan.name:<9} does not stop; ending it")
            _signal(part, signal.SIGKILL)
            await process.wait()
        self._say(f"{part.plan.name:<9} stopped")


def _signal(part: _Part, number: signal.Signals) -> None:
    if part.process is not None and part.process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            part.process.send_signal(number)
