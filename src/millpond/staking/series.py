"""A pool's history thinned out to a few points, for charts."""

from __future__ import annotations

from sqlalchemy import func, select

from millpond.staking.info import HistoryRow
from millpond.staking.tables import history_table
from millpond.store import Tx

MAX_POINTS = 1_000
_H = history_table.c


async def series(tx: Tx, pool_id: str, *, since_ms: int, step_ms: int) -> list[HistoryRow]:
    """The last row of each step since then, oldest first.

    Args:
        tx: A transaction.
        pool_id: The pool.
        since_ms: From when on, Unix milliseconds.
        step_ms: Length of a step; steps are counted from 1970.
    """
    assert step_ms > 0, "a step takes some time"
    step = _H.at_ms - _H.at_ms % step_ms
    last = (
        select(func.max(_H.at_ms)).where(_H.pool_id == pool_id, _H.at_ms >= since_ms).group_by(step)
    )
    query = (
        select(history_table)
        .where(_H.pool_id == pool_id, _H.at_ms.in_(last))
        .order_by(_H.at_ms.desc())
        .limit(MAX_POINTS)
    )
    rows = (await tx.execute(query)).mappings().all()
    return [HistoryRow(**row) for row in reversed(rows)]
