"""Doing a transaction again when the database says that this is right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from millpond.clock import Clock, Entropy
from millpond.store.engine import Store, Tx
from millpond.store.errors import TransactionConflictError

T = TypeVar("T")

_FIRST_PAUSE_S = 0.005


async def retrying(
    store: Store,
    work: Callable[[Tx], Awaitable[T]],
    *,
    clock: Clock,
    entropy: Entropy,
    attempts: int = 5,
) -> T:
    """Run `work` in a write transaction, anew if another transaction was in its way.

    Only what the database certainly rolled back is done again, so `work` runs
    to a commit at most once; it must have no effect outside the transaction.
    A lost connection is not retried: its commit may have happened.

    Args:
        store: Where.
        work: What; called with the transaction.
        clock: To pause between attempts, twice as long each time.
        entropy: For the jitter of the pauses.
        attempts: How often at most.

    Raises:
        TransactionConflictError: It failed that way in every attempt.
    """
    assert attempts >= 1, "there is at least one attempt"
    for attempt in range(attempts - 1):
        try:
            async with store.begin() as tx:
                return await work(tx)
        except TransactionConflictError:
            await clock.sleep(_FIRST_PAUSE_S * 2**attempt * (0.5 + entropy.uniform()))
    async with store.begin() as tx:
        return await work(tx)
