"""Reading and writing the rows of prices and sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Row, delete, exists, insert, select

from millpond.alerts import plain
from millpond.oracle.decide import Decision
from millpond.oracle.model import Fault, Price, Problem, Reading
from millpond.oracle.tables import pair_table, price_table, source_table
from millpond.store import Tx
from millpond.store.sql import insert_into

_P = price_table.c
_S = source_table.c
_R = pair_table.c

MAX_PAGE = 1_000
"""Most rows that one call reads or prunes."""


class PricePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One confirmed price of the history.

    Attributes:
        id: Of the row; pages go by it.
        value_e18: The price times 10**18.
        source: Who said it.
        at_ms: When the oldest reading in it was made.
        checked_ms: When it was read.
        degraded: Whether it came from a fallback.
        reason: In which way it was degraded.
        readings: Each source's own price: `source`, `value_e18` as text, `at_ms`.
    """

    id: str
    value_e18: int
    source: str
    at_ms: int
    checked_ms: int
    degraded: bool
    reason: str
    readings: list[dict[str, Any]]


class SourceState(msgspec.Struct, frozen=True, kw_only=True):
    """How a source of a price is doing.

    Attributes:
        source: Its name.
        decimals: Those it first had; None if it names none.
        value_e18: Its last price that counted.
        at_ms: When that was made.
        good_ms: When that was read; None if none ever counted.
        problem: What is wrong with it now; empty if nothing is.
        message: The same as a sentence.
        failures: How often in a row it did not count.
        read_ms: When it was last asked.
    """

    source: str
    decimals: int | None
    value_e18: int | None
    at_ms: int | None
    good_ms: int | None
    problem: str
    message: str
    failures: int
    read_ms: int


class PairState(msgspec.Struct, frozen=True, kw_only=True):
    """How the last round about a price went.

    Attributes:
        problem: Why it confirmed no price; None if it did.
        failing_ms: Since when no round confirmed one; None if the last did.
        read_ms: When the round was.
    """

    problem: Problem | None
    failing_ms: int | None
    read_ms: int


async def pair_state(tx: Tx, asset: str, quote: str) -> PairState | None:
    """How the last round went; None before the first."""
    query = select(pair_table).where(_R.asset == asset, _R.quote == quote)
    row = (await tx.execute(query)).first()
    if row is None:
        return None
    problem = Problem(row.problem) if row.problem else None
    return PairState(problem=problem, failing_ms=row.failing_ms, read_ms=row.read_ms)


async def note_pair(
    tx: Tx, asset: str, quote: str, problem: Problem | None, now_ms: int
) -> PairState:
    """Write down how a round went; returns it with since when it goes that way."""
    before = await pair_state(tx, asset, quote)
    failing_ms = None
    if problem is not None:
        failing_ms = now_ms if before is None else before.failing_ms or now_ms
    values = {"problem": problem or "", "failing_ms": failing_ms, "read_ms": now_ms}
    await tx.execute(
        insert_into(tx, pair_table)
        .values(asset=asset, quote=quote, **values)
        .on_conflict_do_update(index_elements=["asset", "quote"], set_=values)
    )
    return PairState(problem=problem, failing_ms=failing_ms, read_ms=now_ms)


async def latest(tx: Tx, asset: str, quote: str) -> Price | None:
    """The price confirmed last, as it was then."""
    query = (
        select(price_table)
        .where(_P.asset == asset, _P.quote == quote)
        .order_by(_P.checked_ms.desc(), _P.id.desc())
        .limit(1)
    )
    row = (await tx.execute(query)).first()
    return None if row is None else _price(row)


async def history(
    tx: Tx,
    asset: str,
    quote: str,
    *,
    since_ms: int = 0,
    before: tuple[int, str] | None = None,
    limit: int = 100,
) -> list[PricePoint]:
    """Confirmed prices since `since_ms`, the newest first.

    Args:
        tx: The transaction.
        asset: Code of the asset.
        quote: What it is priced in.
        since_ms: From when on.
        before: `(checked_ms, id)` of the last row of the page before.
        limit: Most rows.
    """
    assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} prices"
    query = select(price_table).where(
        _P.asset == asset, _P.quote == quote, _P.checked_ms >= since_ms
    )
    if before is not None:
        at_ms, row_id = before
        query = query.where((_P.checked_ms < at_ms) | ((_P.checked_ms == at_ms) & (_P.id < row_id)))
    query = query.order_by(_P.checked_ms.desc(), _P.id.desc()).limit(limit)
    return [
        PricePoint(
            id=row.id,
            value_e18=row.value_e18,
            source=row.source,
            at_ms=row.at_ms,
            checked_ms=row.checked_ms,
            degraded=row.degraded,
            reason=row.reason,
            readings=row.readings,
        )
        for row in await tx.execute(query)
    ]


