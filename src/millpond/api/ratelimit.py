"""How many requests one client may make: GCRA, in bounded memory.

The generic cell rate algorithm keeps one number a client (when its bucket
would be empty again) and is exact: no window edge lets twice the rate through.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass, and what to tell the client."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int

    def headers(self, name: str, window_s: int) -> list[tuple[bytes, bytes]]:
        """RateLimit headers (draft-ietf-httpapi-ratelimit-headers-10)."""
        policy = f'"{name}";q={self.limit};w={window_s}'
        now = f'"{name}";r={self.remaining};t={self.reset_s}'
        result = [(b"ratelimit-policy", policy.encode()), (b"ratelimit", now.encode())]
        if not self.allowed:
            result.append((b"retry-after", str(max(1, self.reset_s)).encode()))
        return result


class RateLimiter:
    """At most `limit` requests in `window_s` seconds for each key.

    Args:
        limit: Requests in a window, and the largest burst.
        window_s: Length of the window in seconds.
        max_keys: Clients remembered; the one unseen for longest is forgotten,
            which only ever lets more through.
    """

    def __init__(self, limit: int, window_s: int = 60, *, max_keys: int = 50_000) -> None:
        self.limit = limit
        self.window_s = window_s
        self._step_ns = window_s * 1_000_000_000 // limit
        self._window_ns = self._step_ns * limit
        self._max_keys = max_keys
        self._empty_at: OrderedDict[str, int] = OrderedDict()

    def check(self, key: str, now_ns: int) -> Verdict:
        """Count one request of `key` at `now_ns` (monotonic)."""
        empty_at = max(self._empty_at.get(key, now_ns), now_ns)
        after = empty_at + self._step_ns
        allowed = after - now_ns <= self._window_ns
        if allowed:
            self._empty_at[key] = empty_at = after
            self._empty_at.move_to_end(key)
            if len(self._empty_at) > self._max_keys:
                self._empty_at.popitem(last=False)
        remaining = max(0, (self._window_ns - (empty_at - now_ns)) // self._step_ns)
        # Refused: when one request fits again. Allowed: when all fit again.
        wait_ns = empty_at - now_ns if allowed else after - now_ns - self._window_ns
        return Verdict(allowed, self.limit, int(remaining), -(-wait_ns // 1_000_000_000))

    def __len__(self) -> int:
        return len(self._empty_at)
