"""Many writers at once, tasks and processes: sums and identities hold, nobody starves."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from millpond.clock import ManualClock
from millpond.money.errors import InsufficientFundsError, LedgerConflictError
from millpond.money.ledger import Ledger
from millpond.money.model import Transfer
from millpond.store import Store
from tests.money.samples import ALICE, BOB, LTC, RISK, WALLET, payout, reward
from tests.money.writer_process import ROUNDS

PROCESSES = 3


async def test_processes_that_book_the_same_things_book_them_once(store: Store, store_url: str):
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.money.writer_process", store_url, str(seed)],
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(PROCESSES)
    ]
    refusals = set()
    for process in running:
        output, _ = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0
        refusals |= set(output.split())
    # The second reward of a round goes to whoever was drawn first: others conflict.
    assert refusals <= {"ledger_conflict"}
    async with store.read() as tx:
        ledger = Ledger(ManualClock())
        balances = await ledger.balances(tx, [WALLET, ALICE, BOB])
        assert balances[WALLET].posted.units == ROUNDS * (10 + 1 - 6)
        owed = balances[ALICE].posted + balances[BOB].posted
        assert owed == balances[WALLET].posted
        assert len(await ledger.statement(tx, WALLET, limit=1000)) == ROUNDS * 4
        assert await ledger.verify(tx) == []


async def test_crossing_transfers_do_not_deadlock(store: Store):
    """Tasks that touch the same accounts in every order wait, but never in a circle."""
    ledger = Ledger(ManualClock())
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 1000), reward(2, 1000, BOB)])

    async def book(number: int) -> None:
        there = Transfer(f"a{number}", ALICE, BOB, LTC.amount(1), "gift")
        back = Transfer(f"b{number}", BOB, ALICE, LTC.amount(1), "gift")
        batch = [there, back] if number % 2 else [back, there]
        batch.append(Transfer(f"c{number}", RISK, (ALICE, BOB)[number % 2], LTC.amount(1), "pps"))
        async with store.begin() as tx:
            await ledger.post(tx, batch)

    await asyncio.gather(*(book(number) for number in range(60)))
    async with store.read() as tx:
        balances = await ledger.balances(tx, [ALICE, BOB])
        assert {balance.posted.units for balance in balances.values()} == {1030}
        lines = await ledger.statement(tx, ALICE, limit=1000)
        assert [line.balance.units for line in lines][-1] == 1030
        assert await ledger.verify(tx) == []


async def test_a_balance_is_spent_once_however_many_try(store: Store):
    ledger = Ledger(ManualClock())
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 100)])

    async def spend(number: int) -> bool:
        try:
            async with store.begin() as tx:
                await ledger.reserve(tx, [payout(number, 30)])
        except InsufficientFundsError:
            return False
        return True

    assert sum(await asyncio.gather(*(spend(number) for number in range(20)))) == 3


async def test_the_same_id_at_the_same_time_is_booked_once_or_conflicts(store: Store):
    ledger = Ledger(ManualClock())

    async def book(number: int) -> str:
        account = (ALICE, BOB)[number % 2]
        try:
            async with store.begin() as tx:
                await ledger.post(tx, [reward(7, 5, account)])
        except LedgerConflictError:
            return "conflict"
        return account.path

    outcomes = await asyncio.gather(*(book(number) for number in range(20)))
    assert outcomes.count("conflict") == 10
    assert len(set(outcomes)) == 2
    async with store.read() as tx:
        assert (await ledger.balance(tx, WALLET)).posted.units == 5


async def test_a_batch_of_ten_thousand_is_booked_whole(store: Store):
    ledger = Ledger(ManualClock())
    batch = [reward(number, number + 1) for number in range(10_000)]
    async with store.begin() as tx:
        first = await ledger.post(tx, batch)
    async with store.begin() as tx:
        assert await ledger.post(tx, batch) == first
        assert (await ledger.balance(tx, ALICE)).posted.units == sum(range(10_001))
