"""Running one part of the pool as a process of its own.

Whatever the part, it starts and ends alike: its lock, logs, event loop,
signals, heartbeat. The part's own work is an async function that takes a
`PartContext`, says when it is ready, and returns when `stop` is set.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog
import uvloop

from millpond.clock import Ids
from millpond.errors import MillpondError
from millpond.ops.config.settings import Config
from millpond.ops.heartbeat import NOTIFY_FD, Pulse
from millpond.ops.logs import set_up_logs
from millpond.ops.metrics import PartMetrics
from millpond.ops.process import (
    PARENT_PID,
    DataDirInUseError,
    allow_open_files,
    collect_less_often,
    die_with_parent,
    exclusive,
)
from millpond.ops.system import SystemClock, SystemEntropy

_LOCK_ATTEMPTS = 50
_LOCK_PAUSE_S = 0.1
_FORCED = 130
_STUCK = 3


@dataclass(slots=True)
class PartContext:
    """What a part is given.

    Attributes:
        name: The part's name.
        config: The whole configuration.
        pulse: Where it says how it is.
        metrics: Its figures.
        stop: Set when it should end.
        clock, entropy, ids: The machine's.
    """

    name: str
    config: Config
    pulse: Pulse
    metrics: PartMetrics
    clock: SystemClock = field(default_factory=SystemClock)
    entropy: SystemEntropy = field(default_factory=SystemEntropy)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ids: Ids = field(init=False)

    def __post_init__(self) -> None:
        self.ids = Ids(self.clock, self.entropy)


Body: TypeAlias = Callable[[PartContext], Awaitable[None]]


def run_part(name: str, config: Config, body: Body) -> int:
    """Run `body` until it ends or the process is told to stop; returns the exit code.

    Raises:
        DataDirInUseError: The same part already runs on this data directory.
    """
    parent = os.environ.pop(PARENT_PID, "")
    if parent:
        die_with_parent(int(parent))
    allow_open_files()
    collect_less_often()
    notify = os.environ.pop(NOTIFY_FD, "")
    config.run_path.mkdir(parents=True, exist_ok=True)
    set_up_logs(config.log, name, log_dir=config.data_path / "logs")
    with _part_lock(name, config):
        return uvloop.run(_main(name, config, body, int(notify) if notify else None))


async def _main(name: str, config: Config, body: Body, notify_fd: int | None) -> int:
    metrics = PartMetrics()
    pulse = Pulse(name, config.run_path, SystemClock(), notify_fd=notify_fd, metrics=metrics.text)
    context = PartContext(name=name, config=config, pulse=pulse, metrics=metrics)
    log = structlog.get_logger(name)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, context)
    beating = asyncio.create_task(pulse.run())
    log.info("part_starting", data_dir=str(config.data_path), pid=os.getpid())
    try:
        await body(context)
    except MillpondError as error:
        # Expected ways to fail have a sentence; a traceback would hide it.
        log.error("part_failed", code=error.code, reason=error.message)  # noqa: TRY400
        return 1
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
        pulse.close()
    log.info("part_stopped")
    return 0


def _on_signal(context: PartContext) -> None:
    if context.stop.is_set():
        os._exit(_FORCED)
    context.pulse.say("stopping")
    context.stop.set()
    # A part that cannot stop by itself must not hold up the others.
    watchdog = threading.Timer(context.config.supervisor.stop_timeout_s, os._exit, (_STUCK,))
    watchdog.daemon = True
    watchdog.start()


def _part_lock(name: str, config: Config) -> contextlib.ExitStack:
    """The part's lock; one that a dying predecessor still holds is waited for a little."""
    path = config.run_path / f"{name}.lock"
    stack = contextlib.ExitStack()
    for _ in range(_LOCK_ATTEMPTS):
        try:
            stack.enter_context(exclusive(path, f"the part {name}"))
        except DataDirInUseError:
            threading.Event().wait(_LOCK_PAUSE_S)
        else:
            return stack
    stack.enter_context(exclusive(path, f"the part {name}"))
    return stack
