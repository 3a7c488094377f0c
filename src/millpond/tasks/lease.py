"""The right to run a task: who has it, and whether they still do."""

from __future__ import annotations

from contextvars import ContextVar

import msgspec
from sqlalchemy import select

from millpond.errors import UnavailableError
from millpond.store import Tx
from millpond.tasks.tables import task_table

_T = task_table.c


class TaskLeaseLostError(UnavailableError):
    """Another process has taken the task over; what this one does comes too late."""

    code = "task_lease_lost"


class Lease(msgspec.Struct, frozen=True):
    """A claim of a task.

    Attributes:
        task: Its name.
        fence: Number of the claim; a later claim has a larger one.
    """

    task: str
    fence: int

    async def guard(self, tx: Tx) -> None:
        """Make sure that the claim is the latest one, until the transaction ends.

        A process that slept through its lease is refused here, so that nothing
        of what it computed long ago is written over what others have done since.

        Raises:
            TaskLeaseLostError: Another process has taken the task over.
        """
        mine = select(_T.fence).where(_T.name == self.task, _T.fence == self.fence)
        if (await tx.execute(mine.with_for_update())).first() is None:
            raise TaskLeaseLostError("another process has taken the task over", task=self.task)


_CURRENT: ContextVar[Lease | None] = ContextVar("millpond_task_lease", default=None)


def current_lease() -> Lease | None:
    """The claim under which this code runs; None outside of a task."""
    return _CURRENT.get()


def under(lease: Lease) -> None:
    """Say under which claim this asyncio task runs from now on."""
    _CURRENT.set(lease)


async def still_ours(tx: Tx) -> None:
    """Guard a transaction of a task's run; outside of a task there is nothing to guard.

    Raises:
        TaskLeaseLostError: Another process has taken the task over.
    """
    lease = current_lease()
    if lease is not None:
        await lease.guard(tx)
