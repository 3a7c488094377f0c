"""May this be done? Pure: the same facts give the same answer, wherever it is asked."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from millpond.money.amount import Asset
from millpond.risk.model import (
    DAY_S,
    Function,
    Hold,
    HoldKind,
    Limits,
    Request,
    Rule,
    Scope,
    ScopeKind,
)

_BPS = 10_000


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a scope's limits is taken, base units; None: nobody can say.

    Attributes:
        locked: Locked in the scope now.
        user_locked: Of that, the user's.
        user_out_24h: Taken out by the user in the last 24 hours.
        total_out_24h: What all asked for and took out in the last 24 hours.
        change_in: Come in within the window of the rate of change.
        change_out: Gone out within it.
        outflow: Asked for and gone out within the window of the outflow breaker.
    """

    locked: int | None = None
    user_locked: int | None = None
    user_out_24h: int = 0
    total_out_24h: int = 0
    change_in: int = 0
    change_out: int = 0
    outflow: int = 0


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """Limits with their use. The chain's are bounds like any other: the stricter holds.

    Attributes:
        scope: Whose limits.
        source: `platform` or `chain`.
        limits: The limits.
        usage: What is taken of them.
    """

    scope: Scope
    source: str
    limits: Limits
    usage: Usage


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that is looked at in a decision.

    Attributes:
        bounds: Limits of every scope that the request falls under.
        holds: Pauses and tripped breakers of these scopes that are active.
        counted: The request's reference was admitted before, so its amount is in the use.
    """

    bounds: tuple[Bound, ...] = ()
    holds: tuple[Hold, ...] = ()
    counted: bool = False


class Gauge(msgspec.Struct, frozen=True, kw_only=True):
    """One limit, how much of it is taken and what is left for a request.

    Attributes:
        rule: Which.
        scope: Whose.
        source: `platform` or `chain`.
        limit: Base units.
        used: Base units; None: nobody can say. May be below zero where more came in than went.
        window_s: The window of time it looks at; 0: none.
    """

    rule: Rule
    scope: Scope
    source: str
    limit: int
    used: int | None
    window_s: int = 0

    @property
    def room(self) -> int:
        """What may still pass; never below zero."""
        return 0 if self.used is None else max(0, self.limit - self.used)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request is refused."""

    rule: Rule
    scope: Scope
    message: str
    limit: int | None = None
    used: int | None = None
    hold_id: str | None = None
    held_by: HoldKind | None = None


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker that trips because of this request."""

    kind: HoldKind
    scope: Scope
    asset: str
    reason: str
    details: dict[str, str]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The answer.

    Attributes:
        allowed: Whether it may be done.
        refusals: Everything that speaks against it, the widest scope first.
        trips: Breakers that trip by it; only where it is refused.
        room: The largest amount that would pass now; None: any.
        repeated: It was admitted under this reference before and is not counted again.
    """

    allowed: bool
    refusals: tuple[Refusal, ...] = ()
    trips: tuple[Trip, ...] = ()
    room: int | None = None
    repeated: bool = False

    @property
    def held(self) -> bool:
        """Whether a pause or breaker refuses it, so that waiting may help and less may not."""
        return any(refusal.rule in {Rule.PAUSED, Rule.BREAKER} for refusal in self.refusals)


def decide(request: Request, facts: Facts) -> Decision:
    """Decide.

    A request that was counted before is held by pauses and breakers as any
    other, but no limit counts it twice.
    """
    assert request.amount >= 0, "nobody wants less than nothing"
    refusals = [_held(request, hold) for hold in facts.holds if request.function in hold.functions]
    trips: list[Trip] = []
    room: int | None = None
    for gauge in (gauge for bound in facts.bounds for gauge in gauges(request, bound)):
        if facts.counted:
            continue
        if gauge.used is None and not request.function.enters:
            continue  # what cannot be measured stops what comes in, never an exit
        room = gauge.room if room is None else min(room, gauge.room)
        if gauge.used is None or gauge.used + request.amount > gauge.limit:
            refusals.append(_over(request, gauge))
            if gauge.rule is Rule.OUTFLOW and request.amount <= gauge.limit:
                trips.append(_outflow(request, gauge))
    if any(hold_refusal.hold_id for hold_refusal in refusals):
        room = 0
    return Decision(
        allowed=not refusals,
        refusals=tuple(refusals),
        trips=tuple(trips),
        room=room,
        repeated=facts.counted,
    )


def gauges(request: Request, bound: Bound) -> Iterator[Gauge]:
    """The limits of a scope that a function is measured by."""
    if request.function.enters:
        yield from _entry_gauges(bound)
    elif request.function.leaves:
        yield from _leaving_gauges(bound)
    if request.function.enters or request.function.leaves:
        yield from _change_gauges(request.function, bound)


