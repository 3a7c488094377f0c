"""A cache that asks once, however many want to know at the same time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import Counter, Gauge

from millpond.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_REQUESTS = Counter(
    "millpond_cache_requests",
    "Questions to a cache by outcome: hit, joined (a load under way), miss",
    ["cache", "outcome"],
)
_FAILURES = Counter("millpond_cache_load_failures", "Loads that raised", ["cache"])
_REMOVED = Counter(
    "millpond_cache_removed",
    "Entries removed by reason: expired, evicted, invalidated",
    ["cache", "reason"],
)
_SIZE = Gauge("millpond_cache_entries", "Entries held", ["cache"], multiprocess_mode="livesum")


@dataclass
class CacheStats:
    """Counts since the cache was made."""

    hits: int = 0
    joined: int = 0
    misses: int = 0
    failures: int = 0
    expired: int = 0
    evicted: int = 0
    invalidated: int = 0


class SingleFlightCache(Generic[K, V]):
    """Values by key, each good for `ttl_s` seconds, at most `max_size` of them.

    Whoever asks for a key that is being loaded waits for that load. A load
    that fails fails for all who wait, and nothing is kept. One asker being
    cancelled does not disturb the others; when the last is, the load is too.
    For one event loop.
    """

    def __init__(self, name: str, *, ttl_s: float, max_size: int, clock: Clock) -> None:
        assert ttl_s > 0, "a value is good for some time"
        assert max_size > 0, "a cache holds something"
        self.name = name
        self.stats = CacheStats()
        self._ttl_ns = int(ttl_s * 1_000_000_000)
        self._max_size = max_size
        self._clock = clock
        self._entries: OrderedDict[K, tuple[int, V]] = OrderedDict()
        self._flights: dict[K, _Flight[V]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """The value of `key`, from the cache or from `load`.

        Raises:
            Exception: Whatever `load` raises.
        """
        entry = self._entries.get(key)
        if entry is not None and entry[0] > self._clock.monotonic_ns():
            self._entries.move_to_end(key)
            self._count("hits", "hit")
            return entry[1]
        flight = self._flights.get(key)
        if flight is None:
            self._count("misses", "miss")
            flight = _Flight(asyncio.ensure_future(self._load(key, load)))
            self._flights[key] = flight
        else:
            self._count("joined", "joined")
        return await flight.wait()

    def invalidate(self, key: K) -> None:
        """Forget the value; a load under way is answered to those who wait but not kept."""
        self._flights.pop(key, None)
        if self._entries.pop(key, None) is not None:
            self._removed("invalidated")

    def prune(self) -> int:
        """Forget what is too old.

        Returns:
            How many entries that were.
        """
        now_ns = self._clock.monotonic_ns()
        old = [key for key, (until_ns, _) in self._entries.items() if until_ns <= now_ns]
        for key in old:
            del self._entries[key]
            self._removed("expired")
        return len(old)

    async def _load(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        me = asyncio.current_task()
        succeeded = False
        try:
            value = await load()
            succeeded = True
        finally:
            mine = key in self._flights and self._flights[key].task is me
            if mine:
                del self._flights[key]
            if not succeeded:
                self.stats.failures += 1
                _FAILURES.labels(self.name).inc()
        if mine:
            self._keep(key, value)
        return value

    def _keep(self, key: K, value: V) -> None:
        self._entries[key] = (self._clock.monotonic_ns() + self._ttl_ns, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_size and not self.prune():
            self._entries.popitem(last=False)
            self._removed("evicted")
        assert len(self._entries) <= self._max_size, "the bound holds"
        _SIZE.labels(self.name).set(len(self._entries))

    def _count(self, field: str, outcome: str) -> None:
        setattr(self.stats, field, getattr(self.stats, field) + 1)
        _REQUESTS.labels(self.name, outcome).inc()

    def _removed(self, reason: str) -> None:
        setattr(self.stats, reason, getattr(self.stats, reason) + 1)
        _REMOVED.labels(self.name, reason).inc()
        _SIZE.labels(self.name).set(len(self._entries))


class _Flight(Generic[V]):
    """One load under way and the number of those who wait for it."""

    def __init__(self, task: asyncio.Future[V]) -> None:
        self.task = task
        self._waiting = 0

    async def wait(self) -> V:
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self.task.done():
                self.task.cancel()
