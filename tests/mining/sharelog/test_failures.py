"""A log that cannot be written answers errors, resolves what is unknown, and recovers."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from millpond.clock import ManualClock
from millpond.mining.sharelog.backend import Head, NewCandidate
from millpond.mining.sharelog.codec import GENESIS_HASH, verify_hash
from millpond.mining.sharelog.errors import ShareLogForkedError, ShareLogUnavailableError
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.mining.sharelog.records import Group
from millpond.store import Store
from tests.mining.sharelog.helpers import Log


class FlakyBackend:
    """A database in memory that fails when told to, before or after it has stored."""

    def __init__(self) -> None:
        self.stored: list[Group] = []
        self.sent: list[Group] = []
        self.down = False
        self.lose_answers = 0
        self.opened = asyncio.Event()

    async def open(self) -> Head:
        if self.down:
            raise ShareLogUnavailableError("down")
        self.opened.set()
        if not self.stored:
            return Head(0, GENESIS_HASH)
        return Head(self.stored[-1].sequence, self.stored[-1].hash)

    async def append(self, group: Group) -> None:
        self.sent.append(group)
        if self.down:
            raise ShareLogUnavailableError("down")
        if self.stored and self.stored[-1].sequence == group.sequence:
            if self.stored[-1].hash != group.hash:
                raise ShareLogForkedError("forked")
        else:
            self.stored.append(group)
        if self.lose_answers:
            self.lose_answers -= 1
            raise ShareLogUnavailableError("connection lost after the commit")

    async def store_candidate(self, candidate: NewCandidate) -> None:
        raise NotImplementedError

    async def update_candidate(self, *_: Any) -> None:
        raise NotImplementedError

    async def open_candidates(self) -> list[NewCandidate]:
        return []

    async def close(self) -> None:
        return


def flaky(**settings: Any) -> tuple[Log, FlakyBackend]:
    backend = FlakyBackend()
    return Log("sqlite:///x.db", backend=backend, clock=ManualClock(), **settings), backend


async def until(condition) -> None:
    """Let other tasks run until something holds; bounded."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to be")


async def test_a_lost_answer_is_resolved_by_sending_the_same_bytes_again():
    log, backend = flaky()
    await log.writer.start()
    backend.lose_answers = 2
    await log.group(0, 1)
    assert log.done == [0, 1]
    assert len(backend.stored) == 1
    assert len(backend.sent) == 3
    assert len(set(backend.sent)) == 1
    await log.writer.stop()


async def test_while_the_log_is_down_waiters_are_told_and_new_shares_refused():
    log, backend = flaky(retry_s=2.0)
    await log.writer.start()
    await log.group(0)
    backend.down = True
    assert log.add(1)
    await until(lambda: log.failed)
    assert log.failed == [(1, "sharelog_unavailable")]
    assert not log.writer.available
    assert not log.add(2)
    backend.down = False
    await until(lambda: log.writer.available)
    await log.group(3)
    assert log.done == [0, 3]
    # What was refused is not credited, and the chain has no gap.
    assert [g.sequence for g in backend.stored] == [1, 2]
    assert all(map(verify_hash, backend.stored))
    assert backend.stored[1].previous_hash == backend.stored[0].hash
    await log.writer.stop()


async def test_a_group_that_landed_after_all_stays_and_the_chain_goes_on_behind_it():
    log, backend = flaky(retry_s=2.0)
    await log.writer.start()
    backend.lose_answers = 10_000
    assert log.add(0)
    await until(lambda: log.failed)
    backend.lose_answers = 0
    await until(lambda: log.writer.available)
    await log.group(1)
    assert [g.sequence for g in backend.stored] == [1, 2]
    assert backend.stored[1].previous_hash == backend.stored[0].hash
    await log.writer.stop()


async def test_shares_that_wait_behind_a_failed_group_are_refused_with_it():
    log, backend = flaky(retry_s=2.0, max_waiting=5)
    await log.writer.start()
    backend.down = True
    assert log.add(0)
    await until(lambda: backend.sent)
    assert [log.add(n) for n in range(1, 8)] == [True] * 5 + [False] * 2
    await until(lambda: len(log.failed) == 6)
    assert {waiter for waiter, _ in log.failed} == set(range(6))
    await log.writer.stop()
    assert backend.stored == []


