"""What a person sees of a running miner."""

from __future__ import annotations

from typing import Protocol, TextIO

import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

PLAIN_EVERY_S = 5.0
LIVE_EVERY_S = 0.5


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How a run goes.

    Attributes:
        connected: Whether there is a job to work on.
        hashrate: Hashes a second over the last seconds.
        difficulty: Difficulty of a share now.
        accepted: Shares that the pool took.
        rejected: Shares that it did not, by its reason.
        blocks: Accepted shares that met the network's target.
        round_trip_ms: Time from the last submission to its answer; None before the first.
        reconnects: Connections after the first.
    """

    connected: bool = False
    hashrate: float = 0.0
    difficulty: float = 0.0
    accepted: int = 0
    rejected: dict[str, int] = {}
    blocks: int = 0
    round_trip_ms: float | None = None
    reconnects: int = 0


class Reporter(Protocol):
    """Where a run's messages and figures go."""

    every_s: float

    def say(self, text: str) -> None:
        """Show one message."""

    def progress(self, progress: Progress) -> None:
        """Show the figures."""

    def close(self) -> None:
        """Leave the last figures standing."""


def hashrate_text(rate: float) -> str:
    """`8.1 MH/s`."""
    for unit in ("H/s", "kH/s", "MH/s", "GH/s"):
        if rate < 1000:
            return f"{rate:.1f} {unit}"
        rate /= 1000
    return f"{rate:.1f} TH/s"


def progress_line(progress: Progress) -> str:
    """All figures in one line."""
    rejected = sum(progress.rejected.values())
    parts = [
        hashrate_text(progress.hashrate) if progress.connected else "not connected",
        f"difficulty {progress.difficulty:g}",
        f"accepted {progress.accepted}",
        f"rejected {rejected}",
    ]
    if rejected:
        reasons = ", ".join(f"{reason} {count}" for reason, count in progress.rejected.items())
        parts[-1] += f" ({reasons})"
    parts.append(f"blocks {progress.blocks}")
    if progress.round_trip_ms is not None:
        parts.append(f"{progress.round_trip_ms:.1f} ms")
    if progress.reconnects:
        parts.append(f"reconnects {progress.reconnects}")
    return " | ".join(parts)


class PlainReporter:
    """A line every few seconds, for logs and pipes."""

    every_s = PLAIN_EVERY_S

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        """Write one line."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def progress(self, progress: Progress) -> None:
        """Write the figures as one line."""
        self.say(progress_line(progress))

    def close(self) -> None:
        """Nothing stands open."""


class LiveReporter:
    """One line that changes in place, for a terminal."""

    every_s = LIVE_EVERY_S

    def __init__(self, console: Console) -> None:
        self._live = Live(Text(), console=console, auto_refresh=False)
        self._live.start()

    def say(self, text: str) -> None:
        """Show a message above the line."""
        self._live.console.print(text, markup=False, highlight=False)

    def progress(self, progress: Progress) -> None:
        """Change the line."""
        line = Text(progress_line(progress), no_wrap=True, overflow="ellipsis")
        self._live.update(line, refresh=True)

    def close(self) -> None:
        """Leave the last line standing."""
        self._live.stop()


def terminal_reporter(stream: TextIO) -> Reporter:
    """Return the reporter that suits a stream: live on a terminal, else plain lines."""
    if stream.isatty():
        return LiveReporter(Console(file=stream))
    return PlainReporter(stream)
