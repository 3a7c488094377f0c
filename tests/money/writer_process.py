"""One of several processes that book on the same database at the same time."""

from __future__ import annotations

import asyncio
import random
import sys

from millpond.errors import MillpondError
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution
from millpond.ops.system import SystemClock, SystemEntropy
from millpond.store import Store, Tx
from millpond.store.retry import retrying
from tests.money.samples import ALICE, BOB, payout, reward

ROUNDS = 25
TASKS = 3


async def write(url: str, seed: int) -> None:
    """Book rewards and payouts with ids that other processes use as well."""
    store = await Store.open(url)
    clock = SystemClock()
    ledger = Ledger(clock)
    rng = random.Random(seed)
    refused: set[str] = set()

    async def one(number: int) -> None:
        account = (ALICE, BOB)[number % 2]
        other = (ALICE, BOB)[rng.randrange(2)]

        async def work(tx: Tx) -> None:
            await ledger.post(tx, [reward(number, 10, account), reward(number + 10_000, 1, other)])
            await ledger.reserve(tx, [payout(number, 6, account)])
            await ledger.post_pending(tx, [Resolution(f"end-{number}", f"payout-{number}")])

        try:
            await retrying(store, work, clock=clock, entropy=SystemEntropy(), attempts=20)
        except MillpondError as error:
            refused.add(error.code)

    async def task(numbers: list[int]) -> None:
        for number in numbers:
            await one(number)

    order = [rng.sample(range(ROUNDS), ROUNDS) for _ in range(TASKS)]
    await asyncio.gather(*(task(numbers) for numbers in order))
    await store.close()
    print(" ".join(sorted(refused)))


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], int(sys.argv[2])))
