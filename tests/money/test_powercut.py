"""A power cut at any moment loses no acknowledged transfer and leaves balanced books."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from millpond.clock import ManualClock
from millpond.money.accounts import Account, AccountType
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution
from millpond.store import Store, Tx
from tests.money.powercut import Recording, cuts, play
from tests.money.samples import LTC, WALLET, payout, reward

ROUNDS = int(os.environ.get("MILLPOND_POWERCUT_ROUNDS", "14"))
COINS = int(os.environ.get("MILLPOND_POWERCUT_COINS", "3"))


async def _round(ledger: Ledger, tx: Tx, number: int, clock: ManualClock) -> list[str]:
    """One transaction of a pool's life; returns the ids that it books."""
    miner = Account(AccountType.LIABILITY, f"miner/{number % 3}", "balance", LTC)
    base = number * 10
    booked = await ledger.post(tx, [reward(base + n, 10**number + n, miner) for n in range(1, 4)])
    booked += await ledger.reserve(tx, [payout(base, 2, miner)], timeout_ms=1000)
    if number % 3 == 0:
        end = Resolution(f"end-{number}", f"payout-{base}", LTC.amount(1))
        booked += await ledger.post_pending(tx, [end])
    elif number % 3 == 1:
        booked += await ledger.void_pending(tx, [Resolution(f"end-{number}", f"payout-{base}")])
    else:
        clock.advance(2)
        booked += [
            posted
            for expired in await ledger.expire_pending(tx)
            if (posted := await ledger.resolution_of(tx, expired)) is not None
        ]
    return [posted.id for posted in booked]


@dataclass
class Workload:
    """What the ledger said to SQLite, and what each commit stood for."""

    initial: Path
    recording: Recording
    commits: list[list[str]]

    def acknowledged(self, count: int) -> set[str]:
        return {each for ids in self.commits[:count] for each in ids}


@pytest.fixture
async def workload(tmp_path: Path, sqlite_template: Path) -> Workload:
    initial = tmp_path / "initial.db"
    shutil.copy(sqlite_template, initial)
    live = tmp_path / "live.db"
    shutil.copy(sqlite_template, live)
    store = await Store.open(f"sqlite:///{live}")
    clock = ManualClock()
    ledger = Ledger(clock)
    recording = Recording()
    recording.listen(store)
    commits = []
    for number in range(ROUNDS):
        async with store.begin() as tx:
            commits.append(await _round(ledger, tx, number, clock))
    await store.close()
    assert sum(statement == "COMMIT" for statement, _ in recording.statements) == ROUNDS
    return Workload(initial, recording, commits)


def _disks(
    workload: Workload, tmp_path: Path, synchronous: str
) -> Iterator[tuple[int, dict[str, bytes]]]:
    played = tmp_path / f"played-{synchronous}.db"
    shutil.copy(workload.initial, played)
    vfs = play(workload.recording, played, synchronous=synchronous)
    assert vfs.acknowledged == ROUNDS
    assert len(vfs.operations) > 20 * ROUNDS
    touched = {operation.name for operation in vfs.operations}
    assert touched == {played.name, f"{played.name}-wal"}, "log and checkpoints were both cut"
    seen: set[tuple[int, int]] = set()
    for acknowledged, files in cuts(vfs, workload.initial.read_bytes(), played.name, COINS):
        known = (acknowledged, hash(tuple(sorted(files.items()))))
        if known not in seen:
            seen.add(known)
            yield acknowledged, {n.replace(played.name, "found.db"): f for n, f in files.items()}


def _power_up(files: dict[str, bytes], directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory / "found.db"


def _found(path: Path) -> tuple[set[str], dict[str, list[int]]]:
    """Ids and account sums that are there; raises if SQLite cannot read the file."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        ids = {row[0] for row in connection.execute("select id from ledger_transfer")}
        rows = connection.execute(
            "select path, debits_posted, credits_posted, debits_pending, credits_pending"
            " from ledger_account"
        )
        return ids, {path: [int(value) for value in sums] for path, *sums in rows}
    finally:
        connection.close()


async def test_no_acknowledged_transfer_is_lost_and_the_books_balance(
    workload: Workload, tmp_path: Path
):
    steps = [workload.acknowledged(count) for count in range(ROUNDS + 1)]
    verified: set[int] = set()
    disks = 0
    for acknowledged, files in _disks(workload, tmp_path, "FULL"):
        disks += 1
        path = _power_up(files, tmp_path / "found")
        ids, sums = _found(path)
        assert steps[acknowledged] <= ids, "an acknowledged transfer is lost"
        assert ids in steps, "a transaction is there in part"
        columns = list(zip(*sums.values(), strict=True)) or [(0,)] * 4
        assert sum(columns[0]) == sum(columns[1])
        assert sum(columns[2]) == sum(columns[3])
        if len(ids) not in verified:
            verified.add(len(ids))
            await _goes_on(path)
    assert disks > 50
    assert verified == {len(step) for step in steps}, "every state was found once"


async def _goes_on(path: Path) -> None:
    """The real ledger opens what was found, finds nothing wrong, and books on."""
    store = await Store.open(f"sqlite:///{path}")
    ledger = Ledger(ManualClock())
    async with store.begin() as tx:
        assert await ledger.verify(tx) == []
        await ledger.post(tx, [reward(999, 5)])
        assert (await ledger.balance(tx, WALLET)).posted.units >= 5
        assert await ledger.verify(tx) == []
    await store.close()


async def test_the_same_cuts_with_synchronous_normal_do_lose_transfers(
    workload: Workload, tmp_path: Path
):
    """Proves that the check above can fail, and why the store uses FULL."""
    lost = 0
    for acknowledged, files in _disks(workload, tmp_path, "NORMAL"):
        ids, _ = _found(_power_up(files, tmp_path / "found"))
        lost += not workload.acknowledged(acknowledged) <= ids
    assert lost > 10


async def test_every_part_of_the_workload_was_recorded(workload: Workload):
    words = " ".join(statement for statement, _ in workload.recording.statements)
    for table in ("ledger_account", "ledger_transfer", "ledger_pending"):
        assert f"INSERT INTO {table}" in words.replace("OR IGNORE ", "")
    assert "UPDATE ledger_account" in words
    assert "DELETE FROM ledger_pending" in words