def status_gauges(bound: Bound) -> list[Gauge]:
    """All limits of a scope with their use, for a page."""
    both = [*_entry_gauges(bound), *_leaving_gauges(bound)]
    if bound.limits.change_bps is not None:
        both += _change_gauges(Function.DEPOSIT, bound)
        both += _change_gauges(Function.WITHDRAW, bound)
    return both


def _gauge(bound: Bound, rule: Rule, limit: int, used: int | None, window_s: int = 0) -> Gauge:
    return Gauge(
        rule=rule, scope=bound.scope, source=bound.source, limit=limit, used=used, window_s=window_s
    )


def _entry_gauges(bound: Bound) -> Iterator[Gauge]:
    limits, usage = bound.limits, bound.usage
    if limits.tvl_cap is not None:
        yield _gauge(bound, Rule.TVL_CAP, limits.tvl_cap, usage.locked)
    if limits.deposit_cap is not None:
        yield _gauge(bound, Rule.DEPOSIT_CAP, limits.deposit_cap, 0)
    if limits.user_cap is not None:
        yield _gauge(bound, Rule.USER_CAP, limits.user_cap, usage.user_locked)


def _leaving_gauges(bound: Bound) -> Iterator[Gauge]:
    limits, usage = bound.limits, bound.usage
    if limits.withdrawal_cap is not None:
        yield _gauge(bound, Rule.WITHDRAWAL_CAP, limits.withdrawal_cap, 0)
    if limits.user_24h is not None:
        yield _gauge(bound, Rule.USER_24H, limits.user_24h, usage.user_out_24h, DAY_S)
    if limits.total_24h is not None:
        yield _gauge(bound, Rule.TOTAL_24H, limits.total_24h, usage.total_out_24h, DAY_S)
    if limits.outflow_cap is not None:
        window_s = limits.outflow_window_s
        yield _gauge(bound, Rule.OUTFLOW, limits.outflow_cap, usage.outflow, window_s)


def _change_gauges(function: Function, bound: Bound) -> Iterator[Gauge]:
    """The net change so far, in the direction of the function, against what was locked before."""
    limits, usage = bound.limits, bound.usage
    if limits.change_bps is None:
        return
    change = usage.change_in - usage.change_out
    used: int | None = None
    limit = 0
    if usage.locked is not None:
        used = change if function.enters else -change
        limit = max(0, usage.locked - change) * limits.change_bps // _BPS
    yield _gauge(bound, Rule.RATE_OF_CHANGE, limit, used, limits.change_window_s)


def _held(request: Request, hold: Hold) -> Refusal:
    what = "paused" if hold.kind is HoldKind.PAUSE else f"held by the {hold.kind.value} breaker"
    where = "on the whole platform" if hold.scope.kind is ScopeKind.PLATFORM else hold.scope.path
    return Refusal(
        rule=Rule.PAUSED if hold.kind is HoldKind.PAUSE else Rule.BREAKER,
        scope=hold.scope,
        message=f"{request.function.value} is {what} ({where}): {hold.reason}",
        hold_id=hold.id,
        held_by=hold.kind,
    )


_SENTENCES = {
    Rule.TVL_CAP: "no more than {limit} may be locked in {scope}; {used} are",
    Rule.DEPOSIT_CAP: "a single deposit in {scope} is at most {limit}",
    Rule.USER_CAP: "one user may have no more than {limit} in {scope}; {used} are there",
    Rule.WITHDRAWAL_CAP: "at most {limit} leave {scope} at once",
    Rule.USER_24H: "one user may take {limit} out of {scope} in 24 hours; {used} are taken",
    Rule.TOTAL_24H: "at most {limit} leave {scope} in 24 hours; {used} have left",
    Rule.RATE_OF_CHANGE: "{scope} may change by {limit} within {window} s; it has by {used}",
    Rule.OUTFLOW: "more than {limit} would have left {scope} within {window} s; {used} have",
}


def _over(request: Request, gauge: Gauge) -> Refusal:
    if gauge.used is None:
        return Refusal(
            rule=Rule.UNMEASURED,
            scope=gauge.scope,
            message=f"what is locked in {gauge.scope.path} is not known, and it has a limit",
            limit=gauge.limit,
        )
    asset: Asset = request.asset
    message = _SENTENCES[gauge.rule].format(
        limit=asset.amount(gauge.limit),
        used=asset.amount(gauge.used),
        scope=gauge.scope.path,
        window=gauge.window_s,
    )
    return Refusal(
        rule=gauge.rule, scope=gauge.scope, message=message, limit=gauge.limit, used=gauge.used
    )


def _outflow(request: Request, gauge: Gauge) -> Trip:
    """The breaker trips on a sum; a single request above it is only refused.

    Else anybody with a large balance could close everybody's exit by asking.
    """
    return Trip(
        kind=HoldKind.OUTFLOW,
        scope=gauge.scope,
        asset=request.asset.code,
        reason=_over(request, gauge).message,
        details={
            "limit": str(gauge.limit),
            "used": str(gauge.used),
            "asked": str(request.amount),
            "window_s": str(gauge.window_s),
        },
    )
