"""Reading and writing the rows of tasks: registering, asking, claiming, ending."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import RowMapping, and_, or_, select, update

from millpond.clock import Clock
from millpond.store import Tx
from millpond.store.sql import any_of, insert_or_ignore
from millpond.tasks.lease import Lease, TaskLeaseLostError
from millpond.tasks.model import Task, TaskNotFoundError, TaskStatus
from millpond.tasks.tables import task_table

_T = task_table.c

_MAX_TEXT = 500

_SKEW_MS = 600_000
"""Machines' clocks differ by less; a row further ahead was written before a clock went back."""

DIED = "the process that ran it went away without a word"


async def list_tasks(tx: Tx, clock: Clock) -> list[TaskStatus]:
    """All tasks by name."""
    rows = (await tx.execute(select(task_table).order_by(_T.name))).mappings()
    return [_status(row, clock.now_ms()) for row in rows]


async def get_task(tx: Tx, name: str, clock: Clock) -> TaskStatus:
    """One task.

    Raises:
        TaskNotFoundError: There is none of that name.
    """
    row = (await tx.execute(select(task_table).where(_T.name == name))).mappings().first()
    if row is None:
        raise TaskNotFoundError("no task has that name", task=name)
    return _status(row, clock.now_ms())


async def run_now(tx: Tx, name: str, actor: str, clock: Clock) -> TaskStatus:
    """Ask for a run by hand: whichever process is free runs it, after one that is under way.

    Asking again before it has begun changes nothing.

    Raises:
        TaskNotFoundError: There is none of that name.
    """
    await tx.execute(
        update(task_table)
        .where(_T.name == name, _T.requested_ms.is_(None))
        .values(requested_ms=clock.now_ms(), requested_by=actor)
    )
    return await get_task(tx, name, clock)


async def register(tx: Tx, task: Task, *, now_ms: int, uniform: float) -> None:
    """Write a task's row, or its terms where they have changed."""
    interval_ms, jitter_ms = round(task.interval_s * 1000), round(task.jitter_s * 1000)
    fresh = {
        "name": task.name,
        "interval_ms": interval_ms,
        "jitter_ms": jitter_ms,
        "next_ms": now_ms + round(jitter_ms * uniform),
        "last_lag_ms": 0,
        "fence": 0,
        "requested_by": "",
        "last_result": "",
        "last_error": "",
        "runs": 0,
        "failures": 0,
        "failing": 0,
    }
    await tx.execute(insert_or_ignore(tx, task_table).values(fresh))
    changed = or_(_T.interval_ms != interval_ms, _T.jitter_ms != jitter_ms)
    await tx.execute(
        update(task_table)
        .where(_T.name == task.name, changed)
        .values(interval_ms=interval_ms, jitter_ms=jitter_ms)
    )
    latest_ms = now_ms + interval_ms + jitter_ms
    await tx.execute(
        update(task_table)
        .where(_T.name == task.name, _T.next_ms > latest_ms)
        .values(next_ms=latest_ms)
    )


def _due(now_ms: int) -> Any:
    # Written by a clock that was ahead and was put right: waiting for it would be a day's rest.
    strayed = _T.next_ms - _T.interval_ms - _T.jitter_ms > now_ms + _SKEW_MS
    wanted = or_(_T.next_ms <= now_ms, strayed, _T.requested_ms.is_not(None))
    free = and_(_T.holder.is_(None), wanted)
    held_from_afar = _T.last_start_ms > now_ms + _SKEW_MS + _T.lease_until_ms - _T.last_start_ms
    return or_(free, _T.lease_until_ms <= now_ms, held_from_afar)


async def any_due(tx: Tx, names: Collection[str], now_ms: int) -> bool:
    """Whether there is something to claim; costs no lock."""
    query = select(_T.name).where(any_of(tx, _T.name, names), _due(now_ms)).limit(1)
    return (await tx.execute(query)).first() is not None


async def claim(
    tx: Tx, tasks: dict[str, Task], worker: str, *, now_ms: int, uniform: float
) -> tuple[Task, Lease, int] | None:
    """Take the task that is due longest, if any, for as long as its lease lasts.

    Returns:
        The task, the claim, and how late it begins in milliseconds.
    """
    query = (
        select(task_table)
        .where(any_of(tx, _T.name, list(tasks)), _due(now_ms))
        .order_by(_T.next_ms, _T.name)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await tx.execute(query)).mappings().first()
    if row is None:
        return None
    task = tasks[row["name"]]
    lease = Lease(task.name, row["fence"] + 1)
    lag_ms = max(0, now_ms - row["next_ms"])
    values: dict[str, Any] = {
        "holder": worker,
        "lease_until_ms": now_ms + task.lease_ms,
        "fence": lease.fence,
        "next_ms": task.next_ms(now_ms, uniform),
        "last_lag_ms": lag_ms,
        "last_start_ms": now_ms,
        "requested_ms": None,
        "requested_by": "",
    }
    if row["holder"] is not None:
        values |= {
            "last_error": DIED,
            "failures": row["failures"] + 1,
            "failing": row["failing"] + 1,
            "runs": row["runs"] + 1,
        }
    await tx.execute(update(task_table).where(_T.name == task.name).values(values))
    return task, lease, lag_ms


async def end(tx: Tx, lease: Lease, *, now_ms: int, result: str, error: str) -> None:
    """Write how a run ended and let go of the task.

    Raises:
        TaskLeaseLostError: Another process has taken it over; nothing was written.
    """
    ended: dict[str, Any] = {
        "holder": None,
        "lease_until_ms": None,
        "last_end_ms": now_ms,
        "last_error": error[:_MAX_TEXT],
        "runs": _T.runs + 1,
    }
    if error:
        ended |= {"failures": _T.failures + 1, "failing": _T.failing + 1}
    else:
        ended |= {"failing": 0, "last_result": result[:_MAX_TEXT], "last_ok_ms": now_ms}
    await _write(tx, lease, ended)


async def give_up(tx: Tx, lease: Lease, *, now_ms: int) -> None:
    """Let go of a task whose process is told to stop: another may begin it anew at once.

    Raises:
        TaskLeaseLostError: Another process has taken it over; nothing was written.
    """
    await _write(tx, lease, {"holder": None, "lease_until_ms": None, "next_ms": now_ms})


async def _write(tx: Tx, lease: Lease, values: dict[str, Any]) -> None:
    mine = (_T.name == lease.task, _T.fence == lease.fence)
    if (await tx.execute(update(task_table).where(*mine).values(values))).rowcount != 1:
        raise TaskLeaseLostError("another process has taken the task over", task=lease.task)


def _status(row: RowMapping, now_ms: int) -> TaskStatus:
    running = row["holder"] is not None
    lag_ms = 0 if running else max(0, now_ms - row["next_ms"])
    return TaskStatus(**row, running=running, lag_ms=lag_ms)
