"""What the reward engine folds over: who held how much, since when, as confirmed.

Only booked events count. A reorg that goes below the confirmations takes its
events out again (`undone`), so the same question may then have another answer;
`Mark` says up to where the answer stands.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from millpond.staking.model import EventState
from millpond.staking.tables import checkpoint_table, event_table, position_table
from millpond.store import Tx

MAX_CHANGES = 100_000
"""Most changes of one page."""

_E = event_table.c
_P = position_table.c
_BOOKED = EventState.BOOKED.value


class Change(msgspec.Struct, frozen=True):
    """A wallet's position after an event.

    Attributes:
        seq: Place of the event in the pool; grows in chain order.
        at_s: The block's timestamp, Unix seconds.
        wallet: Whose, EIP-55 checksummed.
        balance: What it holds from then on: token units, or shares of a vault.
    """

    seq: int
    at_s: int
    wallet: str
    balance: int


class Mark(msgspec.Struct, frozen=True):
    """How far a pool's events are booked.

    Attributes:
        number: Last block of which everything is booked; -1: none yet.
        time_s: That block's timestamp: later blocks have a later one, so an
            epoch that ends at or before it can have no more changes.
    """

    number: int
    time_s: int


async def booked_mark(tx: Tx, pool_id: str) -> Mark:
    """How far a pool is booked."""
    query = select(checkpoint_table.c.booked_number, checkpoint_table.c.booked_time_s).where(
        checkpoint_table.c.pool_id == pool_id
    )
    row = (await tx.execute(query)).first()
    return Mark(-1, 0) if row is None else Mark(row.booked_number, row.booked_time_s)


async def changes_between(
    tx: Tx, pool_id: str, start_s: int, end_s: int, *, after: int = 0, limit: int = MAX_CHANGES
) -> list[Change]:
    """Changes of positions with `start_s ≤ time < end_s`, in chain order.

    Args:
        tx: A transaction.
        pool_id: The pool.
        start_s: First second.
        end_s: First second that is not meant.
        after: Only those behind this `seq`: the last of the page before.
        limit: At most so many.
    """
    assert 0 < limit <= MAX_CHANGES, f"a page has 1 to {MAX_CHANGES} changes"
    query = (
        select(_E.seq, _E.block_time_s, _E.wallet, _E.balance)
        .where(
            _E.pool_id == pool_id,
            _E.state == _BOOKED,
            _E.balance.is_not(None),
            _E.block_time_s >= start_s,
            _E.block_time_s < end_s,
            _E.seq > after,
        )
        # By the time, and not by the primary key because its order is the same: it would be
        # walked through from the pool's beginning.
        .order_by(_E.seq + 0)
        .limit(limit)
    )
    return [Change(*row) for row in await tx.execute(query)]


async def balances_before(tx: Tx, pool_id: str, at_s: int) -> dict[str, int]:
    """What each wallet held just before `at_s`; those who held nothing are left out.

    Each wallet's last event before then is looked up from its newest backwards, so that
    this costs what there are wallets, however long their history is.
    """
    last = (
        select(_E.balance)
        .where(
            _E.pool_id == _P.pool_id,
            _E.wallet == _P.wallet,
            _E.state == _BOOKED,
            _E.balance.is_not(None),
            _E.block_time_s < at_s,
        )
        .order_by(_E.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(_P.wallet, last).where(_P.pool_id == pool_id).order_by(_P.wallet)
    return {wallet: balance for wallet, balance in await tx.execute(query) if balance}
