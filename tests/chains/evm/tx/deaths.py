"""Ends of workers, in one process and of whole processes."""

from __future__ import annotations

import os
import random
import signal


class DiedError(Exception):
    """The worker is no more."""


class DieAt:
    """Dies when a named point is reached for the first time."""

    def __init__(self, point: str) -> None:
        self.point = point

    def reach(self, point: str) -> None:
        if point == self.point:
            self.point = ""
            raise DiedError(point)


class Death:
    """Kills its own process with SIGKILL at a named point, or anywhere by chance."""

    def __init__(self, point: str | None, probability: float, seed: int) -> None:
        self.point, self.probability = point, probability
        self.random = random.Random(seed)

    def reach(self, point: str) -> None:
        if point == self.point or self.random.random() < self.probability:
            os.kill(os.getpid(), signal.SIGKILL)
