"""The part `chains` as a real process that ends itself with `kill -9` where it is told to."""

from __future__ import annotations

import functools
import itertools
import mmap
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import event
from sqlalchemy.engine import Engine

from millpond.clock import Ids
from millpond.intents.faults import Faults
from millpond.ops.config import load
from millpond.ops.part import PartContext, run_part
from millpond.ops.parts.chains import run_with
from millpond.ops.system import SystemClock


class SharedClock(SystemClock):
    """The machine's clock, moved on by as much as a file says; all processes share it."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._offset = mmap.mmap(file.fileno(), 8)

    def now_ms(self) -> int:
        return super().now_ms() + int.from_bytes(self._offset[:8], "big")

    def advance(self, seconds: float) -> None:
        """Move all processes on."""
        offset = int.from_bytes(self._offset[:8], "big") + round(seconds * 1000)
        self._offset[:8] = offset.to_bytes(8, "big")


class Plan(msgspec.Struct, frozen=True):
    """Where a process dies by itself.

    Attributes:
        point: At a named point of intents and transactions.
        times: When it is there for the so-manieth time.
        statement: Before the so-manieth statement or commit of its database.
    """

    point: str = ""
    times: int = 1
    statement: int = 0


class Killer:
    """Faults that kill the process at one point."""

    def __init__(self, plan: Plan) -> None:
        self._point, self._left = plan.point, plan.times

    def reach(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                die()


def die() -> None:
    """`kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)


def work(config: str, data: str, clock: str, plan: Plan) -> None:
    """Be the part until killed; `data` is this process's own directory."""
    environ = {**os.environ, "MILLPOND__DATA_DIR": data}
    loaded = load(Path(config), environ)
    if plan.statement:
        _die_at_statement(plan.statement)
    body = functools.partial(_body, clock=Path(clock), faults=Killer(plan))
    sys.exit(run_part("chains", loaded, body))


async def _body(context: PartContext, clock: Path, faults: Faults) -> None:
    context.clock = SharedClock(clock)
    context.ids = Ids(context.clock, context.entropy)
    await run_with(context, faults)


def _die_at_statement(number: int) -> None:
    count = itertools.count(1)

    def reached(*_: Any) -> None:
        if next(count) == number:
            die()

    event.listen(Engine, "before_cursor_execute", reached)
    event.listen(Engine, "commit", reached)
