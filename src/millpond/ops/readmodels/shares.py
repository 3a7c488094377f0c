"""Figures that come from shares: workers, miners, series, rejects, receipts."""

from __future__ import annotations

from millpond.api.models import (
    Miner,
    Performance,
    Point,
    Receipt,
    Reject,
    Worker,
    iso,
)
from millpond.api.pagination import Page, decode_cursor, encode_cursor
from millpond.mining.folds import figures, queries
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.mining.sharelog.records import DecodedGroup, Position
from millpond.store import Tx

DAY_S = 86_400
WINDOWS = {
    "1h": (3_600, 60, 60),
    "24h": (DAY_S, 60, 900),
    "7d": (7 * DAY_S, 3_600, 3_600),
    "30d": (30 * DAY_S, 3_600, 21_600),
}
"""For each window its length, the slices that are kept and the slices that are shown."""

_MAX_MINERS = 10_000
_GROUPS_SCANNED = 5_000
"""Groups of the log that one page of receipts looks through at most."""


def worker_model(stats: figures.WorkerStats, rate: figures.Rate) -> Worker:
    """One worker as the API tells it."""
    day = stats.shares_24h
    return Worker(
        pool_id=stats.pool_id,
        worker=stats.worker,
        wallet=stats.wallet,
        worker_name=stats.worker_name,
        active=stats.online,
        hashrate=stats.hashrate if stats.online else 0.0,
        hashrate_24h=rate.per_second(day.accepted_sum, DAY_S),
        shares_24h=day.accepted,
        rejected_24h=day.stale + day.rejected,
        last_share_at=_iso_or_none(stats.last_share_ms),
    )


def miner_model(stats: figures.MinerStats, rate: figures.Rate) -> Miner:
    """One address as the API tells it."""
    day = stats.shares_24h
    return Miner(
        pool_id=stats.pool_id,
        wallet=stats.wallet,
        active=stats.active_workers > 0,
        workers=stats.workers,
        active_workers=stats.active_workers,
        hashrate=stats.hashrate,
        hashrate_24h=rate.per_second(day.accepted_sum, DAY_S),
        shares_24h=day.accepted,
        rejected_24h=day.stale + day.rejected,
        last_share_at=_iso_or_none(stats.last_share_ms),
    )


async def miners_page(
    tx: Tx, pool_id: str, rate: figures.Rate, *, now_ms: int, limit: int, cursor: str | None
) -> Page[Miner]:
    """Addresses of a pool by their work of 24 hours, most first."""
    found = await queries.miners(
        tx, pool_id, rate, now_ms=now_ms, limit=_MAX_MINERS, active_only=False
    )
    found.sort(key=lambda miner: (-miner.shares_24h.accepted_sum, miner.wallet))
    start = _offset(cursor)
    shown = [miner_model(miner, rate) for miner in found[start : start + limit]]
    return Page(items=shown, next=_next(start, limit, len(found)))


async def workers_page(
    tx: Tx,
    pools: dict[str, figures.Rate],
    *,
    wallet: str | None,
    now_ms: int,
    limit: int,
    cursor: str | None,
) -> Page[Worker]:
    """Workers of some pools, the most recently active first."""
    found: list[tuple[int, Worker]] = []
    for pool_id, rate in pools.items():
        rows = await queries.workers(
            tx, pool_id, rate, now_ms=now_ms, wallet=wallet, limit=queries.MAX_ROWS
        )
        found += [(row.last_share_ms, worker_model(row, rate)) for row in rows]
    found.sort(key=lambda pair: (-pair[0], pair[1].worker))
    start = _offset(cursor)
    shown = [worker for _, worker in found[start : start + limit]]
    return Page(items=shown, next=_next(start, limit, len(found)))


