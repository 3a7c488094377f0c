"""Statistics are the share log, added up: once each, and the same again from zero."""

import random
from collections import defaultdict
from typing import Any

import pytest
from sqlalchemy import Table, select, update

from millpond.clock import ManualClock
from millpond.mining.folds import queries
from millpond.mining.folds.figures import Rate, window_start_s
from millpond.mining.folds.service import Fold, LogReplacedError
from millpond.mining.folds.statistics import Statistics, prune
from millpond.mining.folds.tables import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    fold_checkpoint,
    join_sum,
    mining_worker,
    pool_slice,
    reject_slice,
    worker_slice,
)
from millpond.mining.sharelog import RejectReason
from millpond.store import Store
from tests.mining.share_log import POOL, HandLog

START_MS = 1_700_000_000_000
NETWORK = 1 << 50
RATE = Rate(0xFFFF << 208)
WORKERS = ["ann.1", "ann.2", "bob", "cid.x"]


async def write_random(log: HandLog, seed: int, groups: int = 60) -> list[tuple[Any, ...]]:
    """Groups over about three hours; returns all shares."""
    rng = random.Random(seed)
    written = []
    at_ms = START_MS
    for _ in range(groups):
        at_ms += rng.randrange(1, 400_000)
        shares = []
        for _ in range(rng.randrange(6)):
            at_ms += rng.randrange(30_000)
            difficulty = rng.choice([1 << 32, 3 << 33, (1 << 63) + 12345])
            shares.append(
                (at_ms, rng.choice(WORKERS), 7, NETWORK, difficulty, rng.randrange(1 << 28))
            )
        # One group spans at most 65 seconds.
        shares = [s for s in shares if s[0] - shares[0][0] < 65_000]
        first = shares[0][0] if shares else at_ms
        rejects = [
            (first, rng.choice(WORKERS), rng.choice([1, 3, 4]), 5 << 40)
            for _ in range(rng.randrange(3))
        ]
        if shares or rejects:
            await log.group(shares, rejects)
            written += shares
    return written


