"""Claiming rows of a work table, so that no two workers get the same one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, select, update

from millpond.store.engine import Tx
from millpond.store.sql import any_of

MAX_CLAIM = 1000
"""Most rows claimed in one call."""


async def claim(
    tx: Tx,
    table: Table,
    where: ColumnElement[bool],
    *,
    order_by: ColumnElement[Any],
    values: Mapping[str, Any],
    limit: int,
) -> list[Row[Any]]:
    """Mark up to `limit` rows as taken and return them as they are now.

    On PostgreSQL rows that another transaction holds are skipped (`FOR UPDATE
    SKIP LOCKED`), so workers do not wait for each other; on SQLite the write
    transaction is alone. In either case `values` must make the rows fall out
    of `where` (a lease that lies in the future), or the next worker takes
    them too.

    Args:
        tx: A write transaction.
        table: A table whose primary key is one column.
        where: Which rows are free.
        order_by: Which first.
        values: What marks a row as taken, such as `locked_by` and `locked_until_ms`.
        limit: How many at most.

    Returns:
        The claimed rows, in the order of `order_by` as it was before.
    """
    assert 0 < limit <= MAX_CLAIM, f"1 to {MAX_CLAIM} rows are claimed at once"
    (key,) = table.primary_key.columns
    free = select(key).where(where).order_by(order_by, key).limit(limit)
    keys = list((await tx.execute(free.with_for_update(skip_locked=True))).scalars())
    if not keys:
        return []
    taken = update(table).where(any_of(tx, key, keys)).values(values).returning(*table.columns)
    rows = {row._mapping[key]: row for row in await tx.execute(taken)}  # noqa: SLF001 - its public name
    assert rows.keys() == set(keys), "what was locked was updated"
    return [rows[each] for each in keys]
