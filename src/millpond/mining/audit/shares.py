"""The share log against itself, and the folds against the share log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from sqlalchemy import select

from millpond.mining.blocks.pps import terms_held
from millpond.mining.blocks.tables import block, pps_account
from millpond.mining.folds.deltas import Tally
from millpond.mining.folds.service import checkpoints
from millpond.mining.folds.statistics import deltas_of
from millpond.mining.folds.tables import (
    DAY_S,
    fold_checkpoint,
    join_sum,
    mining_worker,
    pool_slice,
    worker_slice,
)
from millpond.mining.rewards.pps import FRACTION_BITS
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.mining.sharelog.records import BlockMark, DecodedGroup, Position
from millpond.money.report import Row, compare, only_drifts
from millpond.store import Tx

_BATCH = 500

Figures = tuple[int, int, int, int]
"""Accepted shares, their difficulty sum, stale and rejected shares."""


@dataclass(slots=True)
class Recount:
    """What the whole share log adds up to, up to the folds' checkpoints."""

    by_worker: defaultdict[tuple[str, int], Tally] = field(
        default_factory=lambda: defaultdict(Tally)
    )
    by_day: defaultdict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    worth: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    marks: list[tuple[BlockMark, Position]] = field(default_factory=list)
    shares: int = 0
    groups: int = 0
    unfolded: int = 0
    oldest_whole_day: int = 0


async def check_chain(log: ShareLogReader, pool_id: str) -> list[Row]:
    """Every hash, and every group's place behind the one before."""
    verified = await log.verify(pool_id)
    faults = [
        compare(
            "sharelog_chain", f"{pool_id} {fault.edge}/{fault.sequence}", "intact", fault.reason
        )
        for fault in verified.faults
    ]
    if faults:
        return only_drifts("sharelog_chain", pool_id, faults, "groups")
    what = f"{verified.groups} groups, {verified.shares} shares"
    return [compare("sharelog_chain", pool_id, what, what)]


async def recount(tx: Tx, log: ShareLogReader, pool_id: str) -> Recount:
    """Add up the log as the folds did, from the oldest group that is there."""
    ends = {row.fold: row.position for row in await checkpoints(tx, pool_id)}
    result = Recount()
    held = await terms_held(tx, pool_id)
    first = True
    async for groups in _batches(log, pool_id):
        if first and groups[0].group.sequence > 1:
            # Older groups were archived: the day they end in cannot be recounted.
            result.oldest_whole_day = groups[0].group.first_ms // 1000 // DAY_S * DAY_S + DAY_S
        first = False
        _add_statistics(
            result, [g for g in groups if g.position.group <= ends.get("statistics", 0)]
        )
        result.unfolded += sum(g.position.group > ends.get("statistics", 0) for g in groups)
        for group in groups:
            if group.position.group <= ends.get("rounds", 0):
                place = group.position.group
                result.marks += [(mark, Position(place, mark.share)) for mark in group.blocks]
        for terms in held:
            for group in groups:
                if terms.position < group.position.group <= terms.until:
                    for wallet, value in terms.terms.worth(group).items():
                        result.worth[wallet] += value
    return result


async def check_folds(tx: Tx, pool_id: str, counted: Recount) -> list[Row]:
    """Slices of a day, for workers and for the pool, and the checkpoint's own count."""
    lag = f"{counted.unfolded} newer groups are not folded yet" if counted.unfolded else ""
    query = select(fold_checkpoint.c.groups, fold_checkpoint.c.shares).where(
        fold_checkpoint.c.pool_id == pool_id, fold_checkpoint.c.fold == "statistics"
    )
    row = (await tx.execute(query)).first()
    rows = []
    if not counted.oldest_whole_day:
        said = (row.groups, row.shares) if row else (0, 0)
        done = (counted.groups, counted.shares)
        rows.append(compare("fold_checkpoint", pool_id, done, said, lag))
    rows += only_drifts(
        "fold_workers",
        pool_id,
        _compare_days("fold_workers", _worker_days(counted), await _worker_slices(tx, pool_id)),
        "worker days",
    )
    expected = {(pool_id, day): _figures(tally) for day, tally in counted.by_day.items()}
    rows += only_drifts(
        "fold_pool",
        pool_id,
        _compare_days("fold_pool", expected, await _pool_slices(tx, pool_id, counted)),
        "days",
    )
    return rows


