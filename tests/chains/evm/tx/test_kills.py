"""Processes killed at every named point and at any time: every gift is given once.

`MILLPOND_CAMPAIGN=long` makes the campaign of random deaths twenty times as long.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from millpond.chains.evm.tx import lane_of
from millpond.chains.evm.tx.rows import nonce_of_intent
from millpond.chains.evm.tx.transactions import FAULT_POINTS as EVM_POINTS
from millpond.intents import Intent, IntentState, Operator
from millpond.intents.faults import FAULT_POINTS
from millpond.intents.model import FINAL
from millpond.money.ledger import Ledger
from millpond.money.model import Transfer
from millpond.ops.system import SystemClock
from millpond.store import Store
from tests.chains.evm.tx import victim
from tests.chains.evm.tx.conftest import GROUNDS
from tests.chains.evm.tx.scene import (
    CAPITAL,
    CHEST,
    DONOR,
    ETH,
    GIFT,
    fresh_address,
)
from tests.support.evm_nodes import Anvil, Node

LONG = os.environ.get("MILLPOND_CAMPAIGN") == "long"
_GIVE_UP_S = 600 if LONG else 60

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.chains.evm.tx.victim"])

REPLACING = ("evm_replacing", "evm_replaced")
FILLING = ("evm_filling", "evm_filled")
FREEING = "evm_freeing"


class Campaign:
    """A node that makes blocks, workers that come and go, and the books."""

    def __init__(self, store: Store, url: str, node: Node, signers: list[str]) -> None:
        self.store, self.url, self.node, self.signers = store, url, node, signers
        self.names = itertools.count()
        self.alive: list[Any] = []
        self.mining = True
        self.reorgs: random.Random | None = None
        self.gifts: dict[str, str] = {}
        transactions, handler = victim.parts(store, node.url, signers)
        self.intents = transactions.intents
        self.person = Operator(self.intents, [handler])
        for name in signers:
            node.set_balance(victim.signer_named(name).address, 10**19)

    def spawn(self, point: str | None = None, probability: float = 0.0) -> Any:
        number = next(self.names)
        arguments = (
            self.url,
            self.node.url,
            f"w{number}",
            self.signers,
            (point, probability, number),
        )
        process = _processes.Process(target=victim.work, args=arguments, daemon=True)
        process.start()
        self.alive.append(process)
        return process

    def end(self) -> None:
        for process in self.alive:
            process.kill()
            process.join()
            process.close()

    async def mine(self) -> None:
        """Make blocks for ever, and sometimes take one back."""
        while True:
            if self.mining:
                await asyncio.to_thread(self.node.mine)
            if self.reorgs is not None and self.reorgs.random() < 0.05:
                await asyncio.to_thread(self.node.reorg, 1)
            await asyncio.sleep(0.1)

    async def fund(self, gifts: int) -> None:
        amount = ETH.amount(gifts * GIFT)
        async with self.store.begin() as tx:
            await Ledger(SystemClock()).post(
                tx,
                [
                    Transfer("capital", CHEST, CAPITAL, amount, "fund"),
                    Transfer("donation", CAPITAL, DONOR, amount, "fund"),
                ],
            )
        self.funded = gifts

    async def give(self, key: str, signer: str, **options: Any) -> Intent:
        self.gifts[key] = fresh_address(f"{self.url} {key}")
        payload = {"to": self.gifts[key], "value": str(GIFT)}
        lane = lane_of(self.node.chain_id, victim.signer_named(signer).address)
        async with self.store.begin() as tx:
            transfer = Transfer(f"r-{key}", DONOR, CHEST, ETH.amount(GIFT), "gift")
            await Ledger(self.intents.clock).reserve(tx, [transfer])
            return await self.intents.create(tx, "evm-gift", key, payload, lane=lane, **options)

    async def give_up(self, intent: Intent) -> None:
        """A person stops an intent under a worker's hands and gives it up."""
        await self.person.freeze(intent.id, actor="anna", reason="not any more")
        await self.person.abandon(intent.id, actor="anna", reason="not any more")

    async def die(self, point: str) -> None:
        process = self.spawn(point)
        await asyncio.to_thread(process.join, _GIVE_UP_S)
        assert process.exitcode == -9, f"nobody came to {point}"

    async def die_with(self, point: str, intent: Intent) -> None:
        """Die there with this intent in hand, after any that others have left."""
        for _ in range(20):
            await self.die(point)
            async with self.store.read() as tx:
                if await nonce_of_intent(tx, intent.id) is not None:
                    return
        raise AssertionError("others are always in the way")

    async def recover(self) -> list[Intent]:
        """Let healthy workers finish everything."""
        self.mining = True
        for _ in range(2):
            self.spawn()
        deadline = time.monotonic() + _GIVE_UP_S
        while True:
            async with self.store.read() as tx:
                found = await self.intents.listed(tx, limit=10_000)
            if all(intent.state in FINAL for intent in found):
                return found
            assert time.monotonic() < deadline, [i for i in found if i.state not in FINAL][:3]
            await asyncio.sleep(0.2)

    async def assert_everything_once(self, found: list[Intent]) -> None:
        settled = [intent.key for intent in found if intent.state is IntentState.SETTLED]
        for key, to in self.gifts.items():
            assert self.node.balance(to) == (GIFT if key in settled else 0), key
        async with self.store.read() as tx:
            ledger = Ledger(SystemClock())
            assert await ledger.verify(tx) == []
            balances = await ledger.balances(tx, [DONOR, CHEST])
        left = (self.funded - len(settled)) * GIFT
        for balance in balances.values():
            assert balance.posted.units == balance.available.units == left


