"""Adding deltas to the tables; the only writer of the statistics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, case, select

from millpond.mining.folds.deltas import Deltas, Tally
from millpond.mining.folds.tables import (
    DAY_S,
    HOUR_S,
    SIZES_S,
    mining_worker,
    pool_slice,
    pool_state,
    reject_slice,
    split_sum,
    worker_slice,
)
from millpond.store import Tx
from millpond.store.sql import insert_into

_KEYS_PER_QUERY = 500
_ADDED = (
    *("accepted", "stale", "rejected"),
    *("accepted_hi", "accepted_lo", "stale_hi", "stale_lo", "rejected_hi", "rejected_lo"),
)


def upsert(
    tx: Tx,
    table: Table,
    *,
    add: Iterable[str] = (),
    least: Iterable[str] = (),
    greatest: Iterable[str] = (),
    replace: Iterable[str] = (),
    key: Sequence[str] = (),
) -> Any:
    """An INSERT that on a known key combines the old row with the new.

    Args:
        tx: The transaction, for its dialect.
        table: Where to.
        add: Columns whose values are added.
        least: Columns whose smaller value stays.
        greatest: Columns whose larger value stays.
        replace: Columns that take the new value.
        key: Columns of the unique key; by default the primary key.
    """
    statement = insert_into(tx, table)
    new, old = statement.excluded, table.c
    changes: dict[str, ColumnElement[Any]] = {name: old[name] + new[name] for name in add}
    for name in least:
        changes[name] = case((new[name] < old[name], new[name]), else_=old[name])
    for name in greatest:
        changes[name] = case((new[name] > old[name], new[name]), else_=old[name])
    for name in replace:
        changes[name] = new[name]
    target = list(key) or [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(index_elements=target, set_=changes)


async def apply(tx: Tx, pool_id: str, deltas: Deltas) -> None:
    """Add `deltas` of one pool to every table of the folds."""
    if not deltas.seen:
        return
    ids = await _workers(tx, pool_id, deltas)
    for size_s in SIZES_S:
        tallies = deltas.by_worker(size_s)
        await _add(
            tx,
            worker_slice,
            [
                {"worker_id": ids[worker], "size_s": size_s, "start_s": start, **_row(tally)}
                for (worker, start), tally in sorted(tallies.items())
            ],
        )
        await _add(
            tx,
            pool_slice,
            [
                {"pool_id": pool_id, "size_s": size_s, "start_s": start, **_row(tally)}
                for start, tally in sorted(deltas.by_start(size_s).items())
            ],
        )
    await _add_rejects(tx, ids, deltas)
    await _set_state(tx, pool_id, deltas)


def _row(tally: Tally) -> dict[str, int]:
    row = {
        "accepted": tally.accepted,
        "stale": tally.stale,
        "rejected": tally.rejected,
        "best_bits": tally.best_bits,
    }
    for name in ("accepted", "stale", "rejected"):
        row[f"{name}_hi"], row[f"{name}_lo"] = split_sum(getattr(tally, f"{name}_sum"))
    return row


async def _add(tx: Tx, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        await tx.execute(upsert(tx, table, add=_ADDED, least=["best_bits"]), rows)


async def _add_rejects(tx: Tx, ids: Mapping[str, int], deltas: Deltas) -> None:
    rows = []
    for size_s in (HOUR_S, DAY_S):
        for (worker, reason, start), (count, total) in sorted(deltas.rejects_by(size_s).items()):
            high, low = split_sum(total)
            rows.append(
                {
                    "worker_id": ids[worker],
                    "size_s": size_s,
                    "start_s": start,
                    "reason": reason,
                    "count": count,
                    "sum_hi": high,
                    "sum_lo": low,
                }
            )
    if rows:
        await tx.execute(upsert(tx, reject_slice, add=["count", "sum_hi", "sum_lo"]), rows)


async def _set_state(tx: Tx, pool_id: str, deltas: Deltas) -> None:
    if not deltas.shares:
        return
    row = {
        "pool_id": pool_id,
        "height": deltas.height,
        "network_difficulty": deltas.network_difficulty,
        "last_share_ms": deltas.last_ms,
    }
    replace = ["height", "network_difficulty", "last_share_ms"]
    await tx.execute(upsert(tx, pool_state, replace=replace), [row])


async def _workers(tx: Tx, pool_id: str, deltas: Deltas) -> dict[str, int]:
    """Update the rows of all workers seen and return their ids."""
    plain: list[dict[str, Any]] = []
    working: list[dict[str, Any]] = []
    for worker, seen in sorted(deltas.seen.items()):
        row = {
            "pool_id": pool_id,
            "worker": worker,
            "wallet": worker.partition(".")[0],
            "first_share_ms": seen.first_ms,
            "last_share_ms": seen.last_ms,
            "difficulty": seen.difficulty,
            "best_bits": seen.best_bits,
        }
        (working if seen.difficulty else plain).append(row)
    key = ["pool_id", "worker"]
    least, greatest = ["first_share_ms", "best_bits"], ["last_share_ms"]
    if plain:
        statement = upsert(tx, mining_worker, key=key, least=least, greatest=greatest)
        await tx.execute(statement, plain)
    if working:
        statement = upsert(
            tx, mining_worker, key=key, least=least, greatest=greatest, replace=["difficulty"]
        )
        await tx.execute(statement, working)
    return await worker_ids(tx, pool_id, list(deltas.seen))


async def worker_ids(tx: Tx, pool_id: str, workers: Sequence[str]) -> dict[str, int]:
    """Ids of the workers that are known."""
    result: dict[str, int] = {}
    for first in range(0, len(workers), _KEYS_PER_QUERY):
        part = workers[first : first + _KEYS_PER_QUERY]
        rows = await tx.execute(
            select(mining_worker.c.worker, mining_worker.c.id).where(
                mining_worker.c.pool_id == pool_id, mining_worker.c.worker.in_(part)
            )
        )
        result.update((row.worker, row.id) for row in rows)
    return result
