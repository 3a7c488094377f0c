"""A process of its own that runs tasks, to be killed, or to come too late."""

from __future__ import annotations

import asyncio
import sys

from sqlalchemy import text

from millpond.clock import Clock
from millpond.ops.system import SystemClock, SystemEntropy
from millpond.store import Store
from millpond.tasks import Scheduler, Task, current_lease, still_ours

NOTES = "CREATE TABLE note (id {serial}, word TEXT NOT NULL, worker TEXT NOT NULL, fence BIGINT)"
SERIAL = {
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "postgresql": "BIGSERIAL PRIMARY KEY",
}


async def make_notes(store: Store) -> None:
    async with store.begin() as tx:
        await tx.execute(text(NOTES.format(serial=SERIAL[store.dialect])))


async def note(store: Store, word: str, worker: str) -> None:
    """Write a word, if the claim still holds."""
    lease = current_lease()
    assert lease is not None
    async with store.begin() as tx:
        await still_ours(tx)
        await tx.execute(
            text("INSERT INTO note (word, worker, fence) VALUES (:word, :worker, :fence)"),
            {"word": word, "worker": worker, "fence": lease.fence},
        )


async def notes(store: Store) -> list[tuple[str, str, int]]:
    async with store.read() as tx:
        rows = await tx.execute(text("SELECT word, worker, fence FROM note ORDER BY id"))
        return [(row.word, row.worker, row.fence) for row in rows]


def say(word: str) -> None:
    print(f"> {word}", flush=True)


async def heard() -> str:
    return str(await asyncio.to_thread(sys.stdin.readline)).strip()


async def busy(store: Store, worker: str, clock: Clock) -> None:
    """Note the begin and the end of each run until the other side says that it is enough."""

    async def run() -> None:
        await note(store, "begin", worker)
        await asyncio.sleep(0)
        await note(store, "end", worker)
        say("ran")

    task = Task("busy", interval_s=0.001, jitter_s=0, run=run)
    scheduler = Scheduler(store, clock, SystemEntropy(), worker, [task])
    stop = asyncio.Event()
    running = asyncio.create_task(scheduler.run(stop, poll_s=0.002))
    await heard()
    stop.set()
    await running


async def slow(store: Store, worker: str, clock: Clock) -> None:
    """Begin a run, and end it only when told to."""

    async def run() -> None:
        await note(store, "begin", worker)
        say("began")
        await heard()
        await note(store, "end", worker)

    scheduler = Scheduler(store, clock, SystemEntropy(), worker, [Task("slow", 3600, 0, run)])
    ran = await scheduler.run_once()
    assert ran is not None
    say(f"{ran.lost}: {ran.error}")


async def main() -> None:
    url, worker, what = sys.argv[1:]
    store = await Store.open(url, pool_size=2)
    await {"busy": busy, "slow": slow}[what](store, worker, SystemClock())
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
