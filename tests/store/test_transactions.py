"""Transactions under contention, cancellation and breakage: whole or not at all."""

import asyncio
import contextlib
import gc
import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, insert, select, text
from sqlalchemy import func as sql

from millpond.clock import ManualClock, SeededEntropy
from millpond.store import Store
from millpond.store import engine as engine_module
from millpond.store.claims import claim
from millpond.store.errors import StoreBusyError, StoreLostError, TransactionConflictError
from millpond.store.retry import retrying
from tests.support.postgres import PostgresServer

own = MetaData()
jobs = Table(
    "job",
    own,
    Column("id", Integer, primary_key=True),
    Column("locked_by", Text),
    Column("locked_until_ms", BigInteger, nullable=False),
)


@pytest.fixture
async def work(store: Store) -> Store:
    async with store.begin() as tx:
        await tx.run_sync(own.create_all)
    return store


async def _count(store: Store) -> int:
    async with store.read() as tx:
        return int((await tx.execute(select(sql.count()).select_from(jobs))).scalar_one())


async def test_a_claim_takes_each_row_once_among_many_workers(work: Store):
    async with work.begin() as tx:
        await tx.execute(insert(jobs), [{"id": n, "locked_until_ms": 0} for n in range(40)])

    async def worker(name: str) -> list[int]:
        mine: list[int] = []
        while True:
            async with work.begin() as tx:
                rows = await claim(
                    tx,
                    jobs,
                    jobs.c.locked_until_ms <= 1000,
                    order_by=jobs.c.id,
                    values={"locked_by": name, "locked_until_ms": 2000},
                    limit=3,
                )
            if not rows:
                return mine
            assert {row.locked_by for row in rows} == {name}
            assert [row.id for row in rows] == sorted(row.id for row in rows)
            mine += [row.id for row in rows]

    taken = await asyncio.gather(*(worker(f"w{n}") for n in range(4)))
    assert sorted(each for mine in taken for each in mine) == list(range(40))


async def test_rows_that_another_claim_holds_are_skipped(postgres_server: PostgresServer):
    store = await Store.open(await postgres_server.create())
    async with store.begin() as tx:
        await tx.run_sync(own.create_all)
        await tx.execute(insert(jobs), [{"id": n, "locked_until_ms": 0} for n in range(4)])

    async def two(tx) -> list[int]:
        rows = await claim(
            tx,
            jobs,
            jobs.c.locked_until_ms == 0,
            order_by=jobs.c.id,
            values={"locked_until_ms": 1},
            limit=2,
        )
        return [row.id for row in rows]

    async with store.begin() as one, store.begin() as other:
        assert await two(one) == [0, 1]
        assert await two(other) == [2, 3]
    await store.close()


async def test_cancelled_at_any_moment_a_transaction_is_whole_or_not_at_all(work: Store):
    """Cancel after n steps of the loop, for every n up to the end; nothing leaks."""
    entered = 0
    steps = 0
    finished = False

    async def write(number: int) -> None:
        async with work.begin() as tx:
            await tx.execute(insert(jobs).values(id=2 * number, locked_until_ms=0))
            await tx.execute(insert(jobs).values(id=2 * number + 1, locked_until_ms=0))

    rng = random.Random(1)
    while not finished or steps < 150 or entered <= 50:
        steps += 1
        assert steps < 5_000, "transactions are cut short and are finished, both"
        task = asyncio.create_task(write(steps))
        for _ in range(steps % 40):
            await asyncio.sleep(0 if rng.random() < 0.7 else 0.0005)
            if task.done():
                break
        task.cancel()
        try:
            await task
            finished = True
        except asyncio.CancelledError:
            entered += 1
    async with work.read() as tx:
        ids = set((await tx.execute(select(jobs.c.id))).scalars())
    assert {number ^ 1 for number in ids} == ids, "both rows of a transaction or none"
    # Nothing leaked: all connections are there to be used at the same time.
    count = await _count(work)
    if work.dialect == "postgresql":
        await asyncio.gather(*(write(10_000 + n) for n in range(20)))
        async with asyncio.timeout(20), contextlib.AsyncExitStack() as held:
            for _ in range(5):
                await held.enter_async_context(work.begin())
    else:
        async with asyncio.timeout(20):
            await asyncio.gather(*(write(10_000 + n) for n in range(20)))
    assert await _count(work) == count + 40
    await work.close()
    gc.collect()  # A socket or thread that was left behind would complain here.


async def test_hundreds_of_tasks_queue_for_the_writer_in_order(work: Store):
    order: list[int] = []

    async def write(number: int) -> None:
        async with work.begin() as tx:
            order.append(number)
            await tx.execute(insert(jobs).values(id=number, locked_until_ms=0))

    await asyncio.gather(*(write(number) for number in range(300)))
    assert await _count(work) == 300
    if work.dialect == "sqlite":
        assert order == list(range(300))


