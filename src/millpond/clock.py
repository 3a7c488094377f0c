"""Time, randomness and identifiers as things that are passed in.

Nothing outside `millpond.ops` reads the machine's clock or its random
numbers: whoever needs them takes a `Clock`, an `Entropy` or `Ids`. Production
gets the real ones from `millpond.ops.system`; tests and simulations get
`ManualClock` and `SeededEntropy`, and so replay any failure from a seed.
"""

from __future__ import annotations

import asyncio
import random
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock's time."""


class Entropy(Protocol):
    """Where randomness comes from."""

    def token(self, size: int) -> bytes:
        """Return `size` bytes; unpredictable in production."""

    def uniform(self) -> float:
        """Return a number in [0, 1), for jitter and sampling, never for secrets."""


class Ids:
    """Identifiers that sort by the time they were made.

    The layout is that of UUID version 7 (RFC 9562, section 5.7), written as
    32 lower-case hexadecimal digits.
    """

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy

    def new(self) -> str:
        """Return a fresh identifier."""
        tail = int.from_bytes(self._entropy.token(10), "big")
        value = (self._clock.now_ms() & ((1 << 48) - 1)) << 80 | tail
        value = value & ~(0xF << 76) | (0x7 << 76)
        value = value & ~(0x3 << 62) | (0x2 << 62)
        return f"{value:032x}"


class ManualClock:
    """A clock that moves only when it is told to."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ns = now_ms * 1_000_000
        self._start_ns = self._now_ns

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as set."""
        return self._now_ns // 1_000_000

    def monotonic_ns(self) -> int:
        """Nanoseconds that the clock was advanced by so far."""
        return self._now_ns - self._start_ns

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        assert seconds >= 0, "a clock never goes back"
        self._now_ns += round(seconds * 1_000_000_000)

    async def sleep(self, seconds: float) -> None:
        """Advance at once, after letting other tasks run."""
        self.advance(seconds)
        await asyncio.sleep(0)


class SeededEntropy:
    """Reproducible randomness for tests and simulations."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose

    def token(self, size: int) -> bytes:
        """Return the next `size` bytes of the seeded stream."""
        return self._random.randbytes(size)

    def uniform(self) -> float:
        """Return the next number in [0, 1) of the seeded stream."""
        return self._random.random()
