"""kill -9 at any statement while a chain is indexed, through a reorg: everything once."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import signal
from typing import Any

from sqlalchemy import event

from millpond.staking.pools import StakingPool
from millpond.store import Store
from tests.staking.chain import PaperChain, wallet
from tests.staking.rig import Rig, rig_for
from tests.staking.samples import direct_pool, vault_pool

POOL = "btcd-main-pool"
STEP = 1 if os.environ.get("MILLPOND_CAMPAIGN") == "long" else 17
"""Every so many statements a process is killed; each one starts where the last died."""


def the_pools() -> list[StakingPool]:
    """A direct pool and a vault."""
    return [direct_pool(), vault_pool(confirmations=2)]


def told(*, reorged: bool) -> PaperChain:
    """The same chain in every process; at first without its reorg."""
    chain = PaperChain(the_pools())
    chain.mine(4)
    for number in range(1, 6):
        chain.deposit(POOL, wallet(number), 100 * number)
        chain.deposit("btcd-vault", wallet(number), 10 * number)
        chain.mine()
        chain.withdraw(POOL, wallet(number), 30 * number)
        chain.transfer("btcd-vault", wallet(number), wallet(9), number)
        chain.emit(POOL, "Funded", sender=wallet(8), amount=1_000)
        chain.mine()
    chain.range_blocks = 5
    if reorged:
        chain.reorg(5, keep=True)
        chain.mine(3)
    return chain


async def _index(url: str, *, reorged: bool, die_at: int | None) -> None:
    store = await Store.open(url)
    rig = await rig_for(store, the_pools(), chain=told(reorged=reorged))
    if die_at is not None:
        _die_at(store, die_at)
    await rig.index()
    await store.close()


def _die_at(store: Store, number: int) -> None:
    """SIGKILL this process before its `number`-th statement or commit."""
    count = itertools.count(1)

    def reached(*_: Any) -> None:
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = store._writer.sync_engine
    event.listen(engine, "before_cursor_execute", reached)
    event.listen(engine, "commit", reached)


def _in_a_process(url: str, *, reorged: bool, die_at: int) -> bool:
    """Index in a process of its own; False if it was killed."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_run, args=(url, reorged, die_at))
    process.start()
    process.join()
    assert process.exitcode in {0, -signal.SIGKILL}, process.exitcode
    return process.exitcode == 0


def _run(url: str, reorged: bool, die_at: int) -> None:
    asyncio.run(_index(url, reorged=reorged, die_at=die_at))


async def _check(url: str) -> None:
    store = await Store.open(url)
    rig: Rig = await rig_for(store, the_pools(), chain=told(reorged=True))
    assert await rig.index() == 0, "nothing is left to do"
    await rig.check()
    await store.close()


def test_whatever_statement_it_dies_at_everything_is_booked_once(store_url: str) -> None:
    kills = 0
    for reorged in (False, True):
        # Dying ever later into the work, so that each process gets a little further.
        for die_at in itertools.count(1, STEP):
            if _in_a_process(store_url, reorged=reorged, die_at=die_at):
                break
            kills += 1
    assert kills >= 6, "it was killed again and again"
    asyncio.run(_check(store_url))
