"""A task, its row as people see it, and when it is due. Pure."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from millpond.errors import NotFoundError

_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}", re.ASCII)

GRACE_S = 5.0
"""How much longer than its time-out a run's lease lasts, so that it ends before it is lost."""


class TaskNotFoundError(NotFoundError):
    """No task has that name."""

    code = "task_not_found"


@dataclass(frozen=True, slots=True)
class Task:
    """Something that is done again and again, by one process at a time.

    Attributes:
        name: Unique on the platform, such as `reward-cycle:btcd-main-pool`.
        interval_s: From the start of one run to the start of the next.
        jitter_s: Up to so much is added, at random, so that not all come at once.
        run: Does it once; it must bear being done again after a crash in its
            midst. What it returns is shown as text.
        timeout_s: A run that takes longer is cancelled; a little more than this is
            also how long others wait before they take over from a process that died.
    """

    name: str
    interval_s: float
    jitter_s: float
    run: Callable[[], Awaitable[object]]
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        assert _NAME.fullmatch(self.name), "a task's name is a short lower-case word"
        assert self.interval_s > 0, "a task has an interval"
        assert self.jitter_s >= 0, "a task is not early"
        assert self.timeout_s > 0, "a task has some time"

    @property
    def lease_ms(self) -> int:
        """How long a claim is good for."""
        return round((self.timeout_s + GRACE_S) * 1000)

    def next_ms(self, started_ms: int, uniform: float) -> int:
        """When a run that began at `started_ms` is followed by the next.

        It is counted from the start that was, not from the start that should
        have been: ticks that were missed are not made up for.

        Args:
            started_ms: When the run began.
            uniform: A random number in [0, 1).
        """
        assert 0 <= uniform < 1, "jitter is at most the whole of it"
        return started_ms + round((self.interval_s + self.jitter_s * uniform) * 1000)


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A task's row; times in Unix milliseconds.

    Attributes:
        name: Which task.
        interval_ms: From start to start.
        jitter_ms: At most so much is added.
        next_ms: When it is due.
        lag_ms: How late it is now: the time since it was due without having begun.
        last_lag_ms: How late its last run began.
        running: Whether a process has it in hand.
        holder: Which process.
        lease_until_ms: When others may take over.
        requested_ms: When somebody asked for a run by hand that has not begun.
        requested_by: Who.
        last_start_ms: When its last run began.
        last_end_ms: When its last run ended.
        last_ok_ms: When a run last ended well.
        last_result: What that run said.
        last_error: What went wrong in the last run; empty if nothing.
        runs: Runs that ended, well or not.
        failures: Runs that ended badly, time-outs and dead processes with them.
        failing: Bad ones since the last good one.
        fence: Grows with each claim.
    """

    name: str
    interval_ms: int
    jitter_ms: int
    next_ms: int
    lag_ms: int
    last_lag_ms: int
    running: bool
    holder: str | None
    lease_until_ms: int | None
    requested_ms: int | None
    requested_by: str
    last_start_ms: int | None
    last_end_ms: int | None
    last_ok_ms: int | None
    last_result: str
    last_error: str
    runs: int
    failures: int
    failing: int
    fence: int
