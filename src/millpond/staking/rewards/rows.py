"""Reading what the rewards room has written, and what it closes epochs from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Select, delete, func, select

from millpond.staking.history import MAX_CHANGES, changes_between
from millpond.staking.model import EventKind, EventState
from millpond.staking.pools import StakingPool
from millpond.staking.rewards.engine import Carried, Change, Earned
from millpond.staking.rewards.model import Epoch, EpochState, Snapshot
from millpond.staking.rewards.statement import Funding
from millpond.staking.rewards.tables import epoch_table, snapshot_table
from millpond.staking.tables import event_table
from millpond.store import Tx

_P = epoch_table.c
_S = snapshot_table.c
_E = event_table.c

_BOOKED = EventState.BOOKED.value
FUNDING_SIGNS = {EventKind.FUNDED.value: 1, "defunded": -1}
"""Kinds of events that move reward funds, and which way."""


def to_epoch(row: Any) -> Epoch:
    """The row as a value."""
    values = dict(row)
    values["state"] = EpochState(values["state"])
    return Epoch(**values)


async def epoch_row(tx: Tx, pool_id: str, epoch: int) -> Epoch | None:
    """One closed epoch."""
    found = await _epochs(tx, select(epoch_table).where(_P.pool_id == pool_id, _P.epoch == epoch))
    return found[0] if found else None


async def epoch_by_number(tx: Tx, pool_id: str, number: int) -> Epoch | None:
    """The epoch that has this number on chain."""
    query = select(epoch_table).where(_P.pool_id == pool_id, _P.number == number)
    found = await _epochs(tx, query)
    return found[0] if found else None


async def last_epoch(tx: Tx, pool_id: str) -> Epoch | None:
    """The epoch closed last."""
    found = await epochs_page(tx, pool_id, limit=1)
    return found[0] if found else None


async def epochs_page(
    tx: Tx, pool_id: str, *, before: int | None = None, limit: int = 50
) -> list[Epoch]:
    """Closed epochs, newest first; `before` is the last epoch of the page before."""
    query = select(epoch_table).where(_P.pool_id == pool_id).order_by(_P.epoch.desc())
    if before is not None:
        query = query.where(_P.epoch < before)
    return await _epochs(tx, query.limit(limit))


async def _epochs(tx: Tx, query: Select[Any]) -> list[Epoch]:
    return [to_epoch(row) for row in (await tx.execute(query)).mappings()]


async def first_disputed(tx: Tx, pool_id: str) -> int | None:
    """The oldest epoch that waits for a person."""
    query = select(func.min(_P.epoch)).where(
        _P.pool_id == pool_id, _P.state == EpochState.DISPUTED.value
    )
    found: int | None = (await tx.execute(query)).scalar()
    return found


async def unposted(tx: Tx, pool_id: str, *, limit: int) -> list[Epoch]:
    """Closed epochs whose root no event of the chain has shown yet, oldest first."""
    posted = await last_posted(tx, pool_id)
    last = 0 if posted is None else posted.number
    query = select(epoch_table).where(_P.pool_id == pool_id, _P.number > last)
    return await _epochs(tx, query.order_by(_P.number).limit(limit))


async def shows_posting(tx: Tx, pool_id: str, tx_hash: str) -> bool:
    """Whether the indexer has come to the root that a transaction posted."""
    query = select(_E.seq).where(
        _E.pool_id == pool_id,
        _E.tx_hash == tx_hash,
        _E.kind == EventKind.EPOCH_POSTED.value,
        _E.state != EventState.UNDONE.value,
    )
    return (await tx.execute(query.limit(1))).first() is not None


_REVOCATIONS = 1_000
"""Postings and revocations that are looked at, newest first; an epoch too many is refused."""


class PostedRoot(msgspec.Struct, frozen=True):
    """The root that the chain has of an epoch, by its number on chain."""

    number: int
    root: str


async def last_posted(tx: Tx, pool_id: str) -> PostedRoot | None:
    """The newest root that was posted and not taken back by the owner; None: there is none."""
    query = (
        select(_E.kind, _E.details)
        .where(
            _E.pool_id == pool_id,
            _E.balance.is_(None),
            _E.kind.in_([EventKind.EPOCH_POSTED.value, EventKind.EPOCH_REVOKED.value]),
            _E.state != EventState.UNDONE.value,
        )
        .order_by((_E.seq + 0).desc())  # see `fundings_of`
        .limit(_REVOCATIONS)
    )
    revoked: set[int] = set()
    for row in await tx.execute(query):
        number = int(row.details["epoch"])
        if row.kind == EventKind.EPOCH_REVOKED.value:
            revoked.add(number)
        elif number in revoked:
            revoked.remove(number)  # Behind this one, the number was posted and taken back.
        else:
            return PostedRoot(number, row.details["root"])
    return None


async def first_epoch(tx: Tx, pool_id: str) -> int | None:
    """The first epoch that was closed."""
    query = select(func.min(_P.epoch)).where(_P.pool_id == pool_id)
    found: int | None = (await tx.execute(query)).scalar()
    return found


async def snapshots(tx: Tx, pool_id: str, epoch: int) -> list[Snapshot]:
    """All lines of an epoch, by wallet."""
    query = (
        select(_S.wallet, _S.weight, _S.earned, _S.cumulative, _S.fraction)
        .where(_S.pool_id == pool_id, _S.epoch == epoch)
        .order_by(_S.wallet)
    )
    found = [
        Snapshot(
            pool_id=pool_id,
            epoch=epoch,
            wallet=wallet,
            weight=weight,
            earned=earned,
            cumulative=cumulative,
            fraction=fraction,
        )
        for wallet, weight, earned, cumulative, fraction in await tx.execute(query)
    ]
    # Databases sort text by their locale; statements sort it by its bytes.
    return sorted(found, key=lambda line: line.wallet)


async def clear_snapshots(tx: Tx, pool_id: str, *, before_s: int, most: int = 300) -> int:
    """Drop the lines of epochs that ended before a second; periodic.

    What is still needed stays however old it is: the last epoch, from which the next
    goes on, and the one whose root is on chain, with all behind it, for its proofs.

    Args:
        tx: A transaction.
        pool_id: The pool.
        before_s: Epochs that ended earlier are old.
        most: Most epochs at once; the next run takes the rest.

    Returns:
        How many epochs were cleared.
    """
    last, posted = await last_epoch(tx, pool_id), await last_posted(tx, pool_id)
    if last is None:
        return 0
    needed = last.number if posted is None else min(posted.number, last.number)
    lined = select(_S.epoch).where(_S.pool_id == pool_id, _S.epoch == _P.epoch).exists()
    old = (
        select(_P.epoch)
        .where(_P.pool_id == pool_id, _P.number < needed, _P.end_s < before_s, lined)
        .order_by(_P.epoch)
        .limit(most)
    )
    epochs = list((await tx.execute(old)).scalars())
    if epochs:
        await tx.execute(delete(snapshot_table).where(_S.pool_id == pool_id, _S.epoch.in_(epochs)))
    return len(epochs)


async def carried(tx: Tx, epoch: Epoch) -> Carried:
    """Where `epoch` left off."""
    query = select(_S.wallet, _S.cumulative, _S.fraction).where(
        _S.pool_id == epoch.pool_id, _S.epoch == epoch.epoch
    )
    accounts = {
        wallet: Earned(cumulative, fraction)
        for wallet, cumulative, fraction in await tx.execute(query)
        if cumulative or fraction
    }
    return Carried(epoch.emitted, epoch.carry, accounts)


async def wallet_lines(
    tx: Tx, pool_id: str, wallet: str, *, before: int | None = None, limit: int = 50
) -> list[Snapshot]:
    """A wallet's lines, newest epoch first."""
    query = (
        select(snapshot_table)
        .where(_S.pool_id == pool_id, _S.wallet == wallet)
        .order_by(_S.epoch.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(_S.epoch < before)
    return [Snapshot(**row) for row in (await tx.execute(query)).mappings()]


async def first_change_s(tx: Tx, pool_id: str) -> int | None:
    """When the pool's first position moved."""
    query = select(func.min(_E.block_time_s)).where(
        _E.pool_id == pool_id, _E.state == _BOOKED, _E.balance.is_not(None)
    )
    found: int | None = (await tx.execute(query)).scalar()
    return found


async def changes_of(tx: Tx, pool_id: str, start_s: int, end_s: int) -> list[Change]:
    """Position changes of a stretch of time, in the chain's order."""
    found: list[Change] = []
    after = 0
    while True:
        page = await changes_between(tx, pool_id, start_s, end_s, after=after)
        found += [Change(line.at_s, line.wallet, line.balance) for line in page]
        if len(page) < MAX_CHANGES:
            return found
        after = page[-1].seq


async def fundings_of(tx: Tx, pool: StakingPool, start_s: int | None, end_s: int) -> list[Funding]:
    """What came into the reward funds, or went out of them, in the chain's order.

    Args:
        tx: A transaction.
        pool: The pool.
        start_s: First second; None is from the beginning.
        end_s: First second that is not meant.
    """
    # Fundings are few among the pool's events and have an index of their own, which the
    # sums keep the database from passing over for one that walks through all the others.
    at_s = _E.block_time_s + 0
    query = (
        select(_E.block_time_s, _E.kind, _E.amount, _E.tx_hash, _E.log_index)
        .where(
            _E.pool_id == pool.pool_id,
            _E.state == _BOOKED,
            _E.balance.is_(None),
            _E.kind.in_(FUNDING_SIGNS),
            at_s < end_s,
        )
        .order_by(_E.seq + 0)
    )
    if start_s is not None:
        query = query.where(at_s >= start_s)
    return [
        Funding(
            at_s=at_s,
            amount=str(FUNDING_SIGNS[kind] * amount),
            tx_hash=tx_hash,
            log_index=log_index,
        )
        for at_s, kind, amount, tx_hash, log_index in await tx.execute(query)
    ]


def fundings_from(rows: Iterable[dict[str, Any]]) -> list[Funding]:
    """Fundings as an epoch's row keeps them."""
    return [msgspec.convert(row, Funding) for row in rows]
