"""The worker process that the campaign kills, and the handler that it runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
from typing import Any

import aiohttp

from millpond.clock import Ids
from millpond.errors import UnavailableError
from millpond.intents import (
    Accepted,
    Confirmed,
    Intent,
    Intents,
    NotFound,
    Pending,
    Policy,
    Prepared,
    Rejected,
    Runner,
    Unknown,
)
from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Asset
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution, Transfer
from millpond.ops.system import SystemClock, SystemEntropy
from millpond.store import Store, Tx

COIN = Asset("TST", 0)
DONOR = Account(AccountType.LIABILITY, "donor", "balance", COIN)
CHEST = Account(AccountType.ASSET, "pool", "chest", COIN)
CAPITAL = Account(AccountType.EQUITY, "pool", "capital", COIN)
GIFT = 100

POLICY = Policy(
    settle_depth=3,
    lease_ms=1500,
    step_timeout_s=0.4,
    poll_ms=10,
    patience_ms=400,
    backoff_ms=20,
    backoff_max_ms=200,
    max_tries=15,
)


class GiftHandler:
    """A gift to the world: 100 units out of the donor's balance."""

    kind = "gift"
    policy = POLICY

    def __init__(self, ledger: Ledger, session: aiohttp.ClientSession, port: int) -> None:
        self.ledger, self.session = ledger, session
        self.url = f"http://127.0.0.1:{port}"

    async def prepare(self, intent: Intent) -> Prepared:
        # Every preparation makes another body, as a wallet would: whoever sends
        # two of them has given twice.
        nonce = SystemEntropy().token(16).hex()
        body = json.dumps({"key": intent.key, "nonce": nonce}).encode()
        return Prepared(body, hashlib.sha256(body).hexdigest())

    async def send(self, intent: Intent) -> Any:
        assert intent.body is not None
        answer = await self._ask("/send", identity=intent.identity, body=intent.body.decode())
        match answer.get("verdict"):
            case "accepted":
                return Accepted()
            case "rejected":
                return Rejected("the world refuses")
            case _:
                return Unknown("no verdict")

    async def look_up(self, intent: Intent) -> Any:
        answer = await self._ask("/look", identity=intent.identity)
        depth = answer["depth"]
        return NotFound() if depth < 0 else Confirmed(depth) if depth else Pending()

    async def dead_because(self, intent: Intent) -> str | None:
        return None

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Nothing follows a gift."""

    async def settle(self, tx: Tx, intent: Intent, outcome: Confirmed) -> None:
        await self.ledger.post_pending(tx, [Resolution(f"s-{intent.key}", f"r-{intent.key}")])

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        await self.ledger.void_pending(tx, [Resolution(f"v-{intent.key}", f"r-{intent.key}")])

    async def _ask(self, path: str, **document: Any) -> dict[str, Any]:
        try:
            async with self.session.post(self.url + path, json=document) as response:
                if response.status != 200:
                    raise UnavailableError("the world has a bad day")
                found: dict[str, Any] = await response.json(content_type=None)
                return found
        except aiohttp.ClientError as error:
            raise UnavailableError("the world hung up") from error


class Death:
    """Kills its own process with SIGKILL at a named point, or anywhere by chance."""

    def __init__(self, point: str | None, probability: float, seed: int) -> None:
        self.point, self.probability = point, probability
        self.random = random.Random(seed)

    def reach(self, point: str) -> None:
        if point == self.point or self.random.random() < self.probability:
            os.kill(os.getpid(), signal.SIGKILL)


def intents_of(store: Store) -> Intents:
    clock, entropy = SystemClock(), SystemEntropy()
    return Intents(store, clock, Ids(clock, entropy), entropy)


async def create(store: Store, key: str, *, lane: str, expires_ms: int | None = None) -> Intent:
    """Reserve and write the intent in one transaction."""
    intents = intents_of(store)
    async with store.begin() as tx:
        transfer = Transfer(f"r-{key}", DONOR, CHEST, COIN.amount(GIFT), "gift")
        await Ledger(intents.clock).reserve(tx, [transfer])
        return await intents.create(tx, "gift", key, {}, lane=lane, expires_ms=expires_ms)


def work(url: str, port: int, name: str, death: tuple[str | None, float, int]) -> None:
    """Be a worker until killed."""
    asyncio.run(_work(url, port, name, Death(*death)))


async def _work(url: str, port: int, name: str, death: Death) -> None:
    store = await Store.open(url, pool_size=1)
    async with aiohttp.ClientSession() as session:
        handler = GiftHandler(Ledger(SystemClock()), session, port)
        runner = Runner(intents_of(store), [handler], name, faults=death)
        await runner.run(asyncio.Event(), idle_s=0.01)
