"""Events of staking pools indexed per minute, from a recorded log; `python -m bench.staking`.

The log is made beforehand (deposits and withdrawals of ten thousand wallets,
encoded as a node sends them, five hundred in a block); what is measured is
decoding, folding, writing and booking them, durable, in ranges of 20 blocks.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from tests.staking.chain import PaperChain, wallet
from tests.staking.samples import CHAIN, direct_pool
from tests.support.postgres import running_postgres

from millpond.alerts import Alerts
from millpond.clock import Ids
from millpond.money.ledger import Ledger
from millpond.ops.system import SystemClock, SystemEntropy
from millpond.staking.indexer import Indexer
from millpond.staking.pools import create_pool
from millpond.store import Store
from millpond.store.migrate import migrate

EVENTS = 100_000
WALLETS = 10_000
A_BLOCK = 500


def recorded(events: int) -> PaperChain:
    """A chain with that many events of one pool."""
    chain = PaperChain([direct_pool()])
    chance = random.Random(1)
    for _ in range(0, events, A_BLOCK):
        for _ in range(A_BLOCK):
            who = wallet(chance.randrange(1, WALLETS))
            held = chain.state["btcd-main-pool"].balances.get(who, 0)
            pending = chance.random() < 0.7 or held < 10**6
            if pending:
                chain.deposit("btcd-main-pool", who, chance.randrange(10**15, 10**21))
            else:
                chain.withdraw("btcd-main-pool", who, held // 2)
        chain.mine()
    chain.mine(3)
    chain.range_blocks = 20
    return chain


async def measure(url: str, chain: PaperChain) -> tuple[int, float]:
    """Index all of it; events and seconds."""
    clock = SystemClock()
    store = await Store.open(url)
    ledger, alerts = Ledger(clock), Alerts(clock, Ids(clock, SystemEntropy()))
    async with store.begin() as tx:
        await create_pool(tx, direct_pool(), clock)
    indexer = Indexer(store, {CHAIN: chain}, ledger=ledger, alerts=alerts, clock=clock)
    started = time.perf_counter()
    events = 0
    while True:
        (progress,) = await indexer.run_once()
        events += progress.events
        if not progress.blocks:
            break
    seconds = time.perf_counter() - started
    await store.close()
    return events, seconds


def run(quick: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001 - the call of every benchmark
    """Events a minute on both databases; `quick` takes a tenth."""
    chain = recorded(EVENTS // 10 if quick else EVENTS)
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/bench.db"
        asyncio.run(migrate(url))
        yield figure("sqlite", *asyncio.run(measure(url, chain)))
    with running_postgres(durable=True) as server:
        url = asyncio.run(server.create())
        yield figure("postgresql", *asyncio.run(measure(url, chain)))


def figure(database: str, events: int, seconds: float) -> dict[str, Any]:
    """One line."""
    return {
        "figure": "events_indexed",
        "value": round(events * 60 / seconds),
        "unit": "events/min",
        "database": database,
        "events": events,
        "seconds": round(seconds, 2),
    }


if __name__ == "__main__":
    for line in run(quick=False):
        print(json.dumps(line))
