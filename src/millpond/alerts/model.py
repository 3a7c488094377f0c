"""An alert and how bad it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from millpond.errors import NotFoundError


class Severity(StrEnum):
    """How soon a person should look; the order of definition is from mild to grave."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One condition, from when it was first seen until it was cleared.

    Attributes:
        id: Sorts by the time the condition was first seen.
        kind: What kind of condition, such as `oracle_stale`.
        subject: What it is about, such as `BTCD/USD` or `pool:btcd-main-pool`.
        severity: How soon a person should look: that of the last time it was raised.
        message: One plain sentence, of the last time it was raised.
        details: Figures that belong to the message.
        count: How often it was raised.
        first_ms: When first, Unix milliseconds.
        last_ms: When last.
        acknowledged_by: Who said that they know; None if nobody did.
        acknowledged_ms: When they did.
        cleared_ms: When the condition was over; None while it lasts.
    """

    id: str
    kind: str
    subject: str
    severity: Severity
    message: str
    details: dict[str, Any]
    count: int
    first_ms: int
    last_ms: int
    acknowledged_by: str | None = None
    acknowledged_ms: int | None = None
    cleared_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether the condition lasts, as far as is known."""
        return self.cleared_ms is None

    @property
    def is_new(self) -> bool:
        """Whether it was raised only once so far."""
        return self.count == 1


class AlertNotFoundError(NotFoundError):
    """No alert has this id."""

    code = "alert_not_found"
