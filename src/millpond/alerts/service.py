"""Raising, clearing, acknowledging and reading alerts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from prometheus_client import Gauge
from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    case,
    delete,
    func,
    null,
    select,
    text,
    true,
    update,
)

from millpond.alerts.model import Alert, AlertNotFoundError, Severity
from millpond.alerts.tables import OPEN, alert_table
from millpond.clock import Clock, Ids
from millpond.store import Tx
from millpond.store.sql import any_of, insert_into

_A = alert_table.c

MAX_PAGE = 1_000
"""Most alerts that one call reads or prunes."""

KEPT_MS = 90 * 24 * 3_600_000
"""How long an alert is kept after it was cleared: 90 days."""

_MAX_MESSAGE = 500
_MAX_DETAILS = 8_000
_RANKS = {severity.value: rank for rank, severity in enumerate(Severity)}

_OPEN_ALERTS = Gauge(
    "millpond_alerts_open",
    "Conditions that last, by how bad they are and whether somebody acknowledged them",
    ["severity", "acknowledged"],
)


class Alerts:
    """The alerts of the platform.

    All functions work inside the caller's transaction. Whoever raises inside a
    transaction that it then rolls back has raised nothing: what must be seen
    although the work failed is raised in a transaction of its own.

    Args:
        clock: For the times in the rows.
        ids: For new rows.
    """

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    async def raise_(  # noqa: PLR0917 - they read as a sentence in this order
        self,
        tx: Tx,
        kind: str,
        subject: str,
        severity: Severity,
        message: str,
        details: Mapping[str, Any] | None = None,
    ) -> Alert:
        """Open an alert, or count one more time on the one that is open.

        Severity, message and details become those of this time. One that got
        worse than what was acknowledged is no longer acknowledged.

        Args:
            tx: The transaction of what is alerted about.
            kind: What kind of condition; letters, digits and underscores.
            subject: What it is about; with `kind` it says which condition it is.
            severity: How soon a person should look.
            message: One plain sentence; cut at 500 characters.
            details: A JSON document with figures; dropped if over 8,000 bytes.
        """
        assert kind.replace("_", "").isalnum(), "a kind is one word"
        assert 0 < len(subject) <= 200, "a subject has 1 to 200 characters"
        now = self._clock.now_ms()
        insert = insert_into(tx, alert_table)
        new = insert.excluded
        worse = _rank(new.severity) > _rank(_A.severity)
        statement = insert.values(
            id=self._ids.new(),
            kind=kind,
            subject=subject,
            severity=severity.value,
            message=plain(message),
            details=_bounded(details or {}),
            count=1,
            first_ms=now,
            last_ms=now,
        ).on_conflict_do_update(
            index_elements=["kind", "subject"],
            index_where=text(OPEN),
            set_={
                "severity": new.severity,
                "message": new.message,
                "details": new.details,
                "count": _A.count + 1,
                "last_ms": case((new.last_ms > _A.last_ms, new.last_ms), else_=_A.last_ms),
                "acknowledged_by": case((worse, null()), else_=_A.acknowledged_by),
                "acknowledged_ms": case((worse, null()), else_=_A.acknowledged_ms),
            },
        )
        return _alert((await tx.execute(statement.returning(alert_table))).one())

    async def clear(self, tx: Tx, kind: str, subject: str) -> Alert | None:
        """Say that a condition is over; None if no such alert was open."""
        statement = (
            update(alert_table)
            .where(_A.kind == kind, _A.subject == subject, _A.cleared_ms.is_(None))
            .values(cleared_ms=self._clock.now_ms())
        )
        row = (await tx.execute(statement.returning(alert_table))).first()
        return None if row is None else _alert(row)

    async def acknowledge(self, tx: Tx, alert_id: str, actor: str) -> Alert:
        """Note that `actor` knows; who was first stays noted.

        Raises:
            AlertNotFoundError: No alert has this id.
        """
        assert actor, "somebody acknowledges"
        await tx.execute(
            update(alert_table)
            .where(_A.id == alert_id, _A.acknowledged_ms.is_(None))
            .values(acknowledged_by=actor, acknowledged_ms=self._clock.now_ms())
        )
        return await self.get(tx, alert_id)

    async def get(self, tx: Tx, alert_id: str) -> Alert:
        """One alert.

        Raises:
            AlertNotFoundError: No alert has this id.
        """
        row = (await tx.execute(select(alert_table).where(_A.id == alert_id))).first()
        if row is None:
            raise AlertNotFoundError("there is no such alert")
        return _alert(row)

    @staticmethod
    async def find_open(tx: Tx, kind: str, subject: str) -> Alert | None:
        """The open alert of this kind and subject, if there is one."""
        query = select(alert_table).where(
            _A.kind == kind, _A.subject == subject, _A.cleared_ms.is_(None)
        )
        row = (await tx.execute(query)).first()
        return None if row is None else _alert(row)

    async def open(
        self,
        tx: Tx,
        *,
        kinds: Collection[str] | None = None,
        subject: str | None = None,
        limit: int = 200,
    ) -> list[Alert]:
        """Open alerts, the gravest first, of those the one raised last."""
        assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} alerts"
        query = (
            select(alert_table)
            .where(_A.cleared_ms.is_(None), _matching(tx, kinds, subject))
            .order_by(_rank(_A.severity).desc(), _A.last_ms.desc(), _A.id.desc())
        )
        return [_alert(row) for row in await tx.execute(query.limit(limit))]

    async def page(
        self,
        tx: Tx,
        *,
        before: str | None = None,
        kinds: Collection[str] | None = None,
        subject: str | None = None,
        limit: int = 50,
    ) -> list[Alert]:
        """Alerts open or cleared, the newest first; `before` is the last id of the page before."""
        assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} alerts"
        query = select(alert_table).where(_matching(tx, kinds, subject))
        if before is not None:
            query = query.where(_A.id < before)
        query = query.order_by(_A.id.desc()).limit(limit)
        return [_alert(row) for row in await tx.execute(query)]

    async def observe(self, tx: Tx) -> dict[Severity, int]:
        """Count what is open, for the caller and for the metrics."""
        acknowledged = _A.acknowledged_ms.is_not(None).label("acknowledged")
        query = (
            select(_A.severity, acknowledged, func.count())
            .where(_A.cleared_ms.is_(None))
            .group_by(_A.severity, acknowledged)
        )
        found = {(row[0], bool(row[1])): int(row[2]) for row in await tx.execute(query)}
        for severity in Severity:
            for known in (False, True):
                count = found.get((severity.value, known), 0)
                _OPEN_ALERTS.labels(severity.value, str(known).lower()).set(count)
        return {
            severity: found.get((severity.value, False), 0) + found.get((severity.value, True), 0)
            for severity in Severity
        }

    async def prune(self, tx: Tx) -> int:
        """Delete up to `MAX_PAGE` alerts that were cleared longer ago than `KEPT_MS`.

        Returns:
            How many were deleted.
        """
        horizon = self._clock.now_ms() - KEPT_MS
        old = select(_A.id).where(_A.cleared_ms < horizon).order_by(_A.cleared_ms)
        gone = await tx.execute(delete(alert_table).where(_A.id.in_(old.limit(MAX_PAGE))))
        return int(gone.rowcount)


def plain(message: str) -> str:
    """A message that any database and any page takes, of at most 500 characters.

    What strangers said may stand in it: PostgreSQL takes no NUL, pages no controls.
    """
    return "".join(c if c.isprintable() else "?" for c in message[:_MAX_MESSAGE])


def _rank(severity: ColumnElement[str]) -> ColumnElement[int]:
    return case(_RANKS, value=severity, else_=len(_RANKS))


def _matching(tx: Tx, kinds: Collection[str] | None, subject: str | None) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [true()]
    if kinds is not None:
        conditions.append(any_of(tx, _A.kind, kinds))
    if subject is not None:
        conditions.append(_A.subject == subject)
    return and_(*conditions)


def _bounded(details: Mapping[str, Any]) -> dict[str, Any]:
    size = len(msgspec.json.encode(details))
    return dict(details) if size <= _MAX_DETAILS else {"dropped_bytes": size}


def _alert(row: Row[Any]) -> Alert:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    return Alert(**{**values, "severity": Severity(values["severity"])})
