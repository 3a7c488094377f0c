"""What the API and the pages ask of the folds; every function reads one snapshot."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, and_, distinct, func, select

from millpond.errors import InvalidInputError
from millpond.mining.folds.figures import (
    WINDOW_S,
    Counts,
    MinerStats,
    Point,
    PoolStats,
    Rate,
    RejectCount,
    WorkerStats,
    window_seconds,
    window_start_s,
)
from millpond.mining.folds.tables import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    NO_BITS,
    SIZES_S,
    join_sum,
    mining_worker,
    pool_slice,
    pool_state,
    reject_slice,
    worker_slice,
)
from millpond.store import Tx

MAX_POINTS = 2_000
MAX_ROWS = 1_000


class SeriesError(InvalidInputError):
    """A performance series was asked for that is not kept or too long."""

    code = "invalid_series"


async def pool_stats(tx: Tx, pool_id: str, rate: Rate, *, now_ms: int) -> PoolStats:
    """The figures of one pool; zeros for a pool without shares."""
    worker = mining_worker.c
    is_active = worker.last_share_ms > now_ms - WINDOW_S * 1000
    mine = worker.pool_id == pool_id
    totals = await _counted(tx, mine)
    active = await _counted(tx, and_(mine, is_active))
    state = (await tx.execute(select(pool_state).where(pool_state.c.pool_id == pool_id))).first()
    day = await _pool_counts(tx, pool_id, MINUTE_S, (now_ms // 1000 - DAY_S) // 60 * 60 + 60)
    window = await _pool_counts(tx, pool_id, MINUTE_S, window_start_s(now_ms))
    seconds = window_seconds(now_ms, totals[2] or 0)
    return PoolStats(
        pool_id=pool_id,
        total_miners=totals[0],
        active_miners=active[0],
        total_workers=totals[1],
        active_workers=active[1],
        total_shares_24h=day.accepted,
        pool_hashrate=rate.per_second(window.accepted_sum, seconds),
        current_target=rate.target_hex(state.network_difficulty if state else 0),
        network_difficulty=state.network_difficulty if state else 0,
        height=state.height if state else 0,
        last_share_ms=state.last_share_ms if state else None,
        shares_24h=day,
    )


async def workers(
    tx: Tx,
    pool_id: str,
    rate: Rate,
    *,
    now_ms: int,
    wallet: str | None = None,
    names: Collection[str] | None = None,
    latest: bool = False,
    after: str = "",
    limit: int = 100,
) -> list[WorkerStats]:
    """Workers of a pool, or of one address in it, in the order of their names.

    Args:
        tx: A snapshot.
        pool_id: The pool.
        rate: Of the pool's coin.
        now_ms: The time.
        wallet: Only workers of this address.
        names: Only these workers.
        latest: In the order of their last shares instead, the newest first.
        after: Last name of the page before.
        limit: Most rows, up to 1,000.
    """
    column = mining_worker.c
    query = select(mining_worker).where(column.pool_id == pool_id, column.worker > after)
    if wallet is not None:
        query = query.where(column.wallet == wallet)
    if names is not None:
        query = query.where(column.worker.in_(tuple(names)[:MAX_ROWS]))
    order = (column.last_share_ms.desc(), column.worker) if latest else (column.worker,)
    query = query.order_by(*order).limit(min(limit, MAX_ROWS))
    rows = (await tx.execute(query)).all()
    ids = [row.id for row in rows]
    window = await _counts_by_worker(tx, ids, MINUTE_S, window_start_s(now_ms))
    day = await _counts_by_worker(tx, ids, HOUR_S, _day_of_hours(now_ms))
    return [
        WorkerStats(
            pool_id=pool_id,
            worker=row.worker,
            wallet=row.wallet,
            worker_name=row.worker.partition(".")[2],
            online=row.last_share_ms > now_ms - WINDOW_S * 1000,
            hashrate=rate.per_second(
                window.get(row.id, Counts()).accepted_sum,
                window_seconds(now_ms, row.first_share_ms),
            ),
            difficulty=row.difficulty,
            best_bits=row.best_bits,
            first_share_ms=row.first_share_ms,
            last_share_ms=row.last_share_ms,
            shares_24h=day.get(row.id, Counts()),
        )
        for row in rows
    ]


async def miner_stats(
    tx: Tx, pool_id: str, wallet: str, rate: Rate, *, now_ms: int
) -> MinerStats | None:
    """One address in one pool; None if it never sent a share there."""
    found = await _miners(tx, pool_id, rate, now_ms, mining_worker.c.wallet == wallet)
    return found[0] if found else None


async def miners(
    tx: Tx, pool_id: str, rate: Rate, *, now_ms: int, limit: int = 100, active_only: bool = True
) -> list[MinerStats]:
    """The addresses of a pool, the fastest first."""
    where = mining_worker.c.last_share_ms > (now_ms - WINDOW_S * 1000 if active_only else -1)
    found = await _miners(tx, pool_id, rate, now_ms, where)
    found.sort(key=lambda miner: (-miner.hashrate, miner.wallet))
    return found[:limit]


async def pool_performance(
    tx: Tx, pool_id: str, rate: Rate, *, from_ms: int, to_ms: int, size_s: int
) -> list[Point]:
    """A pool's series in slices of 60, 3,600 or 86,400 seconds; empty slices are left out.

    Raises:
        SeriesError: No such slices, or too many of them.
    """
    _check_series(from_ms, to_ms, size_s)
    return await _series(
        tx, pool_slice, pool_slice.c.pool_id == pool_id, rate, (from_ms, to_ms, size_s)
    )


async def miner_performance(
    tx: Tx, pool_id: str, wallet: str, rate: Rate, *, from_ms: int, to_ms: int, size_s: int
) -> list[Point]:
    """The series of all workers of an address, added up; as `pool_performance`."""
    _check_series(from_ms, to_ms, size_s)
    ids = select(mining_worker.c.id).where(
        mining_worker.c.pool_id == pool_id, mining_worker.c.wallet == wallet
    )
    where = worker_slice.c.worker_id.in_(ids)
    return await _series(tx, worker_slice, where, rate, (from_ms, to_ms, size_s))


async def worker_performance(
    tx: Tx, pool_id: str, worker: str, rate: Rate, *, from_ms: int, to_ms: int, size_s: int
) -> list[Point]:
    """The series of one worker; as `pool_performance`."""
    _check_series(from_ms, to_ms, size_s)
    ids = select(mining_worker.c.id).where(
        mining_worker.c.pool_id == pool_id, mining_worker.c.worker == worker
    )
    where = worker_slice.c.worker_id.in_(ids)
    return await _series(tx, worker_slice, where, rate, (from_ms, to_ms, size_s))


async def rejects(
    tx: Tx, pool_id: str, *, now_ms: int, wallet: str | None = None
) -> list[RejectCount]:
    """Rejected shares of the last 24 hours (to the hour) by reason, the most frequent first."""
    column = reject_slice.c
    query = (
        select(
            column.reason,
            func.sum(column.count).label("count"),
            func.sum(column.sum_hi).label("hi"),
            func.sum(column.sum_lo).label("lo"),
        )
        .join(mining_worker, mining_worker.c.id == column.worker_id)
        .where(
            mining_worker.c.pool_id == pool_id,
            column.size_s == HOUR_S,
            column.start_s >= _day_of_hours(now_ms),
        )
        .group_by(column.reason)
    )
    if wallet is not None:
        query = query.where(mining_worker.c.wallet == wallet)
    found = [
        RejectCount(reason=row.reason, count=int(row[1]), difficulty_sum=join_sum(row.hi, row.lo))
        for row in await tx.execute(query)
    ]
    return sorted(found, key=lambda entry: (-entry.count, entry.reason))


def _day_of_hours(now_ms: int) -> int:
    return now_ms // 3_600_000 * HOUR_S - 23 * HOUR_S


def _summed(table: Table) -> list[ColumnElement[Any]]:
    names = ("accepted", "stale", "rejected")
    halves = [f"{name}_{half}" for name in names for half in ("hi", "lo")]
    return [func.sum(table.c[name]).label(name) for name in (*names, *halves)]


def _counts(row: Row[Any]) -> Counts:
    if row.accepted is None:
        return Counts()
    return Counts(
        accepted=int(row.accepted),
        stale=int(row.stale),
        rejected=int(row.rejected),
        accepted_sum=join_sum(row.accepted_hi, row.accepted_lo),
        stale_sum=join_sum(row.stale_hi, row.stale_lo),
        rejected_sum=join_sum(row.rejected_hi, row.rejected_lo),
    )


async def _counted(tx: Tx, where: ColumnElement[bool]) -> tuple[int, int, int | None]:
    """Addresses, workers and the first share."""
    column = mining_worker.c
    query = select(
        func.count(distinct(column.wallet)), func.count(), func.min(column.first_share_ms)
    ).where(where)
    row = (await tx.execute(query)).one()
    return int(row[0]), int(row[1]), row[2]


async def _pool_counts(tx: Tx, pool_id: str, size_s: int, from_s: int) -> Counts:
    column = pool_slice.c
    query = select(*_summed(pool_slice)).where(
        column.pool_id == pool_id, column.size_s == size_s, column.start_s >= from_s
    )
    return _counts((await tx.execute(query)).one())


async def _counts_by_worker(
    tx: Tx, ids: Sequence[int], size_s: int, from_s: int
) -> dict[int, Counts]:
    column = worker_slice.c
    result: dict[int, Counts] = {}
    for first in range(0, len(ids), 500):
        query = (
            select(column.worker_id, *_summed(worker_slice))
            .where(
                column.worker_id.in_(ids[first : first + 500]),
                column.size_s == size_s,
                column.start_s >= from_s,
            )
            .group_by(column.worker_id)
        )
        result.update((row.worker_id, _counts(row)) for row in await tx.execute(query))
    return result


async def _miners(
    tx: Tx, pool_id: str, rate: Rate, now_ms: int, where: ColumnElement[bool]
) -> list[MinerStats]:
    query = select(mining_worker).where(mining_worker.c.pool_id == pool_id, where)
    rows = (await tx.execute(query)).all()
    ids = [row.id for row in rows]
    window = await _counts_by_worker(tx, ids, MINUTE_S, window_start_s(now_ms))
    day = await _counts_by_worker(tx, ids, HOUR_S, _day_of_hours(now_ms))
    by_wallet: dict[str, list[Row[Any]]] = {}
    for row in rows:
        by_wallet.setdefault(row.wallet, []).append(row)
    return [
        MinerStats(
            pool_id=pool_id,
            wallet=wallet,
            workers=len(mine),
            active_workers=sum(row.last_share_ms > now_ms - WINDOW_S * 1000 for row in mine),
            hashrate=rate.per_second(
                sum(window.get(row.id, Counts()).accepted_sum for row in mine),
                window_seconds(now_ms, min(row.first_share_ms for row in mine)),
            ),
            best_bits=min((row.best_bits for row in mine), default=NO_BITS),
            first_share_ms=min(row.first_share_ms for row in mine),
            last_share_ms=max(row.last_share_ms for row in mine),
            shares_24h=add_counts(day.get(row.id, Counts()) for row in mine),
        )
        for wallet, mine in sorted(by_wallet.items())
    ]


def add_counts(counts: Iterable[Counts]) -> Counts:
    """Sum of counts."""
    listed = list(counts)
    names = Counts.__struct_fields__
    return Counts(**{name: sum(getattr(each, name) for each in listed) for name in names})


def _check_series(from_ms: int, to_ms: int, size_s: int) -> None:
    if size_s not in SIZES_S:
        raise SeriesError("a series comes in slices of 60, 3600 or 86400 seconds")
    if not 0 <= from_ms <= to_ms or (to_ms - from_ms) // (size_s * 1000) > MAX_POINTS:
        raise SeriesError(f"a series goes forward and has at most {MAX_POINTS} points")


async def _series(
    tx: Tx,
    table: Table,
    where: ColumnElement[bool],
    rate: Rate,
    span: tuple[int, int, int],
) -> list[Point]:
    from_ms, to_ms, size_s = span
    column = table.c
    query = (
        select(column.start_s, *_summed(table))
        .where(
            where,
            column.size_s == size_s,
            column.start_s >= from_ms // 1000 // size_s * size_s,
            column.start_s <= to_ms // 1000,
        )
        .group_by(column.start_s)
        .order_by(column.start_s)
    )
    points = []
    for row in await tx.execute(query):
        counts = _counts(row)
        # The slice that is still open is divided by what has passed of it.
        seconds = min(size_s, max(to_ms / 1000 - row.start_s, 1))
        points.append(
            Point(
                start_ms=row.start_s * 1000,
                seconds=size_s,
                hashrate=rate.per_second(counts.accepted_sum, seconds),
                counts=counts,
            )
        )
    return points