async def performance(
    tx: Tx,
    pool_id: str,
    rate: figures.Rate,
    *,
    wallet: str | None,
    worker: str | None,
    window: str,
    now_ms: int,
) -> Performance:
    """A series in equal slices, oldest first, quiet slices as zeros."""
    length_s, kept_s, step_s = WINDOWS.get(window, WINDOWS["24h"])
    end_s = now_ms // 1000 // step_s * step_s + step_s
    start_s = end_s - length_s
    span = {"from_ms": start_s * 1000, "to_ms": now_ms, "size_s": kept_s}
    if worker is not None:
        slices = await queries.worker_performance(tx, pool_id, worker, rate, **span)
    elif wallet is not None:
        slices = await queries.miner_performance(tx, pool_id, wallet, rate, **span)
    else:
        slices = await queries.pool_performance(tx, pool_id, rate, **span)
    grouped: dict[int, list[figures.Counts]] = {}
    for point in slices:
        grouped.setdefault(point.start_ms // 1000 // step_s * step_s, []).append(point.counts)
    points = [
        _point(at_s, queries.add_counts(grouped.get(at_s, [])), rate, step_s, now_ms)
        for at_s in range(start_s, end_s, step_s)
    ]
    return Performance(window=window, step_s=step_s, points=points)


async def rejects(tx: Tx, pool_id: str, *, now_ms: int, wallet: str | None) -> list[Reject]:
    """Refused shares of a day by reason."""
    found = await queries.rejects(tx, pool_id, now_ms=now_ms, wallet=wallet)
    total = sum(row.count for row in found)
    return [
        Reject(reason=row.reason.replace("_", " "), count=row.count, fraction=row.count / total)
        for row in found
    ]


async def receipts_page(
    log: ShareLogReader, pool_id: str, wallet: str, *, limit: int, cursor: str | None
) -> Page[Receipt]:
    """Groups of the log with shares of an address, newest first; bounded work a page."""
    (below,) = decode_cursor(cursor, tuple[int]) or (None,)
    head = Position(below, -1) if below is not None else await log.head(pool_id)
    found: list[Receipt] = []
    scanned = 0
    if head is None:
        return Page(items=found)
    async for group in log.groups_before(pool_id, head):
        if below is not None and group.position.group >= below:
            continue
        scanned += 1
        receipt = receipt_of(group, wallet)
        if receipt is not None:
            found.append(receipt)
        if len(found) == limit or scanned == _GROUPS_SCANNED:
            return Page(items=found, next=encode_cursor(group.position.group))
    return Page(items=found)


def receipt_of(group: DecodedGroup, wallet: str) -> Receipt | None:
    """What a group says of an address; None if it holds nothing of it."""
    prefix = wallet + "."
    mine = {
        index
        for index, name in enumerate(group.workers)
        if name == wallet or name.startswith(prefix)
    }
    rows = [row for row in group.rows if row[1] in mine]
    if not rows:
        return None
    stored = group.group
    return Receipt(
        pool_id=stored.pool_id,
        edge=stored.edge,
        sequence=stored.sequence,
        group_hash=stored.hash.hex(),
        previous_hash=stored.previous_hash.hex(),
        first_at=iso(stored.first_ms),
        last_at=iso(stored.last_ms),
        group_shares=stored.shares,
        shares=len(rows),
        difficulty=str(sum(row[3] for row in rows)),
    )


def _point(
    at_s: int, counts: figures.Counts, rate: figures.Rate, step_s: int, now_ms: int
) -> Point:
    # The slice that runs now is averaged over what has passed of it.
    seconds = min(step_s, max(now_ms / 1000 - at_s, 1.0))
    return Point(
        at=iso(at_s * 1000),
        hashrate=rate.per_second(counts.accepted_sum, seconds),
        shares=counts.accepted,
        rejected=counts.stale + counts.rejected,
    )


def _iso_or_none(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(at_ms)


def _offset(cursor: str | None) -> int:
    (start,) = decode_cursor(cursor, tuple[int]) or (0,)
    return max(int(start), 0)


def _next(start: int, limit: int, total: int) -> str | None:
    return encode_cursor(start + limit) if start + limit < total else None
