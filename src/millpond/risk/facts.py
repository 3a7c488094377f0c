"""Gathering what a decision looks at; only what some limit asks for is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from millpond.money.amount import Asset
from millpond.risk import flows, rows
from millpond.risk.model import (
    DAY_S,
    Function,
    Hold,
    HoldKind,
    Limits,
    Request,
    Role,
    Scope,
    ScopeKind,
)
from millpond.risk.rules import Bound, Facts, Usage
from millpond.store import Tx


class Exposure(Protocol):
    """What a product has locked; each product brings its own."""

    async def locked(self, tx: Tx, scope: Scope, asset: Asset, user: str | None) -> int:
        """Base units locked in the product, in one pool of it, or of one user in either.

        Args:
            tx: The transaction of the decision.
            scope: The product, a pool of it, a user, or the platform (then: this product).
            asset: The asset.
            user: Only this user's part; None: everybody's.
        """


async def gather(tx: Tx, request: Request, exposures: Mapping[str, Exposure], now_ms: int) -> Facts:
    """Read the facts of a request, under whatever locks the caller holds."""
    asset = request.asset
    limits = await rows.limit_rows(tx, request.scopes, asset.code)
    holds = await rows.active_holds(tx, request.scopes, asset.code, now_ms)
    counted = bool(request.reference) and await flows.counted(tx, request)
    bounds = [
        Bound(
            scope=row.scope,
            source=row.source,
            limits=row.limits,
            usage=await _usage(tx, request, row, exposures, now_ms),
        )
        for row in limits
    ]
    order = [scope.path for scope in request.scopes]
    bounds.sort(key=lambda bound: order.index(bound.scope.path))
    return Facts(bounds=tuple(bounds), holds=(*holds, *paused_on_chain(limits)), counted=counted)


def paused_on_chain(limits: Sequence[rows.LimitRow]) -> list[Hold]:
    """What contracts have paused themselves; nothing here can open that."""
    return [
        Hold(
            id=f"chain:{row.scope.id}",
            kind=HoldKind.PAUSE,
            scope=row.scope,
            asset=row.asset,
            functions=row.paused,
            reason="the contract has paused it",
            exits_because="the contract says so" if any(f.is_exit for f in row.paused) else "",
            details={"block": row.block},
            actor="chain",
            reset_role=Role.OWNER,
            count=1,
            since_ms=row.updated_ms,
            last_ms=row.updated_ms,
            until_ms=None,
        )
        for row in limits
        if row.paused
    ]


async def _usage(
    tx: Tx,
    request: Request,
    row: rows.LimitRow,
    exposures: Mapping[str, Exposure],
    now_ms: int,
) -> Usage:
    limits, scope = row.limits, row.scope
    locked = user_locked = None
    leaves = request.function.leaves
    if limits.tvl_cap is not None or limits.change_bps is not None:
        locked = await _locked(tx, request, scope, exposures, user=None)
    if limits.user_cap is not None and request.function.enters:
        user_locked = await _locked(tx, request, scope, exposures, user=request.user)
    moved = await timed_usage(tx, scope, request.asset.code, limits, now_ms=now_ms)
    user_out = 0
    if limits.user_24h is not None and leaves and request.user:
        since_ms = now_ms - DAY_S * 1000
        code = request.asset.code
        user_out = (
            await flows.user_sums(tx, scope, request.user, code, since_ms=since_ms)
        ).money_out
    return Usage(
        locked=locked,
        user_locked=user_locked,
        user_out_24h=user_out,
        total_out_24h=moved.total_out_24h,
        change_in=moved.change_in,
        change_out=moved.change_out,
        outflow=moved.outflow,
    )


async def timed_usage(tx: Tx, scope: Scope, asset: str, limits: Limits, *, now_ms: int) -> Usage:
    """What moved in a scope within the windows of the limits that are set."""
    day = change = outflow = flows.Sums()
    if limits.total_24h is not None:
        day = await flows.sums(tx, scope, asset, window_s=DAY_S, now_ms=now_ms)
    if limits.change_bps is not None:
        window_s = limits.change_window_s
        change = await flows.sums(tx, scope, asset, window_s=window_s, now_ms=now_ms)
    if limits.outflow_cap is not None:
        window_s = limits.outflow_window_s
        outflow = await flows.sums(tx, scope, asset, window_s=window_s, now_ms=now_ms)
    return Usage(
        total_out_24h=day.asked_out,
        change_in=change.money_in,
        change_out=change.money_out,
        outflow=outflow.asked_out,
    )


async def _locked(
    tx: Tx,
    request: Request,
    scope: Scope,
    exposures: Mapping[str, Exposure],
    *,
    user: str | None,
) -> int | None:
    """From the request where it knows, else from the product; None if nobody can say."""
    if scope.kind is ScopeKind.POOL:
        known = request.tvl if user is None else request.user_total
        if known is not None:
            return known
    if scope.kind is ScopeKind.USER:
        user = request.user
    return await measured(tx, scope, request.asset, exposures, user=user, product=request.product)


async def measured(
    tx: Tx,
    scope: Scope,
    asset: Asset,
    exposures: Mapping[str, Exposure],
    *,
    user: str | None = None,
    product: str | None = None,
) -> int | None:
    """What products say is locked in a scope; None where one that matters cannot say."""
    wide = scope.kind in {ScopeKind.PLATFORM, ScopeKind.USER}
    names = list(exposures) if wide else [scope.id if product is None else product]
    if not names or any(name not in exposures for name in names):
        return None
    return sum([await exposures[name].locked(tx, scope, asset, user) for name in names])


def held_functions(holds: Sequence[Hold]) -> frozenset[Function]:
    """Everything that any of them holds."""
    return frozenset(function for hold in holds for function in hold.functions)
