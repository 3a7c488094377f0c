"""Events to watchers: one history a topic, one bounded queue a watcher."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from millpond.errors import MillpondError

TOPICS = ("stats", "blocks", "payouts", "workers", "orders", "alerts")
SNAPSHOT_TOPIC = "_snapshot"
"""Inside only: something that live pages show has changed."""

WORKER_PREFIX = "worker:"
MAX_TOPICS_PER_WATCHER = 50
MAX_WATCHED_WORKERS = 1_000
_HISTORY = 256
_MAX_HISTORIES = 2_000


class TooManyWatchersError(MillpondError):
    """No room for another live connection."""

    code = "too_many_watchers"
    http_status = 503


class UnknownTopicError(MillpondError):
    """No such topic, or too many of them."""

    code = "invalid_topic"
    http_status = 400


@dataclass(frozen=True, slots=True)
class Published:
    """One event. `number` grows by one with every event of this process."""

    number: int
    topic: str
    payload: Any


class Watcher:
    """One client's queue. When it overflows the client is cut off, not waited for."""

    def __init__(self, address: str, size: int) -> None:
        self.address = address
        self.topics: set[str] = set()
        self.overflowed = False
        self._queue: asyncio.Queue[Published | None] = asyncio.Queue(size)

    def offer(self, event: Published) -> None:
        """Put an event behind the others, or give the client up."""
        if self.overflowed:
            return
        if self._queue.full():
            self.overflowed = True
            # Room for the end mark, which wakes the sender up.
            self._queue.get_nowait()
            self._queue.put_nowait(None)
            return
        self._queue.put_nowait(event)

    def end(self) -> None:
        """Wake the sender up for the last time."""
        while self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def next(self) -> Published | None:
        """The next event; None when there will be no more."""
        return None if self.overflowed else await self._queue.get()


class Hub:
    """Hands published events to the watchers of their topic.

    Args:
        epoch: Tells this process's event ids from those of an earlier one.
        max_watchers: Watchers at once.
        max_per_address: Watchers of one address at once.
        queue_size: Events that may wait for one watcher.
    """

    def __init__(
        self, epoch: int, *, max_watchers: int, max_per_address: int, queue_size: int
    ) -> None:
        self._epoch = epoch
        self._max = max_watchers
        self._max_per_address = max_per_address
        self._queue_size = queue_size
        self._number = 0
        self._watchers: dict[str, set[Watcher]] = {}
        self._all: set[Watcher] = set()
        self._per_address: Counter[str] = Counter()
        self._history: OrderedDict[str, deque[Published]] = OrderedDict()
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    @property
    def closed(self) -> bool:
        """Whether the hub was shut down."""
        return self._closed

    def event_id(self, event: Published) -> str:
        """The event's id on the wire."""
        return f"{self._epoch}-{event.number}"

    def check_room(self, address: str) -> None:
        """Raise if `open` would.

        Raises:
            TooManyWatchersError: The limits are reached.
        """
        mine = self._per_address.get(address, 0)
        if len(self._all) >= self._max or mine >= self._max_per_address or self._closed:
            raise TooManyWatchersError("too many live connections; try again later")

    def open(self, address: str) -> Watcher:
        """Admit a watcher, which must be closed again.

        Raises:
            TooManyWatchersError: The limits are reached.
        """
        self.check_room(address)
        watcher = Watcher(address, self._queue_size)
        self._all.add(watcher)
        self._per_address[address] += 1
        return watcher

    def close(self, watcher: Watcher) -> None:
        """Forget a watcher."""
        self.unsubscribe(watcher, tuple(watcher.topics))
        self._all.discard(watcher)
        self._per_address[watcher.address] -= 1
        if self._per_address[watcher.address] <= 0:
            del self._per_address[watcher.address]

    def shut(self) -> None:
        """End every watcher."""
        self._closed = True
        for watcher in tuple(self._all):
            watcher.end()

    def subscribe(self, watcher: Watcher, topics: Iterable[str]) -> None:
        """Send events of `topics` to the watcher from now on.

        Raises:
            UnknownTopicError: A topic is unknown, or there are too many.
        """
        wanted = set(topics)
        for topic in wanted:
            if not _known(topic):
                raise UnknownTopicError(f"there is no topic {topic[:80]!r}")
        if len(watcher.topics | wanted) > MAX_TOPICS_PER_WATCHER:
            raise UnknownTopicError(f"at most {MAX_TOPICS_PER_WATCHER} topics a connection")
        new_workers = {t for t in wanted if t.startswith(WORKER_PREFIX)} - self._watchers.keys()
        if len(self.watched_workers()) + len(new_workers) > MAX_WATCHED_WORKERS:
            raise TooManyWatchersError("too many workers are watched; try again later")
        for topic in wanted:
            watcher.topics.add(topic)
            self._watchers.setdefault(topic, set()).add(watcher)

    def unsubscribe(self, watcher: Watcher, topics: Iterable[str]) -> None:
        """Send no more events of `topics`."""
        for topic in topics:
            watcher.topics.discard(topic)
            group = self._watchers.get(topic)
            if group is not None:
                group.discard(watcher)
                if not group:
                    del self._watchers[topic]

    def watched_workers(self) -> set[str]:
        """Names of the workers that somebody watches."""
        return {
            topic.removeprefix(WORKER_PREFIX)
            for topic in self._watchers
            if topic.startswith(WORKER_PREFIX)
        }

    def publish(self, topic: str, payload: Any) -> Published:
        """Give an event to all watchers of its topic; never waits."""
        self._number += 1
        event = Published(self._number, topic, payload)
        history = self._history.setdefault(topic, deque(maxlen=_HISTORY))
        history.append(event)
        self._history.move_to_end(topic)
        if len(self._history) > _MAX_HISTORIES:
            self._history.popitem(last=False)
        for watcher in self._watchers.get(topic, ()):
            watcher.offer(event)
        return event

    def since(self, topics: Iterable[str], last_event_id: str) -> list[Published] | None:
        """Events of `topics` after an id; None if some may have been forgotten."""
        epoch, _, number = last_event_id.partition("-")
        if epoch != str(self._epoch) or not (number.isascii() and number.isdigit()):
            return None
        after = int(number[:20])
        if after > self._number:
            return None
        missed: list[Published] = []
        for topic in topics:
            history = self._history.get(topic) or deque[Published]()
            if len(history) == _HISTORY and history[0].number > after + 1:
                return None
            missed += [event for event in history if event.number > after]
        return sorted(missed, key=lambda event: event.number)


def _known(topic: str) -> bool:
    if topic.startswith(WORKER_PREFIX):
        return 0 < len(topic) - len(WORKER_PREFIX) <= 200
    return topic in TOPICS or topic == SNAPSHOT_TOPIC
