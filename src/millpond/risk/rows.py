"""Reading and writing the rows of limits, holds and violations. Nothing here decides."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, RowMapping, or_, select, true, update

from millpond.risk.model import (
    Function,
    Hold,
    HoldKind,
    Limits,
    Request,
    Role,
    Rule,
    Scope,
    Violation,
)
from millpond.risk.rules import Refusal
from millpond.risk.tables import risk_hold_table, risk_limit_table, risk_violation_table
from millpond.store import Tx
from millpond.store.sql import any_of, insert_or_ignore

_L = risk_limit_table.c
_H = risk_hold_table.c
_V = risk_violation_table.c

SET = "platform"
READ = "chain"
"""Where limits come from: somebody set them here, or they were read from a contract."""

MAX_PAGE = 1000


class LimitRow(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one scope, asset and source, with what a contract has paused."""

    scope: Scope
    asset: str
    source: str
    limits: Limits
    paused: frozenset[Function]
    block: int | None
    updated_ms: int


async def limit_rows(tx: Tx, scopes: Collection[Scope], asset: str | None = None) -> list[LimitRow]:
    """Limits of these scopes, in one asset or in all."""
    paths = any_of(tx, _L.scope, [scope.path for scope in scopes])
    query = select(risk_limit_table).where(paths).order_by(_L.scope, _L.asset, _L.source)
    if asset is not None:
        query = query.where(_L.asset == asset)
    return [
        LimitRow(
            scope=Scope.parse(row["scope"]),
            asset=row["asset"],
            source=row["source"],
            limits=Limits.from_json(row["limits"]),
            paused=frozenset(Function(each) for each in row["paused"]),
            block=row["block"],
            updated_ms=row["updated_ms"],
        )
        for row in (await tx.execute(query)).mappings()
    ]


async def put_limits(tx: Tx, row: LimitRow) -> None:
    """Write limits in the place of those that were there."""
    values: dict[str, Any] = {
        "scope": row.scope.path,
        "asset": row.asset,
        "source": row.source,
        "limits": row.limits.to_json(),
        "paused": sorted(row.paused),
        "block": row.block,
        "updated_ms": row.updated_ms,
    }
    written = await tx.execute(insert_or_ignore(tx, risk_limit_table).values(values))
    if written.rowcount == 0:
        place = (_L.scope == row.scope.path, _L.asset == row.asset, _L.source == row.source)
        await tx.execute(update(risk_limit_table).where(*place).values(values))


def to_hold(row: RowMapping) -> Hold:
    """Make the value of a row."""
    values = dict(row)
    values["kind"] = HoldKind(values["kind"])
    values["scope"] = Scope.parse(values["scope"])
    values["functions"] = frozenset(Function(each) for each in values["functions"].split(","))
    values["reset_role"] = Role(values["reset_role"])
    return Hold(**values)


def functions_text(functions: Collection[Function]) -> str:
    """As the column has it."""
    return ",".join(sorted(functions))


async def active_holds(
    tx: Tx, scopes: Collection[Scope] | None, asset: str | None, now_ms: int
) -> list[Hold]:
    """Pauses and tripped breakers that hold now, in an asset's matters or in all."""
    query = (
        select(risk_hold_table)
        .where(_H.ended_ms.is_(None), or_(_H.until_ms.is_(None), _H.until_ms > now_ms))
        .order_by(_H.id)
        .limit(MAX_PAGE)
    )
    if scopes is not None:
        query = query.where(any_of(tx, _H.scope, [scope.path for scope in scopes]))
    if asset is not None:
        query = query.where(_H.asset.in_(["", asset]))
    return [to_hold(row) for row in (await tx.execute(query)).mappings()]


async def put_hold(tx: Tx, hold: Hold) -> Hold:
    """Write a hold, or count once more on the one that is open and the same.

    The same identifier again changes nothing, so this may be repeated.
    """
    values = msgspec.structs.asdict(hold)
    values["scope"] = hold.scope.path
    values["functions"] = functions_text(hold.functions)
    same = (
        _H.kind == hold.kind,
        _H.scope == hold.scope.path,
        _H.asset == hold.asset,
        _H.functions == values["functions"],
        _H.ended_ms.is_(None),
    )
    lapsed = update(risk_hold_table).where(*same, _H.until_ms <= hold.since_ms)
    await tx.execute(lapsed.values(ended_ms=hold.since_ms, ended_by="time", end_reason="over"))
    written = await tx.execute(insert_or_ignore(tx, risk_hold_table).values(values))
    if written.rowcount == 0:
        again = {
            "count": _H.count + 1,
            **{name: values[name] for name in ("last_ms", "until_ms", "reason", "details")},
        }
        counted = update(risk_hold_table).where(*same, _H.id != hold.id).values(again)
        if (await tx.execute(counted)).rowcount == 0:
            # Somebody has ended the one that was in the way.
            await tx.execute(insert_or_ignore(tx, risk_hold_table).values(values))
    row = (await tx.execute(select(risk_hold_table).where(*same))).mappings().one()
    return to_hold(row)


