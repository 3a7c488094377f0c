"""The machine's own clock and randomness, for production."""

from __future__ import annotations

import asyncio
import random
import secrets
import time


class SystemClock:
    """The machine's clocks (`millpond.clock.Clock`)."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        """Nanoseconds of the machine's monotonic clock."""
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)


class SystemEntropy:
    """The operating system's randomness (`millpond.clock.Entropy`)."""

    def token(self, size: int) -> bytes:
        """Return `size` bytes fit for secrets."""
        return secrets.token_bytes(size)

    def uniform(self) -> float:
        """Return a number in [0, 1) for jitter."""
        return random.random()  # noqa: S311 - jitter, not a secret