async def check_marks(tx: Tx, pool_id: str, counted: Recount) -> list[Row]:
    """Each block of the log has its row, with what the log says of it."""
    query = select(block).where(block.c.pool_id == pool_id)
    known = {row.block_hash: row for row in await tx.execute(query)}
    rows = []
    for mark, place in counted.marks:
        row = known.get(mark.block_hash)
        expected = (mark.height, mark.worker, mark.coinbase_value, mark.network_difficulty)
        found: object = "no row"
        if row is not None:
            found = (row.height, row.worker, row.reward, row.network_difficulty)
            if not row.adopted and (row.position, row.share_index) != place:
                found = f"stands at {row.position}/{row.share_index}, not {place}"
        rows.append(compare("block_marks", mark.block_hash, expected, found))
    return only_drifts("block_marks", pool_id, rows, "blocks")


async def check_purchases(tx: Tx, pool_id: str, counted: Recount) -> list[Row]:
    """Under PPS: what shares are worth is what was paid and carried."""
    query = select(pps_account).where(pps_account.c.pool_id == pool_id, pps_account.c.wallet != "")
    found = {row.wallet: (row.paid << FRACTION_BITS) + row.carry for row in await tx.execute(query)}
    why = "in 2**-64 base units, by the terms that each share was bought by"
    return only_drifts(
        "pps_worth",
        pool_id,
        (
            compare("pps_worth", wallet, counted.worth.get(wallet, 0), found.get(wallet, 0), why)
            for wallet in sorted(found.keys() | counted.worth.keys())
        ),
        "addresses",
    )


async def _batches(log: ShareLogReader, pool_id: str) -> AsyncIterator[list[DecodedGroup]]:
    after: Position | None = None
    while groups := await log.groups(pool_id, after, _BATCH):
        yield groups
        after = groups[-1].position


def _add_statistics(result: Recount, groups: list[DecodedGroup]) -> None:
    deltas = deltas_of(groups)
    result.shares += deltas.shares
    result.groups += len(groups)
    for key, tally in deltas.by_worker(DAY_S).items():
        result.by_worker[key].add(tally)
    for day, tally in deltas.by_start(DAY_S).items():
        result.by_day[day].add(tally)


def _figures(tally: Tally) -> Figures:
    return tally.accepted, tally.accepted_sum, tally.stale, tally.rejected


def _worker_days(counted: Recount) -> dict[tuple[str, int], Figures]:
    return {
        key: _figures(tally)
        for key, tally in counted.by_worker.items()
        if key[1] >= counted.oldest_whole_day
    }


async def _worker_slices(tx: Tx, pool_id: str) -> dict[tuple[str, int], Figures]:
    query = (
        select(worker_slice, mining_worker.c.worker)
        .join(mining_worker, mining_worker.c.id == worker_slice.c.worker_id)
        .where(mining_worker.c.pool_id == pool_id, worker_slice.c.size_s == DAY_S)
    )
    return {
        (row.worker, row.start_s): (
            row.accepted,
            join_sum(row.accepted_hi, row.accepted_lo),
            row.stale,
            row.rejected,
        )
        for row in await tx.execute(query)
    }


async def _pool_slices(tx: Tx, pool_id: str, counted: Recount) -> dict[tuple[str, int], Figures]:
    query = select(pool_slice).where(
        pool_slice.c.pool_id == pool_id,
        pool_slice.c.size_s == DAY_S,
        pool_slice.c.start_s >= counted.oldest_whole_day,
    )
    return {
        (pool_id, row.start_s): (
            row.accepted,
            join_sum(row.accepted_hi, row.accepted_lo),
            row.stale,
            row.rejected,
        )
        for row in await tx.execute(query)
    }


def _compare_days(
    check: str,
    expected: dict[tuple[str, int], Figures],
    found: dict[tuple[str, int], Figures],
) -> Iterator[Row]:
    nothing = (0, 0, 0, 0)
    for name, day in sorted(expected.keys() | found.keys()):
        yield compare(
            check,
            f"{name} day {day // DAY_S}",
            expected.get((name, day), nothing),
            found.get((name, day), nothing),
            "accepted, difficulty, stale, rejected",
        )
