"""Named points at which a test may stop the runner; production passes nothing."""

from __future__ import annotations

from typing import Protocol

FAULT_POINTS = (
    "claiming",
    "claimed",
    "prepared",
    "signing",
    "signed",
    "marking",
    "marked",
    "sent",
    "answering",
    "answered",
    "looked_up",
    "settling",
    "settled",
    "releasing",
    "released",
)
"""Before and after each step; those that end in -ing are inside the open transaction."""


class Faults(Protocol):
    """Something that is told how far the runner is."""

    def reach(self, point: str) -> None:
        """The runner is at `point`, one of `FAULT_POINTS`."""


class NoFaults:
    """What production uses."""

    def reach(self, point: str) -> None:
        """Do nothing."""
