"""A part of the pool that ends itself with `kill -9` at a chosen point.

`python -m tests.campaigns.part worker signed 2` is `millpond worker`, except
that it kills itself when its intents' runner is at `signed` for the second time.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from pathlib import Path

from millpond.ops.config import load
from millpond.ops.part import run_part
from millpond.ops.parts.worker import run_with


class KillAt:
    """Faults that kill the process at one point."""

    def __init__(self, point: str, times: int) -> None:
        self._point = point
        self._left = times

    def reach(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _, point, times = sys.argv[1:4]
    body = functools.partial(run_with, faults=KillAt(point, int(times)))
    sys.exit(run_part("worker", load(Path(os.environ["MILLPOND_CONFIG"]), os.environ), body))