@pytest.fixture
def node() -> Iterator[Node]:
    """A node that keeps the campaign's blocks to itself."""
    with Anvil(manual=True) as node:
        node.mine(4)
        yield node


@pytest.fixture
async def campaign_of(store: Store, store_url: str, node: Node) -> AsyncIterator[Any]:
    made: list[Campaign] = []
    tasks: list[asyncio.Task[None]] = []

    def make(signers: list[str]) -> Campaign:
        made.append(Campaign(store, store_url, node, signers))
        tasks.append(asyncio.create_task(made[-1].mine()))
        return made[-1]

    yield make
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    for campaign in made:
        campaign.end()


@pytest.mark.parametrize("ground", ["sqlite-anvil"], indirect=True)
async def test_a_death_at_every_named_point_pays_once(campaign_of: Any):
    points = [point for point in (*FAULT_POINTS, *EVM_POINTS) if point != FREEING]
    campaign: Campaign = campaign_of([*points, FREEING])
    await campaign.fund(len(points) + 50)
    for point in points:
        if point.startswith("releas"):
            await campaign.give(point, point, expires_ms=1)
        elif point in FILLING:
            given_up = await campaign.give(f"{point}-up", point)
            await campaign.die_with("signed", given_up)
            await campaign.give_up(given_up)
            await campaign.give(point, point)
        else:
            await campaign.give(point, point)
        campaign.mining = point not in REPLACING
        await campaign.die(point)
        campaign.mining = True
    # One that died with a nonce in its hands, and is overtaken.
    first = await campaign.give("overtaken", FREEING)
    await campaign.die_with("evm_reserved", first)
    await campaign.person.freeze(first.id, actor="anna", reason="wait")
    campaign.mining = False
    await campaign.give("overtaker", FREEING)
    await campaign.die(FREEING)
    await campaign.person.release(first.id, actor="anna", reason="go on")
    found = await campaign.recover()
    await campaign.assert_everything_once(found)
    ends = {intent.key: intent.state for intent in found}
    assert {ends[f"{point}-up"] for point in FILLING} == {IntentState.ABANDONED}
    assert {s for k, s in ends.items() if k.startswith("releas")} == {IntentState.FAILED}
    others = [k for k in ends if not k.startswith("releas") and not k.endswith("-up")]
    assert {ends[key] for key in others} == {IntentState.SETTLED}


@pytest.mark.parametrize("ground", GROUNDS if LONG else GROUNDS[1:], indirect=True)
async def test_random_deaths_of_several_workers_pay_once(campaign_of: Any):
    deaths, gifts = (200, 200) if LONG else (6, 8)
    signers = ["one", "two"]
    campaign: Campaign = campaign_of(signers)
    await campaign.fund(gifts)
    for number in range(gifts):
        await campaign.give(f"gift-{number}", signers[number % 2])
    campaign.reorgs = random.Random(3)
    died = 0
    workers = [campaign.spawn(probability=0.06) for _ in range(3)]
    deadline = time.monotonic() + _GIVE_UP_S
    while died < deaths and time.monotonic() < deadline:
        for place, worker in enumerate(workers):
            if not worker.is_alive():
                died += 1
                workers[place] = campaign.spawn(probability=0.06)
        await asyncio.sleep(0.05)
    assert died >= deaths, "workers died on the way"
    campaign.reorgs = None
    for worker in workers:
        worker.kill()
    found = await campaign.recover()
    assert {intent.state for intent in found} == {IntentState.SETTLED}
    await campaign.assert_everything_once(found)