async def test_a_turn_that_does_not_come_is_a_typed_error(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_module, "_PATIENCE_S", 0.05)
    url = f"sqlite:///{tmp_path}/a.db"
    one, other = await Store.open(url), await Store.open(url)
    async with one.begin():
        with pytest.raises(StoreBusyError):
            async with other.begin():
                raise AssertionError("two writers at once")
    async with other.begin():
        pass
    await one.close()
    await other.close()


async def _deadlocked(store: Store, clock: ManualClock, attempts: int) -> list[int]:
    """Two transactions that lock two rows crosswise; each counts its attempts."""
    tried = [0, 0]
    both = [asyncio.Event(), asyncio.Event()]

    def crosswise(me: int):
        async def run(tx) -> None:
            tried[me] += 1
            for row in (me, 1 - me):
                await tx.execute(
                    text("update job set locked_until_ms = locked_until_ms + 1 where id = :id"),
                    {"id": row},
                )
                both[me].set()
                await both[1 - me].wait()

        return run

    await asyncio.gather(
        *(
            retrying(store, crosswise(me), clock=clock, entropy=SeededEntropy(), attempts=attempts)
            for me in (0, 1)
        )
    )
    return tried


async def test_a_deadlock_is_typed_and_retrying_gets_over_it(postgres_server: PostgresServer):
    store = await Store.open(await postgres_server.create())
    async with store.begin() as tx:
        await tx.run_sync(own.create_all)
        await tx.execute(insert(jobs), [{"id": n, "locked_until_ms": 0} for n in (0, 1)])
    fewest, most = sorted(await _deadlocked(store, ManualClock(), 9))
    assert (fewest, most > 1) == (1, True)
    with pytest.raises(TransactionConflictError):
        await _deadlocked(store, ManualClock(), 1)
    async with store.begin() as tx:
        rows = (await tx.execute(select(jobs.c.locked_until_ms))).scalars().all()
    assert rows[0] == rows[1]
    await store.close()


async def test_a_lost_connection_is_typed_and_the_next_one_works(postgres_server: PostgresServer):
    url = await postgres_server.create()
    store = await Store.open(url, pool_size=1)
    with pytest.raises(StoreLostError):
        async with store.begin() as tx:
            pid = (await tx.execute(text("select pg_backend_pid()"))).scalar_one()
            await postgres_server.sql(f"select pg_terminate_backend({pid})")
            await tx.execute(text("select 1"))
    async with store.begin() as tx:
        assert (await tx.execute(text("select 1"))).scalar_one() == 1
    await store.close()


async def test_a_database_that_is_not_there_is_a_typed_error():
    store = await Store.open("postgresql://postgres@127.0.0.1:1/nothing")
    with pytest.raises(StoreLostError):
        async with store.begin():
            raise AssertionError("connected to nothing")
    await store.close()


@pytest.mark.parametrize(
    ("pragma", "sentence"),
    [("max_page_count = 1", "the disk is full"), ("query_only = ON", "can only be read")],
)
async def test_a_file_that_cannot_be_written_is_a_typed_error(tmp_path, pragma, sentence):
    store = await Store.open(f"sqlite:///{tmp_path}/a.db")
    async with store.begin() as tx:
        await tx.run_sync(own.create_all)
    with pytest.raises(StoreLostError, match=sentence) as caught:
        async with store.begin() as tx:
            await tx.execute(text(f"PRAGMA {pragma}"))
            rows = [{"id": n, "locked_by": "x" * 9_000, "locked_until_ms": 0} for n in range(9)]
            await tx.execute(insert(jobs), rows)
    assert caught.value.http_status == 503
    assert await _count(store) == 0
    await store.close()


async def test_the_database_itself_refuses_to_write_while_reading(store: Store):
    for statement in ("update event set topic = 'x'", "delete from event"):
        with pytest.raises(Exception, match="read"):
            async with store.read() as tx:
                await tx.execute(text(statement))


async def test_a_process_that_never_pauses_does_not_starve_another(tmp_path: Path):
    """Counted in turns, not in seconds: a waiting writer comes after a few of the other's."""
    url = f"sqlite:///{tmp_path}/a.db"
    store = await Store.open(url)
    async with store.begin() as tx:
        await tx.execute(text("create table counter (turns int, stop int)"))
        await tx.execute(text("insert into counter values (0, 0)"))
    root = Path(__file__).parents[2]
    hot = subprocess.Popen(
        [sys.executable, "-m", "tests.store.hot_writer", url],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    turns = [0]
    while turns[-1] == 0:
        async with store.begin() as tx:
            turns[-1] = (await tx.execute(text("select turns from counter"))).scalar_one()
    for _ in range(30):
        async with store.begin() as tx:
            turns.append((await tx.execute(text("select turns from counter"))).scalar_one())
    async with store.begin() as tx:
        await tx.execute(text("update counter set stop = 1"))
    assert await asyncio.to_thread(hot.wait) == 0
    await store.close()
    assert turns[-1] > turns[0], "the other wrote all the while"
    waits = [after - before for before, after in itertools.pairwise(turns)]
    assert max(waits) < 50
    assert sum(waits) < 5 * len(waits)
