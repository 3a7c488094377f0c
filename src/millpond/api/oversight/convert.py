"""From the rooms' structs to the operator's answers; pure."""

from __future__ import annotations

from millpond import alerts, oracle, risk, tasks, trail
from millpond.api.models import iso
from millpond.api.oversight import models
from millpond.api.staking import convert as staking
from millpond.oracle.rows import PricePoint, SourceState

_E18 = 10**18


def time_or_none(at_ms: int | None) -> str | None:
    """A time, if there is one."""
    return None if at_ms is None else iso(at_ms)


def e18(value: int) -> str:
    """A number of 18 places as a decimal."""
    return f"{value // _E18}.{value % _E18:018d}"


def hold(row: risk.Hold, now_ms: int) -> models.Hold:
    """A pause or a breaker."""
    return models.Hold(
        id=row.id,
        kind=row.kind.value,
        scope=row.scope.path,
        asset=row.asset,
        held=sorted(function.value for function in row.functions),
        active=row.active(now_ms),
        reason=row.reason,
        exits_because=row.exits_because,
        details=row.details,
        actor=row.actor,
        reset_role=row.reset_role.value,
        count=row.count,
        since=iso(row.since_ms),
        until=time_or_none(row.until_ms),
        ended_at=time_or_none(row.ended_ms),
        ended_by=row.ended_by,
        end_reason=row.end_reason,
    )


def violation(row: risk.Violation) -> models.Violation:
    """A refusal."""
    return models.Violation(
        id=row.id,
        at=iso(row.at_ms),
        last_at=iso(row.last_ms),
        count=row.count,
        function=row.function.value,
        product=row.product,
        pool_id=row.pool_id,
        user=row.user,
        asset=row.asset,
        amount=str(row.amount),
        reference=row.reference,
        rule=row.rule.value,
        scope=row.scope.path,
        limit=None if row.limit is None else str(row.limit),
        used=None if row.used is None else str(row.used),
        message=row.message,
        hold_id=row.hold_id,
    )


def scope(found: risk.ScopeStatus, now_ms: int) -> models.ScopeRisk:
    """Everything about a scope."""
    return models.ScopeRisk(
        scope=found.scope.path,
        held=[function.value for function in found.held],
        exits_open=found.exits_open,
        limits=staking.limits(found),
        pauses=[hold(row, now_ms) for row in found.pauses],
        breakers=[hold(row, now_ms) for row in found.breakers],
        violations=[violation(row) for row in found.violations],
    )


def alert(row: alerts.Alert) -> models.Alert:
    """An alert."""
    return models.Alert(
        id=row.id,
        kind=row.kind,
        subject=row.subject,
        severity=row.severity.value,
        message=row.message,
        details=row.details,
        count=row.count,
        first_at=iso(row.first_ms),
        last_at=iso(row.last_ms),
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=time_or_none(row.acknowledged_ms),
        cleared_at=time_or_none(row.cleared_ms),
    )


def entry(row: trail.Entry) -> models.TrailEntry:
    """An entry of the trail."""
    return models.TrailEntry(
        seq=row.seq,
        at=iso(row.at_ms),
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        before=row.before,
        after=row.after,
        reason=row.reason,
        previous=row.previous,
        hash=row.hash,
    )


def task(row: tasks.TaskStatus) -> models.Task:
    """A task."""
    return models.Task(
        name=row.name,
        interval_s=row.interval_ms / 1000,
        next_at=iso(row.next_ms),
        lag_s=row.lag_ms / 1000,
        running=row.running,
        holder=row.holder,
        requested_at=time_or_none(row.requested_ms),
        requested_by=row.requested_by,
        last_start_at=time_or_none(row.last_start_ms),
        last_end_at=time_or_none(row.last_end_ms),
        last_ok_at=time_or_none(row.last_ok_ms),
        last_result=row.last_result,
        last_error=row.last_error,
        runs=row.runs,
        failures=row.failures,
        failing=row.failing,
    )


def price(view: oracle.PriceView) -> models.Price:
    """A price as it may be used now."""
    now = view.price
    return models.Price(
        asset=view.asset,
        quote=view.quote,
        price=None if now is None else now.decimal,
        source="" if now is None else now.source,
        at=None if now is None else iso(now.at_ms),
        age_s=None if now is None else now.age_ms / 1000,
        degraded=now is not None and now.degraded,
        reason="" if now is None else now.reason,
        problem=view.problem,
        failing_since=time_or_none(view.failing_ms),
        read_at=time_or_none(view.read_ms),
    )


def source(row: SourceState) -> models.PriceSource:
    """A source of a price."""
    return models.PriceSource(
        source=row.source,
        price=None if row.value_e18 is None else e18(row.value_e18),
        at=time_or_none(row.at_ms),
        problem=row.problem,
        message=row.message,
        failures=row.failures,
        read_at=iso(row.read_ms),
    )


def price_point(row: PricePoint) -> models.PricePoint:
    """A price of the history."""
    return models.PricePoint(
        at=iso(row.at_ms),
        checked_at=iso(row.checked_ms),
        price=e18(row.value_e18),
        source=row.source,
        degraded=row.degraded,
        reason=row.reason,
    )
