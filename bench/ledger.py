"""Ledger transfers per second, durable, on SQLite and on PostgreSQL, single and batched."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tests.support.postgres import running_postgres

from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Asset
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution, Transfer
from millpond.ops.system import SystemClock
from millpond.store import Store
from millpond.store.migrate import migrate

_LTC = Asset("LTC", 8)
_WALLET = Account(AccountType.ASSET, "pool/bench", "wallet", _LTC)
_MINERS = 1000


def run(quick: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001 - the driver's seam
    """Measure both databases."""
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/bench.db"
        asyncio.run(migrate(url))
        yield from asyncio.run(_measure("sqlite", url, quick=quick))
    with running_postgres(durable=True) as server:
        url = asyncio.run(server.create())
        yield from asyncio.run(_measure("postgresql", url, quick=quick))


async def _measure(database: str, url: str, *, quick: bool) -> list[dict[str, Any]]:
    store = await Store.open(url, pool_size=8)
    figures = [figure async for figure in _figures(store, quick=quick)]
    async with store.read() as tx:
        assert await Ledger(SystemClock()).verify(tx) == [], "the books are right after all this"
    await store.close()
    return [{"database": database, "unit": "transfers/s", **figure} for figure in figures]


async def _figures(store: Store, *, quick: bool) -> AsyncIterator[dict[str, Any]]:
    ledger = Ledger(SystemClock())
    rounds = 1 if quick else 5
    size = 1_000 if quick else 10_000
    singles = 50 if quick else 1_000

    async def post(batch: list[Transfer]) -> None:
        async with store.begin() as tx:
            await ledger.post(tx, batch)

    async with store.begin() as tx:
        await ledger.post(tx, _batch("warm", _MINERS))

    started = time.perf_counter()
    for number in range(singles):
        await post(_batch(f"single-{number}", 1, first=number))
    yield _figure("post, one a commit, one task", singles, started)

    started = time.perf_counter()
    tasks = (post(_batch(f"task-{number}", 1, first=number)) for number in range(singles))
    await asyncio.gather(*tasks)
    yield _figure(f"post, one a commit, {singles} tasks, one hot account", singles, started)

    started = time.perf_counter()
    for number in range(rounds):
        await post(_batch(f"batch-{number}", size))
    yield _figure(f"post, {size} a commit", rounds * size, started)

    batch = _batch("reward", size)
    started = time.perf_counter()
    async with store.begin() as tx:
        await ledger.reserve(tx, batch)
    yield _figure(f"reserve, {size} a commit", size, started)

    ends = [Resolution(f"end-{transfer.id}", transfer.id) for transfer in batch]
    started = time.perf_counter()
    async with store.begin() as tx:
        await ledger.post_pending(tx, ends)
    yield _figure(f"post_pending, {size} a commit", size, started)

    started = time.perf_counter()
    await post(_batch("batch-0", size))
    yield _figure(f"repeat, {size} a call", size, started)


def _batch(name: str, size: int, *, first: int = 0) -> list[Transfer]:
    return [
        Transfer(
            f"{name}-{number}",
            _WALLET,
            Account(AccountType.LIABILITY, f"miner/{number % _MINERS}", "balance", _LTC),
            _LTC.amount(1000 + number),
            "reward",
            f"block:{name}",
        )
        for number in range(first, first + size)
    ]


def _figure(name: str, count: int, started: float) -> dict[str, Any]:
    return {"figure": name, "value": round(count / (time.perf_counter() - started))}
