"""What is written although the transaction in which it was found is rolled back.

A refusal ends in an exception, and the exception undoes the transaction: with
it would go the row that says what was refused. So the row is written twice
over: in the transaction, for those who go on and commit, and by `survive` in
one of its own if it is rolled back. `Store.begin` sees to it, whoever called
it: there is nothing to remember.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from prometheus_client import Counter

from millpond.store.engine import SURVIVORS, Tx

Survivor: TypeAlias = Callable[[Tx], Awaitable[None]]

MAX_SURVIVORS = 10_000
"""Most notes of one transaction; a run that is refused more often loses the rest."""

_DROPPED = Counter("millpond_store_survivors_dropped", "Notes beyond the bound of a transaction")


def survive(tx: Tx, work: Survivor) -> None:
    """Have `work` run in a transaction of its own if `tx` is rolled back.

    It runs after the roll-back and before `Store.begin` passes the exception
    on. `work` must bear that `tx` was committed after all (the connection was
    lost at the commit). What a savepoint rolls back is not noticed.

    Args:
        tx: A transaction of `Store.begin`.
        work: Called with the new transaction.
    """
    survivors: list[Survivor] = tx.info[SURVIVORS]
    if len(survivors) < MAX_SURVIVORS:
        survivors.append(work)
    else:
        _DROPPED.inc()
