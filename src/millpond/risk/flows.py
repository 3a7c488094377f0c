"""What came in and went out: counted once, summed by minute and hour, given back when it fails.

A window's sum takes the minute that it begins in as a whole, so a window is at
most a minute longer than it says and never shorter. A user's own 24 hours are
exact, from the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import and_, delete, or_, select, text, update

from millpond.risk.errors import RiskReferenceError
from millpond.risk.model import DAY_S, MAX_WINDOW_S, Function, Request, Scope, ScopeKind
from millpond.risk.tables import UNFOLDED, risk_flow_table, risk_lock_table, risk_sum_table
from millpond.store import Tx
from millpond.store.sql import any_of, insert_into, insert_or_ignore

_F = risk_flow_table.c
_S = risk_sum_table.c

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
KEPT_MS = (MAX_WINDOW_S + DAY_S) * 1000
"""How long flows are kept: a day longer than the longest window."""

_PAGE = 10_000


class Sums(msgspec.Struct, frozen=True):
    """What came in and went out within a window, base units.

    Attributes:
        money_in: All that came in.
        money_out: All that went out.
        asked_out: What of it the platform was asked for.
    """

    money_in: int = 0
    money_out: int = 0
    asked_out: int = 0

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(
            self.money_in + other.money_in,
            self.money_out + other.money_out,
            self.asked_out + other.asked_out,
        )


async def lock(tx: Tx, asset: str) -> None:
    """Be the only one who counts this asset, until the transaction ends.

    Two withdrawals that race for the rest of a limit meet here, whatever scope
    the limit is of; a row each for four scopes would only be more to lock.
    """
    row = select(risk_lock_table).where(risk_lock_table.c.asset == asset).with_for_update()
    if (await tx.execute(row)).first() is None:
        await tx.execute(insert_or_ignore(tx, risk_lock_table).values(asset=asset))
        await tx.execute(row)


async def counted(tx: Tx, request: Request) -> bool:
    """Whether the request's reference is in the sums.

    Raises:
        RiskReferenceError: It is there for something else.
    """
    row = await _row(tx, request.reference)
    if row is None:
        return False
    same = (
        row.function == request.function
        and row.user_id == request.user
        and row.pool_id == request.pool_id
        and row.asset == request.asset.code
        and row.amount == request.amount
    )
    if not same:
        raise RiskReferenceError(
            "the reference was used before for something else", reference=request.reference
        )
    return row.returned_ms is None


async def count(tx: Tx, request: Request, now_ms: int, *, asked: bool) -> None:
    """Put into the sums what was admitted, or seen; `lock` is held, and all is folded."""
    values = {
        "reference": request.reference,
        "at_ms": now_ms,
        "function": request.function.value,
        "product": request.product,
        "pool_id": request.pool_id,
        "user_id": request.user,
        "asset": request.asset.code,
        "amount": request.amount,
        "returned_ms": None,
        "folded_ms": None,
        "asked": asked,
    }
    written = await tx.execute(insert_or_ignore(tx, risk_flow_table).values(values))
    if written.rowcount == 0:
        mine = update(risk_flow_table).where(_F.reference == request.reference)
        await tx.execute(mine.values(values))
    paths = [scope.path for scope in request.scopes if scope.kind is not ScopeKind.USER]
    moved = _moved(request.function, request.amount, asked=asked)
    await _add(tx, paths, request.asset.code, now_ms, moved)


async def give_back(tx: Tx, reference: str, now_ms: int) -> bool:
    """Note that what was counted came to nothing; False if it was not counted.

    Takes no lock but the row's: it is called late in transactions that have
    locked much else. `fold` brings it into the sums.
    """
    marked = await tx.execute(
        update(risk_flow_table)
        .where(_F.reference == reference, _F.returned_ms.is_(None))
        .values(returned_ms=now_ms)
    )
    return marked.rowcount == 1


async def fold(tx: Tx, asset: str, now_ms: int) -> int:
    """Take what came back out of the sums by minute; `lock` is held.

    Returns:
        How many flows that were.
    """
    waiting = select(risk_flow_table).where(_F.asset == asset, text(UNFOLDED)).limit(_PAGE)
    rows = (await tx.execute(waiting)).all()
    for row in rows:
        back = _moved(Function(row.function), -row.amount, asked=row.asked)
        paths = ["platform", f"product:{row.product}", f"pool:{row.pool_id}"]
        await _add(tx, paths, asset, row.at_ms, back)
    if rows:
        done = any_of(tx, _F.reference, [row.reference for row in rows])
        await tx.execute(update(risk_flow_table).where(done).values(folded_ms=now_ms))
    return len(rows)


async def sums(tx: Tx, scope: Scope, asset: str, *, window_s: int, now_ms: int) -> Sums:
    """What moved in a scope within a window that ends now."""
    since_ms = now_ms - window_s * 1000
    if scope.kind is ScopeKind.USER:
        return await user_sums(tx, scope, scope.id, asset, since_ms=since_ms)
    first_hour_ms = -(-since_ms // HOUR_MS) * HOUR_MS
    hours = and_(_S.span_ms == HOUR_MS, _S.begin_ms >= first_hour_ms)
    minutes = and_(
        _S.span_ms == MINUTE_MS,
        _S.begin_ms > since_ms - MINUTE_MS,
        _S.begin_ms < first_hour_ms,
    )
    query = select(_S.money_in, _S.money_out, _S.asked_out).where(
        _S.scope == scope.path, _S.asset == asset, or_(hours, minutes)
    )
    found = Sums()
    for row in await tx.execute(query):
        found = found.plus(Sums(*row))
    return found


async def user_sums(tx: Tx, scope: Scope, user: str, asset: str, *, since_ms: int) -> Sums:
    """What one user moved in a scope after `since_ms`, exactly."""
    query = select(_F.function, _F.amount, _F.asked).where(
        _F.user_id == user,
        _F.asset == asset,
        _F.at_ms > since_ms,
        _F.returned_ms.is_(None),
    )
    if scope.kind is ScopeKind.POOL:
        query = query.where(_F.pool_id == scope.id)
    if scope.kind is ScopeKind.PRODUCT:
        query = query.where(_F.product == scope.id)
    found = Sums()
    for function, amount, asked in await tx.execute(query):
        found = found.plus(_moved(Function(function), amount, asked=asked))
    return found


async def prune(tx: Tx, *, before_ms: int) -> int:
    """Drop a page of the flows and all minutes that no window reaches any more."""
    old = select(_F.reference).where(_F.at_ms < before_ms).order_by(_F.at_ms).limit(_PAGE)
    references = list((await tx.execute(old)).scalars())
    await tx.execute(delete(risk_flow_table).where(any_of(tx, _F.reference, references)))
    await tx.execute(delete(risk_sum_table).where(_S.begin_ms < before_ms - HOUR_MS))
    return len(references)


async def _row(tx: Tx, reference: str) -> Any:
    query = select(risk_flow_table).where(_F.reference == reference)
    return (await tx.execute(query)).first()


async def _add(tx: Tx, paths: Sequence[str], asset: str, at_ms: int, moved: Sums) -> None:
    """Add to a minute and an hour of several scopes; summed here, since SQLite cannot."""
    begins = {span_ms: at_ms - at_ms % span_ms for span_ms in (MINUTE_MS, HOUR_MS)}
    at_begin = [
        and_(_S.span_ms == span_ms, _S.begin_ms == begin_ms) for span_ms, begin_ms in begins.items()
    ]
    query = select(risk_sum_table).where(
        any_of(tx, _S.scope, paths), _S.asset == asset, or_(*at_begin)
    )
    known = {
        (row.scope, row.span_ms): Sums(row.money_in, row.money_out, row.asked_out)
        for row in await tx.execute(query)
    }
    values = [
        {
            "scope": path,
            "asset": asset,
            "span_ms": span_ms,
            "begin_ms": begin_ms,
            **msgspec.structs.asdict(after),
        }
        for path in paths
        for span_ms, begin_ms in begins.items()
        # What comes back after its hour was dropped is in no window any more.
        if min(msgspec.structs.astuple(after := known.get((path, span_ms), Sums()).plus(moved)))
        >= 0
    ]
    if values:
        upsert = insert_into(tx, risk_sum_table)
        sums = {name: upsert.excluded[name] for name in Sums.__struct_fields__}
        keys = ["scope", "asset", "span_ms", "begin_ms"]
        await tx.execute(upsert.on_conflict_do_update(index_elements=keys, set_=sums), values)


def _moved(function: Function, amount: int, *, asked: bool) -> Sums:
    if not function.leaves:
        return Sums(money_in=amount)
    return Sums(money_out=amount, asked_out=amount if asked else 0)
