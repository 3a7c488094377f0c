"""An outside world in memory whose every answer a test decides."""

from __future__ import annotations

from collections import deque
from typing import Any

from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.errors import MillpondError
from millpond.intents import (
    Accepted,
    Confirmed,
    Intent,
    Intents,
    NotFound,
    Operator,
    Policy,
    Prepared,
    Runner,
)
from millpond.store import Store, Tx
from millpond.store.events import publish


class ScriptedHandler:
    """Answers from queues; when a queue is empty, all goes well."""

    kind = "gift"

    def __init__(self, clock: ManualClock, policy: Policy | None = None) -> None:
        self.policy = policy or Policy(settle_depth=2, poll_ms=1000, patience_ms=5000)
        self.clock = clock
        self.prepares: deque[Any] = deque()
        self.sends: deque[Any] = deque()
        self.looks: deque[Any] = deque()
        self.dead: str | None = None
        self.sent: list[bytes] = []
        self.made = 0
        self.during: Any = None

    async def prepare(self, intent: Intent) -> Prepared:
        self.made += 1
        answer = self.prepares.popleft() if self.prepares else None
        if isinstance(answer, MillpondError):
            raise answer
        if self.during is not None:
            await self.during(intent)
        return answer or Prepared(b"body-%d" % self.made, f"{intent.key}-{self.made}", {"n": 1})

    async def send(self, intent: Intent) -> Any:
        assert intent.body is not None
        self.sent.append(intent.body)
        answer = self.sends.popleft() if self.sends else Accepted()
        if isinstance(answer, MillpondError):
            raise answer
        return answer

    async def look_up(self, intent: Intent) -> Any:
        answer = self.looks.popleft() if self.looks else Confirmed(2) if self.sent else NotFound()
        if isinstance(answer, MillpondError):
            raise answer
        return answer

    async def dead_because(self, intent: Intent) -> str | None:
        return self.dead

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        if before.state is not after.state:
            await publish(tx, "gift", {"to": after.state}, now_ms=self.clock.now_ms())

    async def settle(self, tx: Tx, intent: Intent, outcome: Confirmed) -> None:
        await publish(tx, "money", {"settled": intent.key}, now_ms=self.clock.now_ms())

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        await publish(tx, "money", {"released": intent.key}, now_ms=self.clock.now_ms())


class Scene:
    """Everything that a test of the runner needs, on one store and a clock moved by hand."""

    def __init__(self, store: Store, policy: Policy | None = None) -> None:
        self.store = store
        self.clock = ManualClock()
        entropy = SeededEntropy(1)
        self.intents = Intents(store, self.clock, Ids(self.clock, entropy), entropy)
        self.handler = ScriptedHandler(self.clock, policy)
        self.runner = self.worker("w1")
        self.operator = Operator(self.intents, [self.handler])

    def worker(self, name: str) -> Runner:
        return Runner(self.intents, [self.handler], name)

    async def create(self, key: str = "k", **options: Any) -> Intent:
        self.clock.advance(0.001)
        async with self.store.begin() as tx:
            return await self.intents.create(tx, "gift", key, {"to": key}, **options)

    async def get(self, intent: Intent) -> Intent:
        async with self.store.read() as tx:
            return await self.intents.get(tx, intent.id)

    async def path(self, intent: Intent) -> list[str]:
        async with self.store.read() as tx:
            return [event.to_state.value for event in await self.intents.events(tx, intent.id)]

    async def drain(self, seconds: float = 0) -> None:
        """Let the time pass and work off what is due."""
        self.clock.advance(seconds)
        for _ in range(100):
            if not await self.runner.run_once():
                return
        raise AssertionError("the runner never comes to rest")
