"""Limits, pauses and breakers as people and watchers set and end them, all on the trail."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from prometheus_client import Counter

from millpond.alerts import Alerts, Severity
from millpond.clock import Clock, Ids
from millpond.money.ledger import Ledger
from millpond.risk import rows
from millpond.risk.errors import (
    ExitsStayOpenError,
    HoldNotFoundError,
    HoldTimeError,
    RiskRoleError,
)
from millpond.risk.model import (
    EXITS,
    NOT_EXITS,
    Function,
    Hold,
    HoldKind,
    Limits,
    Role,
    Scope,
)
from millpond.risk.settings import RiskSettings
from millpond.store import Tx
from millpond.trail import Trail

_TRIPS = Counter("millpond_risk_breaker_trips", "Breakers that tripped", ["breaker"])
_PAUSES = Counter("millpond_risk_pauses", "Pauses by people", ["exits"])

HELD_BY: Mapping[HoldKind, frozenset[Function]] = {
    HoldKind.OUTFLOW: EXITS | {Function.CLAIM},
    HoldKind.RATE_JUMP: NOT_EXITS,
    HoldKind.ORACLE: NOT_EXITS,
    HoldKind.RECONCILIATION: NOT_EXITS,
}
"""What each breaker holds. Only the outflow breaker is about exits by itself."""

RESET_BY: Mapping[HoldKind, Role] = {
    HoldKind.OUTFLOW: Role.OWNER,
    HoldKind.RATE_JUMP: Role.ADMIN,
    HoldKind.ORACLE: Role.ADMIN,
    HoldKind.RECONCILIATION: Role.OWNER,
}
"""Who may reset each breaker."""

OUTFLOW_BECAUSE = "what leaves is itself what is unusual"


class Holds:
    """Setting limits, pausing, tripping, and ending holds.

    Args:
        ledger: For `RiskEngine.reserve`.
        clock: Time.
        ids: Identifiers of holds and violations.
        trail: Where acts are recorded.
        alerts: Where holds are shown.
        settings: How long holds may last.
    """

    def __init__(  # noqa: PLR0917 - in the order in which rooms depend on each other
        self,
        ledger: Ledger,
        clock: Clock,
        ids: Ids,
        trail: Trail | None = None,
        alerts: Alerts | None = None,
        settings: RiskSettings | None = None,
    ) -> None:
        self.settings = settings or RiskSettings()
        self._ledger = ledger
        self._clock = clock
        self._ids = ids
        self._trail = trail or Trail(clock)
        self._alerts = alerts or Alerts(clock, ids)

    async def limits(self, tx: Tx, scope: Scope, asset: str) -> Limits:
        """The limits that were set for a scope in an asset."""
        found = await rows.limit_rows(tx, [scope], asset)
        return next((row.limits for row in found if row.source == rows.SET), Limits())

    async def set_limits(
        self,
        tx: Tx,
        actor: str,
        scope: Scope,
        asset: str,
        limits: Limits,
        *,
        reason: str = "",
        role: Role = Role.ADMIN,
    ) -> Limits:
        """Set all limits of a scope in an asset; what is None is no limit.

        Returns:
            The limits before.

        Raises:
            RiskRoleError: A guardian may not.
        """
        _need(role, Role.ADMIN)
        before = await self.limits(tx, scope, asset)
        row = rows.LimitRow(
            scope=scope,
            asset=asset,
            source=rows.SET,
            limits=limits,
            paused=frozenset(),
            block=None,
            updated_ms=self._clock.now_ms(),
        )
        await rows.put_limits(tx, row)
        await self._trail.record(
            tx,
            actor,
            "risk.limits",
            scope.path,
            before={"asset": asset, **before.to_json()},
            after={"asset": asset, **limits.to_json()},
            reason=reason,
        )
        return before

    async def pause(
        self,
        tx: Tx,
        actor: str,
        scope: Scope,
        function: Function | None,
        reason: str,
        *,
        expires_ms: int | None = None,
        exits_because: str = "",
    ) -> Hold:
        """Pause one function of a scope, or with None all but the exits: the emergency pause.

        Args:
            tx: The transaction.
            actor: Who.
            scope: Where.
            function: What; None: everything that is no exit, and with
                `exits_because` the exits too.
            reason: Why.
            expires_ms: When it ends by itself, Unix milliseconds. Exits are held for
                `exit_hold_max_s` where none is given.
            exits_because: Why the exits themselves are the reason.

        Raises:
            ExitsStayOpenError: An exit is named, and no reason that is about exits.
            HoldTimeError: It would end in the past, or hold exits for too long.
        """
        functions = NOT_EXITS if function is None else frozenset({function})
        if function is None and exits_because:
            functions |= EXITS
        if functions & EXITS and not exits_because:
            raise ExitsStayOpenError(
                "exits stay open unless they themselves are the reason; say why they are"
            )
        hold = await self._hold(
            tx,
            HoldKind.PAUSE,
            scope,
            "",
            functions,
            reason,
            actor=actor,
            until_ms=expires_ms,
            exits_because=exits_because,
        )
        _PAUSES.labels(str(bool(functions & EXITS)).lower()).inc()
        return hold

    async def resume(
        self,
        tx: Tx,
        actor: str,
        scope: Scope,
        function: Function | None,
        reason: str,
        *,
        role: Role = Role.ADMIN,
    ) -> list[Hold]:
        """End the pauses of a scope that hold a function; None ends all of them.

        Raises:
            RiskRoleError: A guardian may not.
            HoldNotFoundError: Nothing is paused there.
        """
        _need(role, Role.ADMIN)
        active = await rows.active_holds(tx, [scope], None, self._clock.now_ms())
        paused = [
            hold
            for hold in active
            if hold.kind is HoldKind.PAUSE and (function is None or function in hold.functions)
        ]
        if not paused:
            raise HoldNotFoundError("nothing like that is paused", scope=scope.path)
        return [await self._end(tx, hold, actor, "risk.resume", reason) for hold in paused]

    async def trip(
        self,
        tx: Tx,
        kind: HoldKind,
        scope: Scope,
        reason: str,
        *,
        asset: str = "",
        details: Mapping[str, Any] | None = None,
        held: Collection[Function] | None = None,
        exits_because: str = "",
        actor: str = "risk",
    ) -> Hold:
        """Trip a breaker; one that is tripped counts.

        Args:
            tx: The transaction.
            kind: Which breaker.
            scope: Where.
            reason: Why, one sentence.
            asset: In which asset's matters; empty: all.
            details: Figures.
            held: What is held; None: what `HELD_BY` says.
            exits_because: Why the exits are held too. The outflow breaker knows.
            actor: Who found it.

        Raises:
            ExitsStayOpenError: Exits would be held without a reason that is about them.
        """
        assert kind is not HoldKind.PAUSE, "a pause is made by `pause`"
        functions = HELD_BY[kind] if held is None else frozenset(held)
        if exits_because and held is None:
            functions |= EXITS
        if kind is HoldKind.OUTFLOW:
            exits_because = exits_because or OUTFLOW_BECAUSE
        if functions & EXITS and not exits_because:
            raise ExitsStayOpenError("this breaker is not about exits, so they stay open")
        self._count_trip(kind)
        return await self._hold(
            tx,
            kind,
            scope,
            asset,
            functions,
            reason,
            actor=actor,
            until_ms=None,
            exits_because=exits_because if functions & EXITS else "",
            details=dict(details or {}),
        )

    async def reset_breaker(
        self, tx: Tx, actor: str, hold_id: str, reason: str, *, role: Role
    ) -> Hold:
        """Reset a breaker that tripped, or end one pause by its identifier.

        Raises:
            HoldNotFoundError: There is none that holds.
            RiskRoleError: The breaker wants somebody with more rights.
        """
        hold = await rows.fetch_hold(tx, hold_id)
        if hold is None or not hold.active(self._clock.now_ms()):
            raise HoldNotFoundError("no such pause or breaker holds", hold=hold_id)
        _need(role, hold.reset_role)
        return await self._end(tx, hold, actor, "risk.reset", reason)

    async def lapse(self, tx: Tx, *, limit: int = 100) -> list[Hold]:
        """Write off holds whose time is over; they have stopped holding already."""
        over = await rows.lapsed_holds(tx, self._clock.now_ms(), limit)
        return [
            await self._end(tx, hold, "time", "risk.lapse", "its time was over") for hold in over
        ]

    def _count_trip(self, kind: HoldKind) -> None:
        _TRIPS.labels(kind.value).inc()

    def _draft(
        self,
        kind: HoldKind,
        scope: Scope,
        asset: str,
        functions: frozenset[Function],
        reason: str,
        *,
        actor: str,
        until_ms: int | None,
        exits_because: str,
        details: dict[str, Any] | None = None,
    ) -> Hold:
        now_ms = self._clock.now_ms()
        return Hold(
            id=self._ids.new(),
            kind=kind,
            scope=scope,
            asset=asset,
            functions=functions,
            reason=reason,
            exits_because=exits_because,
            details=details or {},
            actor=actor,
            reset_role=RESET_BY.get(kind, Role.ADMIN),
            count=1,
            since_ms=now_ms,
            last_ms=now_ms,
            until_ms=self._checked_end(functions, until_ms, now_ms),
        )

    async def _hold(self, tx: Tx, *what: Any, **options: Any) -> Hold:
        return await self._write_hold(tx, self._draft(*what, **options))

    async def _write_hold(self, tx: Tx, draft: Hold) -> Hold:
        """Write a hold with its alert and its entry on the trail; may be repeated."""
        known = await rows.fetch_hold(tx, draft.id)
        if known is not None:
            return known
        hold = await rows.put_hold(tx, draft)
        paused = hold.kind is HoldKind.PAUSE
        await self._alerts.raise_(
            tx,
            "risk_pause" if paused else "risk_breaker",
            _subject(hold),
            Severity.WARNING if paused else Severity.CRITICAL,
            hold.reason,
            {"held": sorted(hold.functions), "hold": hold.id, **hold.details},
        )
        if paused or hold.count == 1:
            await self._trail.record(
                tx,
                hold.actor,
                "risk.pause" if paused else "risk.trip",
                hold.scope.path,
                after=_document(hold),
                reason=hold.reason,
            )
        return hold

    async def _end(self, tx: Tx, hold: Hold, actor: str, action: str, reason: str) -> Hold:
        ended = await rows.end_hold(
            tx, hold, now_ms=self._clock.now_ms(), actor=actor, reason=reason
        )
        kind = "risk_pause" if hold.kind is HoldKind.PAUSE else "risk_breaker"
        await self._alerts.clear(tx, kind, _subject(hold))
        await self._trail.record(
            tx, actor, action, hold.scope.path, before=_document(hold), reason=reason
        )
        return ended

    def _checked_end(
        self, functions: frozenset[Function], until_ms: int | None, now_ms: int
    ) -> int | None:
        latest = now_ms + self.settings.exit_hold_max_s * 1000
        if until_ms is not None and until_ms <= now_ms:
            raise HoldTimeError("a hold ends in the future")
        if not functions & EXITS:
            return until_ms
        if until_ms is not None and until_ms > latest:
            raise HoldTimeError(
                "exits are held no longer than the settings allow",
                seconds=self.settings.exit_hold_max_s,
            )
        return until_ms or latest


def _need(role: Role, needed: Role) -> None:
    if not role.may(needed):
        raise RiskRoleError(f"this needs the role {needed.value}", role=role.value)


def _subject(hold: Hold) -> str:
    """The condition that an alert is about; one for each open hold."""
    parts = [hold.scope.path, hold.kind.value, hold.asset]
    if hold.kind is HoldKind.PAUSE:
        parts.append(rows.functions_text(hold.functions))
    return ":".join(part for part in parts if part)[:200]


def _document(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "kind": hold.kind.value,
        "asset": hold.asset,
        "held": sorted(hold.functions),
        "exits_because": hold.exits_because,
        "until_ms": hold.until_ms,
        "details": hold.details,
    }