async def sources(tx: Tx, asset: str, quote: str) -> list[SourceState]:
    """How each source of a price is doing, by name."""
    query = (
        select(source_table)
        .where(_S.asset == asset, _S.quote == quote)
        .order_by(_S.source)
        .limit(MAX_PAGE)
    )
    return [
        SourceState(
            source=row.source,
            decimals=row.decimals,
            value_e18=row.value_e18,
            at_ms=row.at_ms,
            good_ms=row.good_ms,
            problem=row.problem,
            message=row.message,
            failures=row.failures,
            read_ms=row.read_ms,
        )
        for row in await tx.execute(query)
    ]


async def add_price(tx: Tx, row_id: str, decision: Decision) -> None:
    """Write a confirmed price down."""
    price = decision.price
    assert price is not None, "only what is known is written down"
    assert decision.confirmed, "an old price is not written down again"
    await tx.execute(
        insert(price_table).values(
            id=row_id,
            asset=price.asset,
            quote=price.quote,
            value_e18=price.value_e18,
            source=price.source,
            readings=[
                {"source": r.source, "value_e18": str(r.value_e18), "at_ms": r.at_ms}
                for r in decision.used
            ],
            at_ms=price.at_ms,
            checked_ms=price.checked_ms,
            fresh_until_ms=price.fresh_until_ms,
            degraded=price.degraded,
            reason=price.reason,
        )
    )


async def note_sources(
    tx: Tx,
    pair: tuple[str, str],
    results: Mapping[str, Reading | Fault],
    faults: Iterable[Fault],
    now_ms: int,
) -> None:
    """Write down how each source did."""
    failed = {fault.source: fault for fault in faults}
    known = {state.source: state for state in await sources(tx, *pair)}
    statement = insert_into(tx, source_table)
    kept = [column.name for column in source_table.c if not column.primary_key]
    statement = statement.on_conflict_do_update(
        index_elements=["asset", "quote", "source"],
        set_={name: statement.excluded[name] for name in kept},
    )
    rows = [
        {"asset": pair[0], "quote": pair[1]}
        | _source_row(name, result, failed.get(name), known.get(name), now_ms)
        for name, result in sorted(results.items())
    ]
    await tx.execute(statement, rows)


async def known_decimals(tx: Tx, asset: str, quote: str) -> dict[str, int]:
    """Decimals that each source first had."""
    query = select(_S.source, _S.decimals).where(
        _S.asset == asset, _S.quote == quote, _S.decimals.is_not(None)
    )
    return {row.source: row.decimals for row in await tx.execute(query)}


async def forget_source(tx: Tx, asset: str, quote: str, source: str) -> bool:
    """Forget a source and the decimals it first had; False if it was not known.

    For a person who has made sure that a feed rightly has other decimals now.
    """
    gone = await tx.execute(
        delete(source_table).where(_S.asset == asset, _S.quote == quote, _S.source == source)
    )
    return bool(gone.rowcount)


async def prune(tx: Tx, *, before_ms: int) -> int:
    """Delete up to `MAX_PAGE` of the prices read before then; the last of a pair stays.

    Returns:
        How many were deleted.
    """
    newer = price_table.alias("newer")
    has_newer = exists().where(
        newer.c.asset == _P.asset, newer.c.quote == _P.quote, newer.c.checked_ms > _P.checked_ms
    )
    old = select(_P.id).where(_P.checked_ms < before_ms, has_newer).order_by(_P.checked_ms)
    gone = await tx.execute(delete(price_table).where(_P.id.in_(old.limit(MAX_PAGE))))
    return int(gone.rowcount)


def _source_row(
    name: str,
    result: Reading | Fault,
    fault: Fault | None,
    known: SourceState | None,
    now_ms: int,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "source": name,
        "decimals": None if known is None else known.decimals,
        "value_e18": None if known is None else known.value_e18,
        "at_ms": None if known is None else known.at_ms,
        "good_ms": None if known is None else known.good_ms,
        "problem": "",
        "message": "",
        "failures": 0,
        "read_ms": now_ms,
    }
    if fault is not None:
        failures = 1 if known is None else known.failures + 1
        row |= {
            "problem": fault.problem.value,
            "message": plain(fault.message),
            "failures": failures,
        }
        return row
    assert isinstance(result, Reading), "what is no reading is a fault"
    first = row["decimals"] if row["decimals"] is not None else result.decimals
    return row | {
        "decimals": first,
        "value_e18": result.value_e18,
        "at_ms": result.at_ms,
        "good_ms": now_ms,
    }


def _price(row: Row[Any]) -> Price:
    return Price(
        asset=row.asset,
        quote=row.quote,
        value_e18=row.value_e18,
        source=row.source,
        at_ms=row.at_ms,
        checked_ms=row.checked_ms,
        fresh_until_ms=row.fresh_until_ms,
        age_ms=max(0, row.checked_ms - row.at_ms),
        degraded=row.degraded,
        reason=row.reason,
    )
