"""Closing one epoch of ten thousand stakers: decided, proven, posted and stored, on SQLite."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import uvloop
from sqlalchemy import insert
from tests.staking.rewards.chain import ZERO_S, World, vault, wallet
from tests.staking.samples import direct_pool

from millpond.staking.model import EventKind, EventState
from millpond.staking.pools import StakingPool
from millpond.staking.rewards.engine import FRACTION_BITS
from millpond.staking.rewards.statement import decode
from millpond.staking.rewards.statements import export
from millpond.staking.tables import event_table
from millpond.store import Store
from millpond.store.migrate import migrate

E18 = 10**18


def run(quick: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001 - the driver's seam
    """Measure both kinds of pool."""
    stakers = 1_000 if quick else 10_000
    direct = direct_pool(epoch_zero_s=ZERO_S, epoch_s=300, reward_per_minute=E18, confirmations=1)
    for pool in (direct, vault()):
        with tempfile.TemporaryDirectory() as directory:
            url = f"sqlite:///{directory}/bench.db"
            asyncio.run(migrate(url))
            took_s = uvloop.run(_measure(url, pool, stakers))
        yield {
            "figure": f"close an epoch of {stakers} stakers ({pool.kind.value})",
            "unit": "s",
            "value": round(statistics.median(took_s[2:]), 3),
            "worst": round(max(took_s[2:]), 3),
            "with_accounts_made": round(took_s[1], 3),
        }


async def _measure(url: str, pool: StakingPool, stakers: int) -> list[float]:
    store = await Store.open(url)
    world = await World(store, pool).create()
    length = pool.epoch_s
    await world.fund(0, 10**9 * E18)
    await _stake(world, stakers)
    took = []
    for epoch in range(7):
        await world.mark((epoch + 1) * length)
        started = time.perf_counter()
        closed = await world.close_next()
        took.append(time.perf_counter() - started)
        assert closed is not None, "the epoch was due"
        await _check(world, epoch, stakers)
    async with store.read() as tx:
        assert await world.ledger.verify(tx) == [], "the books are right"
    await store.close()
    # In the first epoch nobody counts yet, in the second accounts are made.
    return took


async def _stake(world: World, stakers: int) -> None:
    rows: list[dict[str, Any]] = []
    for number in range(1, stakers + 1):
        world.seq += 1
        rows.append(
            {
                "pool_id": world.pool.pool_id,
                "seq": world.seq,
                "block_number": world.seq,
                "block_hash": "",
                "block_time_s": ZERO_S + 1,
                "tx_hash": "",
                "log_index": 0,
                "ordinal": 0,
                "round": 0,
                "kind": EventKind.DEPOSIT.value,
                "wallet": wallet(number),
                "amount": _stake_of(number),
                "balance": _stake_of(number),
                "details": {},
                "state": EventState.BOOKED.value,
            }
        )
    async with world.store.begin() as tx:
        await tx.execute(insert(event_table), rows)
        for row in rows:
            await world.position(tx, row["wallet"], row["balance"])


def _stake_of(number: int) -> int:
    return number * 10**18 + number**3 + 1


async def _check(world: World, epoch: int, stakers: int) -> None:
    """To the unit against rational numbers: whole units and fractions."""
    async with world.store.read() as tx:
        statement = decode(await export(tx, world.pool.pool_id, epoch))
    total = sum(_stake_of(number) for number in range(1, stakers + 1))
    pot = Fraction(int(statement.emission.emitted))
    for line in statement.accounts[:: max(1, stakers // 100)]:
        exact = pot * Fraction(_stake_of(int(line.wallet, 16)), total)
        got = int(line.cumulative) + Fraction(int(line.fraction), 1 << FRACTION_BITS)
        assert abs(got - exact) < Fraction(epoch + 1, 1 << FRACTION_BITS), "exact"
        assert int(line.cumulative) in {exact.__floor__(), exact.__floor__() - 1}, "exact"
