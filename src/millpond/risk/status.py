"""A scope as a page shows it: limits with their use, pauses, breakers, recent refusals."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from millpond.money.amount import Asset
from millpond.risk import rows
from millpond.risk.facts import Exposure, held_functions, measured, paused_on_chain, timed_usage
from millpond.risk.model import (
    PLATFORM,
    Function,
    Hold,
    HoldKind,
    Limits,
    Scope,
    ScopeKind,
    Violation,
)
from millpond.risk.rules import Bound, Gauge, Usage, status_gauges
from millpond.store import Tx

RECENT = 20


class LimitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a scope in one asset.

    Attributes:
        scope: Whose limits: the scope asked about or a wider one.
        asset: The asset's code.
        source: `platform` (set here) or `chain` (read from the contract).
        limits: The parameters.
        gauges: Those that are measured, with use and room.
        updated_ms: When they were set or read.
        block: At which block they were read.
        stale: They were read from the contract too long ago; they hold all the same.
    """

    scope: Scope
    asset: str
    source: str
    limits: Limits
    gauges: tuple[Gauge, ...]
    updated_ms: int
    block: int | None
    stale: bool


class ScopeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a scope, with what wider scopes lay upon it.

    Attributes:
        scope: The scope.
        held: Functions that are held now.
        exits_open: Whether withdrawals and payouts are not held.
        limits: Limits with their use.
        pauses: Pauses that hold now.
        breakers: Breakers that are tripped: each says why, who may reset it and what is held.
        violations: The most recent refusals that concern it.
    """

    scope: Scope
    held: tuple[Function, ...]
    exits_open: bool
    limits: tuple[LimitStatus, ...]
    pauses: tuple[Hold, ...]
    breakers: tuple[Hold, ...]
    violations: tuple[Violation, ...]


async def status(
    tx: Tx,
    scope: Scope,
    *,
    product: str | None,
    assets: Mapping[str, Asset],
    exposures: Mapping[str, Exposure],
    now_ms: int,
    chain_max_age_s: int,
) -> ScopeStatus:
    """Read it.

    Args:
        tx: A transaction.
        scope: Of what.
        product: The product that a pool belongs to; its limits and holds are shown too.
        assets: By code, for what is measured in them.
        exposures: Who knows what is locked.
        now_ms: The time.
        chain_max_age_s: Age from which a reading of a contract is stale.
    """
    scopes = _with_wider(scope, product)
    found = await rows.limit_rows(tx, scopes)
    holds = [*await rows.active_holds(tx, scopes, None, now_ms), *paused_on_chain(found)]
    limits = []
    for row in found:
        usage = await timed_usage(tx, row.scope, row.asset, row.limits, now_ms=now_ms)
        asset = assets.get(row.asset)
        if asset is not None:
            locked = await measured(tx, row.scope, asset, exposures, product=product)
            usage = msgspec.structs.replace(usage, locked=locked)
        limits.append(_limit_status(row, usage, now_ms, chain_max_age_s))
    held = held_functions(holds)
    recent = await rows.violations_page(tx, scope=scope, user=None, before=None, limit=RECENT)
    return ScopeStatus(
        scope=scope,
        held=tuple(sorted(held)),
        exits_open=not any(function.is_exit for function in held),
        limits=tuple(limits),
        pauses=tuple(hold for hold in holds if hold.kind is HoldKind.PAUSE),
        breakers=tuple(hold for hold in holds if hold.kind is not HoldKind.PAUSE),
        violations=tuple(recent),
    )


def _limit_status(
    row: rows.LimitRow, usage: Usage, now_ms: int, chain_max_age_s: int
) -> LimitStatus:
    bound = Bound(scope=row.scope, source=row.source, limits=row.limits, usage=usage)
    old = now_ms - row.updated_ms > chain_max_age_s * 1000
    return LimitStatus(
        scope=row.scope,
        asset=row.asset,
        source=row.source,
        limits=row.limits,
        gauges=tuple(status_gauges(bound)),
        updated_ms=row.updated_ms,
        block=row.block,
        stale=row.source == rows.READ and old,
    )


def _with_wider(scope: Scope, product: str | None) -> list[Scope]:
    scopes = [scope]
    if product is not None and scope.kind in {ScopeKind.POOL, ScopeKind.USER}:
        scopes.insert(0, Scope.product(product))
    if scope != PLATFORM:
        scopes.insert(0, PLATFORM)
    return scopes
