"""A single-flight cache asks once, forgets in time and never outgrows its bound."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from millpond.clock import ManualClock
from millpond.store.cache import SingleFlightCache


class Source:
    """Counts how often it is asked; answers when released."""

    def __init__(self) -> None:
        self.asked = 0
        self.cancelled = 0
        self.release = asyncio.Event()

    async def __call__(self) -> int:
        self.asked += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.asked


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> SingleFlightCache[str, int]:
    return SingleFlightCache("test", ttl_s=5, max_size=3, clock=clock)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_many_askers_make_one_load(cache):
    source = Source()
    askers = [asyncio.create_task(cache.get("k", source)) for _ in range(50)]
    await settle()
    source.release.set()
    assert await asyncio.gather(*askers) == [1] * 50
    assert (cache.stats.misses, cache.stats.joined) == (1, 49)


async def test_values_live_for_their_time(cache, clock):
    source = Source()
    source.release.set()
    assert await cache.get("k", source) == 1
    clock.advance(4.999)
    assert await cache.get("k", source) == 1
    clock.advance(0.001)
    assert await cache.get("k", source) == 2
    assert cache.stats.hits == 1


async def test_a_failed_load_fails_all_who_wait_and_is_not_kept(cache):
    async def fail() -> int:
        raise LookupError("no price")

    results = await asyncio.gather(
        cache.get("k", fail), cache.get("k", fail), return_exceptions=True
    )
    assert [type(result) for result in results] == [LookupError, LookupError]
    assert (len(cache), cache.stats.failures) == (0, 1)


async def test_one_cancelled_asker_does_not_disturb_the_rest_but_the_last_ends_the_load(cache):
    source = Source()
    first, second = (asyncio.create_task(cache.get("k", source)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    assert source.cancelled == 0
    source.release.set()
    assert await second == 1

    lonely = Source()
    asker = asyncio.create_task(cache.get("other", lonely))
    await settle()
    asker.cancel()
    await settle()
    assert lonely.cancelled == 1
    lonely.release.set()
    assert await cache.get("other", lonely) == 2


async def test_a_load_that_was_invalidated_under_way_is_answered_but_not_kept(cache):
    source = Source()
    asker = asyncio.create_task(cache.get("k", source))
    await settle()
    cache.invalidate("k")
    source.release.set()
    assert await asker == 1
    assert len(cache) == 0
    assert await cache.get("k", source) == 2
    cache.invalidate("k")
    assert await cache.get("k", source) == 3


async def test_the_least_recently_used_goes_when_it_is_full_and_old_ones_go_first(cache, clock):
    async def value() -> int:
        return 1

    for key in "abc":
        await cache.get(key, value)
    await cache.get("a", value)
    await cache.get("d", value)
    assert (len(cache), cache.stats.evicted) == (3, 1)
    await cache.get("a", value)
    assert cache.stats.misses == 4
    await cache.get("b", value)
    assert cache.stats.misses == 5
    clock.advance(5)
    assert cache.prune() == 3
    assert (len(cache), cache.prune()) == (0, 0)


async def test_metrics_tell_what_happened(clock):
    named = SingleFlightCache[str, int]("metrics-test", ttl_s=1, max_size=2, clock=clock)
    source = Source()
    source.release.set()
    await named.get("k", source)
    await named.get("k", source)

    def metric(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"cache": "metrics-test", **labels})

    assert metric("millpond_cache_requests_total", outcome="hit") == 1
    assert metric("millpond_cache_requests_total", outcome="miss") == 1
    assert metric("millpond_cache_entries") == 1
