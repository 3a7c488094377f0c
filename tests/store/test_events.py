"""Events are seen when committed, in the order of commits, and none is missed."""

import asyncio

from millpond.clock import ManualClock
from millpond.store import Store
from millpond.store.events import (
    KEPT_MS,
    EventPruner,
    last_event_id,
    prune_events,
    publish,
    read_events,
)


async def test_events_come_back_in_order_and_by_topic(store: Store):
    async with store.begin() as tx:
        assert await last_event_id(tx) == 0
        for height in range(3):
            await publish(tx, "blocks", {"height": height}, now_ms=height)
        await publish(tx, "stats", {"hashrate": 5}, now_ms=9)
    async with store.read() as tx:
        everything = await read_events(tx, after=0)
        assert [event.payload for event in everything][-1] == {"hashrate": 5}
        assert await read_events(tx, after=0, limit=2) == everything[:2]
        assert await read_events(tx, after=everything[1].id) == everything[2:]
        assert await read_events(tx, after=0, topics=["stats"]) == everything[3:]
        assert await last_event_id(tx) == everything[3].id


async def test_an_event_of_a_transaction_rolled_back_never_was(store: Store):
    try:
        async with store.begin() as tx:
            await publish(tx, "blocks", {}, now_ms=1)
            raise LookupError
    except LookupError:
        pass
    async with store.read() as tx:
        assert await read_events(tx, after=0) == []


async def test_pruned_ids_never_come_again(store: Store):
    async with store.begin() as tx:
        last = [await publish(tx, "t", {}, now_ms=at) for at in range(5)][-1]
        assert await prune_events(tx, before_ms=2) == 2
        assert await prune_events(tx, before_ms=99) == 3
    async with store.begin() as tx:
        assert await publish(tx, "t", {}, now_ms=1) > last


async def test_events_are_kept_for_their_time_and_no_longer(store: Store):
    clock = ManualClock()
    async with store.begin() as tx:
        for age_ms in (KEPT_MS + 1, KEPT_MS, 0):
            await publish(tx, "t", {"age": age_ms}, now_ms=clock.now_ms() - age_ms)
    assert await EventPruner(store, clock).run_once() is False
    async with store.read() as tx:
        assert [event.payload["age"] for event in await read_events(tx, after=0)] == [KEPT_MS, 0]


async def test_a_reader_that_follows_the_ids_misses_nothing(store: Store):
    """Publishers commit out of step; a reader that polls sees each event exactly once."""
    done = asyncio.Event()

    async def publisher(number: int) -> None:
        for turn in range(10):
            async with store.begin() as tx:
                await publish(tx, "t", {"n": number, "turn": turn}, now_ms=turn)
                for _ in range((number * 7 + turn) % 5):
                    await asyncio.sleep(0)

    async def reader() -> list[tuple[int, int]]:
        after, seen = 0, []
        while True:
            last_round = done.is_set()
            async with store.read() as tx:
                found = await read_events(tx, after=after)
            seen += [(event.payload["n"], event.payload["turn"]) for event in found]
            after = found[-1].id if found else after
            if last_round and not found:
                return seen

    reading = asyncio.create_task(reader())
    await asyncio.gather(*(publisher(number) for number in range(4)))
    done.set()
    seen = await reading
    assert sorted(seen) == [(number, turn) for number in range(4) for turn in range(10)]