async def figures(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All statistics, with workers by name and sums joined, without what is only storage."""
    result = {}
    async with store.read() as tx:
        names = {row.id: row.worker for row in await tx.execute(select(mining_worker))}
        for table in (mining_worker, worker_slice, pool_slice, reject_slice):
            rows = []
            for row in (await tx.execute(select(table))).mappings():
                rows.append(_figure(table, dict(row), names))
            result[table.name] = sorted(rows)
    return result


def _figure(table: Table, row: dict[str, Any], names: dict[int, str]) -> tuple[Any, ...]:
    if table is mining_worker:
        row.pop("id")
    if "worker_id" in row:
        row["worker_id"] = names[row["worker_id"]]
    for name in [name for name in row if name.endswith("_hi")]:
        row[name[:-3]] = (row.get(name[:-3]), join_sum(row.pop(name), row.pop(name[:-2] + "lo")))
    return tuple(str(value) for _, value in sorted(row.items()))


async def test_slices_are_the_sums_of_the_log(store: Store, hand_log: HandLog, clock: ManualClock):
    shares = await write_random(hand_log, seed=1)
    await Fold(store, hand_log.reader, POOL, clock).run_to_end()
    expected: defaultdict[tuple[str, int, int], list[int]] = defaultdict(lambda: [0, 0])
    for ms, worker, _, _, difficulty, _ in shares:
        for size in (MINUTE_S, HOUR_S, DAY_S):
            entry = expected[worker, size, ms // 1000 // size * size]
            entry[0] += 1
            entry[1] += difficulty
    found = {}
    async with store.read() as tx:
        query = select(worker_slice, mining_worker.c.worker).join(
            mining_worker, mining_worker.c.id == worker_slice.c.worker_id
        )
        for row in await tx.execute(query):
            if row.accepted:
                total = join_sum(row.accepted_hi, row.accepted_lo)
                found[row.worker, row.size_s, row.start_s] = [row.accepted, total]
    assert found == expected


async def test_the_size_of_the_batches_changes_no_figure(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    await write_random(hand_log, seed=2)
    await Fold(store, hand_log.reader, POOL, clock, batch_groups=1).run_to_end()
    one_by_one = await figures(store)
    other = Fold(store, hand_log.reader, POOL, clock, batch_groups=37)
    await other.rebuild()
    assert not (await figures(store))["worker_slice"]
    progress = await other.run_to_end()
    assert progress.groups == len(hand_log.positions)
    assert await figures(store) == one_by_one


async def test_what_is_folded_is_not_folded_again(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    await write_random(hand_log, seed=3)
    await Fold(store, hand_log.reader, POOL, clock).run_to_end()
    before = await figures(store)
    assert (await Fold(store, hand_log.reader, POOL, clock).run_to_end()).groups == 0
    assert await figures(store) == before


async def test_a_fold_that_fails_leaves_nothing_and_goes_on_where_it_was(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    await write_random(hand_log, seed=4)

    class Failing:
        name = "failing"
        from_now = False
        fail = True

        async def fold(self, tx, pool_id, groups, *, after):
            if self.fail:
                raise RuntimeError("killed here")

    failing = Failing()
    fold = Fold(store, hand_log.reader, POOL, clock, folders=[Statistics(), failing])
    with pytest.raises(RuntimeError, match="killed"):
        await fold.run_once()
    assert not (await figures(store))["pool_slice"]
    failing.fail = False
    await fold.run_to_end()
    after = await figures(store)
    alone = Fold(store, hand_log.reader, POOL, clock)
    await alone.rebuild()
    await alone.run_to_end()
    assert await figures(store) == after


async def test_a_fold_that_joins_late_gets_every_group_once(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    class Counting:
        name = "counting"
        from_now = False

        def __init__(self):
            self.seen = []

        async def fold(self, tx, pool_id, groups, *, after):
            self.seen += [group.position.group for group in groups]

    await write_random(hand_log, seed=5)
    await Fold(store, hand_log.reader, POOL, clock).run_to_end()
    before = await figures(store)
    await write_random(hand_log, seed=6)
    counting = Counting()
    fold = Fold(
        store, hand_log.reader, POOL, clock, folders=[Statistics(), counting], batch_groups=7
    )
    await fold.run_to_end()
    assert counting.seen == [position.group for position in hand_log.positions]
    assert await figures(store) != before
    alone = Fold(store, hand_log.reader, POOL, clock)
    together = await figures(store)
    await alone.rebuild()
    await alone.run_to_end()
    assert await figures(store) == together


async def test_two_workers_that_fold_one_pool_count_nothing_twice(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    await write_random(hand_log, seed=7)
    late = Fold(store, hand_log.reader, POOL, clock, batch_groups=5)
    quick = Fold(store, hand_log.reader, POOL, clock, batch_groups=5)

    class Interrupted:
        """Lets the quick one fold between the reading and the writing of the late one."""

        async def groups(self, pool_id, after, limit=1000):
            found = await hand_log.reader.groups(pool_id, after, limit)
            await quick.run_once()
            return found

    late._log = Interrupted()
    late._checked = True
    assert (await late.run_once()).groups == 0
    async with store.read() as tx:
        checkpoint = (await tx.execute(select(fold_checkpoint))).one()
    assert checkpoint.groups == 5


async def test_another_log_under_the_same_database_is_refused(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    await write_random(hand_log, seed=8)
    await Fold(store, hand_log.reader, POOL, clock).run_to_end()
    async with store.begin() as tx:
        await tx.execute(update(fold_checkpoint).values(group_hash="00" * 32))
    with pytest.raises(LogReplacedError):
        await Fold(store, hand_log.reader, POOL, clock).run_once()


async def test_the_figures_of_the_api_are_those_of_the_window(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    now_ms = START_MS + 7_200_000
    bits = 0x1B00FFFF
    await hand_log.group([(now_ms - 90_000_000, "old.1", 5, NETWORK, 1 << 40, bits)])
    await hand_log.group([(now_ms - 3_600_000, "cid", 5, NETWORK, 1 << 40, bits)])
    await hand_log.group(
        [(now_ms - 5_000 + n, "ann.1", 9, NETWORK, 1 << 40, bits - n) for n in range(10)]
        + [(now_ms - 4_000, "ann.2", 9, NETWORK, 1 << 40, bits)],
        [(now_ms - 4_000, "ann.2", RejectReason.STALE, 1 << 40)],
    )
    await Fold(store, hand_log.reader, POOL, clock).run_to_end()
    async with store.read() as tx:
        stats = await queries.pool_stats(tx, POOL, RATE, now_ms=now_ms)
        ann = await queries.miner_stats(tx, POOL, "ann", RATE, now_ms=now_ms)
        rows = await queries.workers(tx, POOL, RATE, now_ms=now_ms, wallet="ann")
        fastest = await queries.miners(tx, POOL, RATE, now_ms=now_ms)
        nobody = await queries.miner_stats(tx, POOL, "nobody", RATE, now_ms=now_ms)
        reasons = await queries.rejects(tx, POOL, now_ms=now_ms)
    assert (stats.total_miners, stats.active_miners) == (3, 1)
    assert (stats.total_workers, stats.active_workers) == (4, 2)
    assert stats.total_shares_24h == 12
    window_s = (now_ms - window_start_s(now_ms) * 1000) / 1000
    assert stats.pool_hashrate == pytest.approx(11 * 256 * 2**32 / window_s, rel=1e-4)
    assert (stats.height, stats.network_difficulty) == (9, NETWORK)
    assert int(stats.current_target, 16) == (0xFFFF << 208 << 32) // NETWORK
    assert ann is not None
    assert (ann.workers, ann.active_workers, ann.shares_24h.accepted, ann.shares_24h.stale) == (
        2,
        2,
        11,
        1,
    )
    assert ann.best_bits == bits - 9
    assert [(row.worker_name, row.online, row.shares_24h.accepted) for row in rows] == [
        ("1", True, 10),
        ("2", True, 1),
    ]
    # Both began in this minute: a minute is the shortest time that hashrate is taken over.
    assert ann.hashrate == pytest.approx(11 * 256 * 2**32 / 60, rel=1e-4)
    assert [miner.wallet for miner in fastest] == ["ann"]
    assert nobody is None
    assert [(entry.reason, entry.count) for entry in reasons] == [("stale", 1)]


async def test_a_pool_without_shares_has_figures_too(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    async with store.read() as tx:
        stats = await queries.pool_stats(tx, POOL, RATE, now_ms=START_MS)
    assert (stats.total_miners, stats.pool_hashrate, stats.current_target) == (0, 0.0, "")


async def test_series_add_up_and_are_bounded(store: Store, hand_log: HandLog, clock: ManualClock):
    shares = await write_random(hand_log, seed=9)
    await Fold(store, hand_log.reader, POOL, clock).run_to_end()
    end_ms = shares[-1][0] + 1000
    span = {"from_ms": START_MS, "to_ms": end_ms}
    async with store.read() as tx:
        pool = await queries.pool_performance(tx, POOL, RATE, size_s=HOUR_S, **span)
        ann = await queries.miner_performance(tx, POOL, "ann", RATE, size_s=MINUTE_S, **span)
        one = await queries.worker_performance(tx, POOL, "ann.1", RATE, size_s=DAY_S, **span)
        with pytest.raises(queries.SeriesError):
            await queries.pool_performance(tx, POOL, RATE, size_s=61, **span)
        with pytest.raises(queries.SeriesError):
            await queries.pool_performance(tx, POOL, RATE, size_s=MINUTE_S, from_ms=0, to_ms=end_ms)
    assert sum(point.counts.accepted for point in pool) == len(shares)
    of_ann = [share for share in shares if share[1].startswith("ann")]
    assert sum(point.counts.accepted_sum for point in ann) == sum(s[4] for s in of_ann)
    assert sum(point.counts.accepted for point in one) == sum(s[1] == "ann.1" for s in shares)
    assert all(point.hashrate > 0 for point in pool if point.counts.accepted)


async def test_fine_slices_go_and_coarse_ones_stay(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    shares = await write_random(hand_log, seed=10)
    await Fold(store, hand_log.reader, POOL, clock).run_to_end()
    later_ms = shares[-1][0] + 3 * DAY_S * 1000
    async with store.begin() as tx:
        assert await prune(tx, now_ms=later_ms) > 0
        assert await prune(tx, now_ms=later_ms) == 0
    async with store.read() as tx:
        sizes = set((await tx.execute(select(worker_slice.c.size_s))).scalars())
        span = {"from_ms": START_MS, "to_ms": later_ms}
        days = await queries.pool_performance(tx, POOL, RATE, size_s=DAY_S, **span)
    assert sizes == {HOUR_S, DAY_S}
    assert sum(point.counts.accepted for point in days) == len(shares)
