"""Workers are killed at every point and at any time; every gift is given once.

`MILLPOND_CAMPAIGN=long` makes the campaign of random deaths twenty times as long.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from millpond.intents import Intent, IntentState, Operator
from millpond.intents.faults import FAULT_POINTS
from millpond.intents.model import FINAL
from millpond.money.ledger import Ledger
from millpond.money.model import Transfer
from millpond.ops.system import SystemClock
from millpond.store import Store
from tests.intents import victim, world

LONG = os.environ.get("MILLPOND_CAMPAIGN") == "long"
_GIVE_UP_S = 600 if LONG else 90

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.intents.victim", "tests.intents.world"])


class Campaign:
    """A world, workers that come and go, and the books."""

    def __init__(self, url: str, directory: Path, *, rude: bool, seed: int = 1) -> None:
        self.url, self.seed = url, seed
        self.facts = directory / "world.db"
        ours, theirs = _processes.Pipe()
        self.world = _processes.Process(
            target=world.serve, args=(self.facts, seed, rude, theirs), daemon=True
        )
        self.world.start()
        self.port: int = ours.recv()
        self.names = itertools.count()
        self.alive: list[Any] = []
        self.given = 0

    def spawn(self, point: str | None = None, probability: float = 0.0) -> Any:
        number = next(self.names)
        death = (point, probability, self.seed * 1000 + number)
        process = _processes.Process(
            target=victim.work, args=(self.url, self.port, f"w{number}", death), daemon=True
        )
        process.start()
        self.alive.append(process)
        return process

    def end(self) -> None:
        for process in (*self.alive, self.world):
            process.kill()
            process.join()
            process.close()

    async def fund(self, store: Store, gifts: int) -> None:
        amount = victim.COIN.amount(gifts * victim.GIFT)
        async with store.begin() as tx:
            await Ledger(SystemClock()).post(
                tx,
                [
                    Transfer("capital", victim.CHEST, victim.CAPITAL, amount, "fund"),
                    Transfer("donation", victim.CAPITAL, victim.DONOR, amount, "fund"),
                ],
            )
        self.given = gifts

    async def recover(self, store: Store) -> list[Intent]:
        """Let healthy workers and a person finish everything.

        The person lets a frozen one try once more; the second time it is given
        up if the world, asked in person, knows nothing of it.
        """
        seen: set[str] = set()
        for _ in range(2):
            self.spawn()
        deadline = time.monotonic() + _GIVE_UP_S
        async with aiohttp.ClientSession() as session:
            intents = victim.intents_of(store)
            handler = victim.GiftHandler(Ledger(intents.clock), session, self.port)
            person = Operator(intents, [handler])
            while True:
                async with store.read() as tx:
                    found = await intents.listed(tx, limit=10_000)
                if all(intent.state in FINAL for intent in found):
                    return found
                for intent in found:
                    if intent.state is IntentState.FROZEN:
                        await self.decide(person, intent, again=intent.id not in seen)
                        seen.add(intent.id)
                assert time.monotonic() < deadline, [i for i in found if i.state not in FINAL][:3]
                await asyncio.sleep(0.1)

    async def decide(self, person: Operator, intent: Intent, *, again: bool) -> None:
        if again or intent.key in self.effects():
            await person.release(intent.id, actor="anna", reason="looked at it")
        else:
            await person.abandon(
                intent.id, actor="anna", reason="asked them", confirm=intent.identity
            )

    def effects(self) -> dict[str, list[tuple[str, str]]]:
        """Identity and body of what the world has accepted, by business key."""
        with contextlib.closing(sqlite3.connect(self.facts)) as facts:
            found: dict[str, list[tuple[str, str]]] = {}
            for identity, key, body in facts.execute("select identity, key, body from effect"):
                found.setdefault(key, []).append((identity, body))
        return found

    async def assert_everything_once(self, store: Store, found: list[Intent]) -> None:
        effects = self.effects()
        for intent in found:
            happened = effects.get(intent.key, [])
            if intent.state is IntentState.SETTLED:
                assert intent.body is not None
                assert happened == [(intent.identity, intent.body.decode())]
            else:
                assert intent.state in {IntentState.FAILED, IntentState.ABANDONED}
                assert happened == []
        settled = sum(intent.state is IntentState.SETTLED for intent in found)
        async with store.read() as tx:
            ledger = Ledger(SystemClock())
            assert await ledger.verify(tx) == []
            balances = await ledger.balances(tx, [victim.DONOR, victim.CHEST])
        left = (self.given - settled) * victim.GIFT
        for balance in balances.values():
            assert balance.posted.units == balance.available.units == left

    async def assert_lanes_were_kept(self, store: Store, found: list[Intent]) -> None:
        """In a lane, one is signed only after the former was known outside."""
        lanes: dict[str, list[tuple[int, int]]] = {}
        for intent in found:
            async with store.read() as tx:
                events = await victim.intents_of(store).events(tx, intent.id)
            signed = [e.at_ms for e in events if e.to_state is IntentState.SIGNED]
            known = [
                e.at_ms
                for e in events
                if e.to_state in {IntentState.SENT, IntentState.CONFIRMED, *FINAL}
                # A refused one gives its lane up before a person has decided.
                or e.reason.startswith("refused: ")
            ]
            assert len(signed) <= 1
            if signed:
                lanes.setdefault(intent.lane, []).append((signed[0], known[0]))
        for spans in lanes.values():
            spans.sort()
            for (_, former), (later, _) in itertools.pairwise(spans):
                assert former <= later


@pytest.fixture
def campaign_of(store_url: str, tmp_path: Path) -> Iterator[Any]:
    made: list[Campaign] = []

    def make(**options: Any) -> Campaign:
        made.append(Campaign(store_url, tmp_path, **options))
        return made[-1]

    yield make
    for campaign in made:
        campaign.end()


async def test_a_death_at_every_named_point_leaves_every_gift_given_once(
    store: Store, campaign_of: Any
):
    campaign = campaign_of(rude=False)
    await campaign.fund(store, 2 * len(FAULT_POINTS))
    for point in FAULT_POINTS:
        await victim.create(store, f"{point}-good", lane=point)
        await victim.create(store, f"{point}-late", lane="late", expires_ms=1)
        process = campaign.spawn(point)
        await asyncio.to_thread(process.join, 30)
        assert process.exitcode == -9, f"the worker did not come to {point}"
    found = await campaign.recover(store)
    await campaign.assert_everything_once(store, found)
    assert {i.state for i in found if i.key.endswith("good")} == {IntentState.SETTLED}
    assert {i.state for i in found if i.key.endswith("late")} == {IntentState.FAILED}


async def test_random_deaths_of_several_workers_in_a_rude_world_leave_every_gift_given_once(
    store: Store, campaign_of: Any
):
    deaths = 800 if LONG else 40
    gifts = 400 if LONG else 30
    campaign = campaign_of(rude=True, seed=7)
    await campaign.fund(store, gifts)
    for number in range(gifts):
        await victim.create(store, f"gift-{number}", lane=f"lane-{number % 7}")
    chance = random.Random(7)
    died = 0
    workers = [campaign.spawn(probability=0.02) for _ in range(3)]
    while died < deaths:
        await asyncio.sleep(chance.uniform(0.02, 0.15))
        victim_number = chance.randrange(3)
        if workers[victim_number].is_alive():
            workers[victim_number].kill()
        await asyncio.to_thread(workers[victim_number].join, 30)
        assert workers[victim_number].exitcode == -9
        died += 1
        workers[victim_number] = campaign.spawn(probability=0.02)
    for worker in workers:
        worker.kill()
    found = await campaign.recover(store)
    await campaign.assert_everything_once(store, found)
    await campaign.assert_lanes_were_kept(store, found)
    assert sum(i.state is IntentState.SETTLED for i in found) > gifts // 2
