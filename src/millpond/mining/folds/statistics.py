"""The fold that makes the statistics."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from millpond.mining.folds.deltas import Deltas, Seen
from millpond.mining.folds.tables import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    mining_worker,
    pool_slice,
    pool_state,
    reject_slice,
    worker_slice,
)
from millpond.mining.folds.writing import apply
from millpond.mining.sharelog.records import DecodedGroup, RejectReason
from millpond.store import Tx

WORKER_MINUTES_S = 3 * HOUR_S
POOL_MINUTES_S = 2 * DAY_S
HOURS_S = 62 * DAY_S
"""How long slices of a length are kept; days are kept for ever."""


class Statistics:
    """Slices, workers and the pool's state, from nothing but the share log."""

    name = "statistics"
    from_now = False

    async def fold(
        self, tx: Tx, pool_id: str, groups: Sequence[DecodedGroup], *, after: int
    ) -> None:
        """Add groups that were not added before."""
        del after
        await apply(tx, pool_id, deltas_of(groups))

    async def reset(self, tx: Tx, pool_id: str) -> None:
        """Forget all statistics of a pool, so that they can be folded anew."""
        mine = select(mining_worker.c.id).where(mining_worker.c.pool_id == pool_id)
        await tx.execute(delete(worker_slice).where(worker_slice.c.worker_id.in_(mine)))
        await tx.execute(delete(reject_slice).where(reject_slice.c.worker_id.in_(mine)))
        for table in (pool_slice, pool_state, mining_worker):
            await tx.execute(delete(table).where(table.c.pool_id == pool_id))


def deltas_of(groups: Sequence[DecodedGroup]) -> Deltas:
    """Sum groups; the order of the groups matters only for "newest"."""
    deltas = Deltas()
    for group in groups:
        _add_shares(deltas, group)
        for worker, reason, count, difficulty in group.rejects:
            stale = reason is RejectReason.STALE
            at_ms, name = group.group.first_ms, reason.name.lower()
            deltas.reject(worker, at_ms, name, (count, difficulty), stale=stale)
    return deltas


def _add_shares(deltas: Deltas, group: DecodedGroup) -> None:
    if not group.rows:
        return
    first_ms = group.group.first_ms
    # [count, difficulty sum, first, last, difficulty, best] by worker and minute.
    sums: dict[tuple[int, int], list[int]] = {}
    for delta, worker, _, difficulty, bits in group.rows:
        at_ms = first_ms + delta
        key = (worker, at_ms // 60_000)
        entry = sums.get(key)
        if entry is None:
            sums[key] = [1, difficulty, at_ms, at_ms, difficulty, bits]
            continue
        entry[0] += 1
        entry[1] += difficulty
        entry[3] = at_ms
        entry[4] = difficulty
        entry[5] = min(entry[5], bits)
    for (worker, minute), (count, total, first, last, difficulty, best) in sums.items():
        deltas.accept(
            group.workers[worker],
            minute * MINUTE_S,
            Seen(first, last, difficulty, best),
            count,
            total,
        )
    newest = group.rows[-1]
    deltas.last_ms = first_ms + newest[0]
    deltas.height, deltas.network_difficulty = group.jobs[newest[2]]


async def prune(tx: Tx, *, now_ms: int) -> int:
    """Drop fine slices that are older than they are kept; returns how many."""
    now_s = now_ms // 1000
    removed = 0
    for table, size_s, kept_s in (
        (worker_slice, MINUTE_S, WORKER_MINUTES_S),
        (pool_slice, MINUTE_S, POOL_MINUTES_S),
        (worker_slice, HOUR_S, HOURS_S),
        (reject_slice, HOUR_S, HOURS_S),
    ):
        old = (table.c.size_s == size_s) & (table.c.start_s < now_s - kept_s)
        removed += (await tx.execute(delete(table).where(old))).rowcount
    return removed
