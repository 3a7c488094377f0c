"""A price that is set."""

from __future__ import annotations

from millpond.clock import Clock
from millpond.oracle.model import Reading

_MAX_AGE_MS = 24 * 3_600_000
"""A set price does not age while it is set; a day after it was last read it is doubtful."""


class ConstantSource:
    """Always says the same, as of now."""

    def __init__(self, name: str, value_e18: int, clock: Clock) -> None:
        self.name = name
        self._value_e18 = value_e18
        self._clock = clock

    async def read(self) -> Reading:
        """The price that is set."""
        return Reading(self.name, self._value_e18, self._clock.now_ms(), _MAX_AGE_MS)