async def fetch_hold(tx: Tx, hold_id: str) -> Hold | None:
    """One hold, locked."""
    query = select(risk_hold_table).where(_H.id == hold_id).with_for_update()
    row = (await tx.execute(query)).mappings().first()
    return None if row is None else to_hold(row)


async def end_hold(tx: Tx, hold: Hold, *, now_ms: int, actor: str, reason: str) -> Hold:
    """Write that a hold has ended."""
    values = {"ended_ms": now_ms, "ended_by": actor, "end_reason": reason}
    await tx.execute(update(risk_hold_table).where(_H.id == hold.id).values(values))
    return msgspec.structs.replace(hold, **values)


async def lapsed_holds(tx: Tx, now_ms: int, limit: int) -> list[Hold]:
    """Holds whose time is over and that are not written off yet."""
    query = select(risk_hold_table).where(_H.ended_ms.is_(None), _H.until_ms <= now_ms)
    return [to_hold(row) for row in (await tx.execute(query.limit(limit))).mappings()]


async def holds_page(tx: Tx, scope: Scope | None, *, before: str | None, limit: int) -> list[Hold]:
    """Holds, ended or not, newest first."""
    query = select(risk_hold_table).order_by(_H.id.desc()).limit(limit)
    if scope is not None:
        query = query.where(_H.scope == scope.path)
    if before is not None:
        query = query.where(_H.id < before)
    return [to_hold(row) for row in (await tx.execute(query)).mappings()]


def violations_of(
    request: Request, refusals: Sequence[Refusal], ids: Sequence[str], now_ms: int
) -> list[dict[str, Any]]:
    """The rows of a refused request, one a reason."""
    rows = []
    for violation_id, refusal in zip(ids, refusals, strict=True):
        repeat = f"{request.key}|{refusal.rule}|{refusal.scope.path}" if request.key else None
        rows.append(
            {
                "id": violation_id,
                "at_ms": now_ms,
                "last_ms": now_ms,
                "count": 1,
                "repeat_key": repeat,
                "function": request.function.value,
                "product": request.product,
                "pool_id": request.pool_id,
                "user_id": request.user,
                "asset": request.asset.code,
                "amount": request.amount,
                "reference": request.reference,
                "rule": refusal.rule.value,
                "scope": refusal.scope.path,
                "limit_units": refusal.limit,
                "used_units": refusal.used,
                "message": refusal.message,
                "hold_id": refusal.hold_id,
            }
        )
    return rows


async def put_violations(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows; those of a key that is there count there. May be repeated."""
    for row in rows:
        written = await tx.execute(insert_or_ignore(tx, risk_violation_table).values(row))
        if written.rowcount == 0 and row["repeat_key"] is not None:
            same = (_V.repeat_key == row["repeat_key"], _V.id != row["id"])
            again = {name: row[name] for name in ("last_ms", "amount", "used_units", "message")}
            await tx.execute(
                update(risk_violation_table).where(*same).values(count=_V.count + 1, **again)
            )


async def violations_page(
    tx: Tx,
    *,
    scope: Scope | None,
    user: str | None,
    before: str | None,
    limit: int,
) -> list[Violation]:
    """Violations, newest first: those that concern a scope, not only those by its own rules."""
    query = select(risk_violation_table).where(_concerns(scope))
    query = query.order_by(_V.id.desc()).limit(limit)
    if user is not None:
        query = query.where(_V.user_id == user)
    if before is not None:
        query = query.where(_V.id < before)
    return [_violation(row) for row in (await tx.execute(query)).mappings()]


def _concerns(scope: Scope | None) -> ColumnElement[bool]:
    column = {"product": _V.product, "pool": _V.pool_id, "user": _V.user_id}
    if scope is None or scope.kind.value not in column:
        return true()
    return column[scope.kind.value] == scope.id


def _violation(row: RowMapping) -> Violation:
    values = dict(row)
    del values["repeat_key"]
    values["user"] = values.pop("user_id")
    values["limit"] = values.pop("limit_units")
    values["used"] = values.pop("used_units")
    values["function"] = Function(values["function"])
    values["rule"] = Rule(values["rule"])
    values["scope"] = Scope.parse(values["scope"])
    return Violation(**values)
