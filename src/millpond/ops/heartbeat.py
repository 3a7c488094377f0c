"""What a running part tells about itself: state, last error, lag, metrics.

Each part writes two small files into `<data_dir>/run` every few seconds:
`<part>.json`, its heartbeat, and `<part>.prom`, its metrics. Files, not
rows, so that a part can still say that it cannot reach the database. To the
supervisor it also speaks through an inherited pipe, so that nobody polls for
readiness.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from millpond.clock import Clock

_log = structlog.get_logger("heartbeat")

State = Literal["starting", "ready", "degraded", "stopping"]
NOTIFY_FD = "MILLPOND_NOTIFY_FD"
PERIOD_S = 2.0
STALE_MS = 15_000
_MAX_FILE_BYTES = 16_000_000


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """One part's word about itself.

    Attributes:
        part: Name of the part, as in `edge`.
        pid: Its process.
        state: `degraded` when it runs but something it needs does not.
        detail: What a person should know: an address, or what is missing.
        last_error: The latest error, in one sentence; empty if none.
        last_error_ms: When that was.
        lag: How far behind it is, by name, as in `fold_s`.
        at_ms: When this was written.
        started_ms: When the part started.
    """

    part: str
    pid: int
    state: State
    detail: str = ""
    last_error: str = ""
    last_error_ms: int = 0
    lag: dict[str, float] = {}
    at_ms: int = 0
    started_ms: int = 0


class Pulse:
    """The writing end: one for each running part."""

    def __init__(
        self,
        part: str,
        run_path: Path,
        clock: Clock,
        *,
        notify_fd: int | None = None,
        metrics: Callable[[], bytes] | None = None,
    ) -> None:
        self._path = run_path / f"{part}.json"
        self._metrics_path = run_path / f"{part}.prom"
        self._clock = clock
        self._notify_fd = notify_fd
        self._metrics = metrics
        self._silent = False
        now = clock.now_ms()
        self.beat = Heartbeat(
            part=part, pid=os.getpid(), state="starting", at_ms=now, started_ms=now
        )
        run_path.mkdir(parents=True, exist_ok=True)
        self._write()

    def say(self, state: State, detail: str = "") -> None:
        """Change the state; told to the supervisor and written at once."""
        changed = (state, detail) != (self.beat.state, self.beat.detail)
        self.beat = msgspec.structs.replace(self.beat, state=state, detail=detail)
        self._write()
        if changed and self._notify_fd is not None:
            with contextlib.suppress(OSError):
                os.write(self._notify_fd, msgspec.json.encode(self.beat) + b"\n")

    def error(self, message: str) -> None:
        """Remember the latest error."""
        self.beat = msgspec.structs.replace(
            self.beat, last_error=message[:500], last_error_ms=self._clock.now_ms()
        )

    def lag(self, name: str, value: float) -> None:
        """Remember how far behind something is."""
        self.beat = msgspec.structs.replace(self.beat, lag={**self.beat.lag, name: value})

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            self._write()
            await asyncio.sleep(PERIOD_S)

    def close(self) -> None:
        """Take the files away: a part that has stopped says nothing."""
        self._path.unlink(missing_ok=True)
        self._metrics_path.unlink(missing_ok=True)

    def _write(self) -> None:
        self.beat = msgspec.structs.replace(self.beat, at_ms=self._clock.now_ms())
        try:
            write_atomically(self._path, msgspec.json.encode(self.beat))
            if self._metrics is not None:
                write_atomically(self._metrics_path, self._metrics())
        except OSError as error:
            # A full disk must not end the part: its silence is what others see.
            if not self._silent:
                _log.error("heartbeat_not_written", reason=str(error))
            self._silent = True
        else:
            self._silent = False


def read_heartbeats(run_path: Path) -> list[Heartbeat]:
    """The heartbeats of all parts, by name; unreadable ones are left out."""
    found = []
    for path in sorted(run_path.glob("*.json")):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            found.append(msgspec.json.decode(path.read_bytes(), type=Heartbeat))
    return found


def write_atomically(path: Path, body: bytes) -> None:
    """Replace a file so that a reader sees the old or the new, never a part."""
    assert len(body) <= _MAX_FILE_BYTES, "what a part says is small"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(body)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