async def test_a_foreign_group_at_our_place_stops_the_writer_for_good():
    log, backend = flaky()
    await log.writer.start()
    await log.group(0)
    backend.stored.append(backend.stored[0]._replace(sequence=2, hash=b"?" * 32))
    assert log.add(1)
    await until(lambda: log.failed)
    assert log.failed == [(1, "sharelog_forked")]
    assert log.writer.failure is not None
    assert not log.writer.available
    await log.writer.stop()


async def test_an_error_that_nobody_foresaw_leaves_no_miner_waiting():
    log, backend = flaky()
    await log.writer.start()

    async def broken(group: Group) -> None:
        raise ZeroDivisionError

    backend.append = broken  # type: ignore[method-assign]
    assert log.add(0)
    await until(lambda: log.failed)
    assert log.failed == [(0, "sharelog_unavailable")]
    assert not log.writer.available
    await log.writer.stop()


async def test_stopping_commits_and_reports_what_waits(sharelog_url: str):
    log = Log(sharelog_url)
    await log.writer.start()
    assert all(log.add(number) for number in range(50))
    await log.writer.stop()
    assert log.done == list(range(50))
    assert not log.add(51)


async def test_the_log_comes_back_when_postgresql_cuts_the_connection(postgres_server):
    url = await postgres_server.create(migrated=False)
    log = Log(url)
    await log.writer.start()
    await log.group(0)
    store = await Store.open(url)
    async with store.begin() as tx:
        await tx.execute(
            text(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    await store.close()
    await log.group(1, 2)
    assert log.done == [0, 1, 2]
    assert log.writer.failures > 0
    await log.writer.stop()
    reader = await ShareLogReader.open(url)
    assert (await reader.verify("p")).faults == []
    assert await reader.count("p") == 3
    await reader.close()
    await postgres_server.drop(url)


async def test_positions_follow_the_order_of_commits_of_several_edges(sharelog_url: str):
    logs = [Log(sharelog_url, f"edge-{n}") for n in range(3)]
    for log in logs:
        await log.writer.start()
    reader = await ShareLogReader.open(sharelog_url)
    after, seen = None, 0

    async def write(log: Log) -> None:
        for number in range(20):
            await log.group(number)

    writing = asyncio.gather(*map(write, logs))
    while seen < 60:
        found = await reader.groups("p", after)
        for group in found:
            assert after is None or group.position > after
            after = group.position
            seen += len(group.rows)
    await writing
    assert seen == 60
    for log in logs:
        await log.writer.stop()
    await reader.close()


@pytest.mark.parametrize("state", ["accepted", "unknown", "rejected"])
async def test_blocks_are_kept_until_a_daemon_has_answered(sharelog_url: str, state: str):
    log = Log(sharelog_url)
    await log.writer.start()
    block = NewCandidate("ab" * 32, 7, "w", 5, b"\x00" * 2_000_000)
    await log.writer.store_candidate(block)
    await log.writer.store_candidate(block)
    assert await log.writer.open_candidates() == [block]
    await log.writer.update_candidate(block.block_hash, state, "words")
    assert await log.writer.open_candidates() == ([block] if state == "unknown" else [])
    await log.writer.stop()
    reader = await ShareLogReader.open(sharelog_url)
    (found,) = await reader.block_candidates("p")
    assert (found.state, found.result, found.block) == (state, "words", block.block)
    await reader.close()


async def test_blocks_are_kept_while_shares_are_being_stored(sharelog_url: str):
    log = Log(sharelog_url, linger_ms=0)
    await log.writer.start()
    blocks = [NewCandidate(f"{n:064x}", n, "w", n, bytes(500_000)) for n in range(8)]

    async def keep(block: NewCandidate) -> None:
        await log.writer.store_candidate(block)
        await log.writer.update_candidate(block.block_hash, "unknown", "words")

    async def mine() -> None:
        for number in range(40):
            await log.group(number)

    await asyncio.gather(mine(), *(keep(block) for block in blocks))
    assert await log.writer.open_candidates() == blocks
    assert (log.done, log.failed, log.writer.failures) == (list(range(40)), [], 0)
    await log.writer.stop()
