"""What the API answers an operator. Amounts are text in base units."""

from __future__ import annotations

from typing import Any

from millpond.api.models import Model
from millpond.api.staking.models import RiskLimits


class Hold(Model, frozen=True, kw_only=True):
    """A pause, or a breaker that tripped.

    Attributes:
        kind: pause, outflow, rate_jump, oracle or reconciliation.
        active: Whether it holds now.
        actor: Who paused; `risk` where a breaker tripped by itself.
        reset_role: Who may end it.
        count: How often it was found again.
    """

    id: str
    kind: str
    scope: str
    asset: str
    held: list[str]
    active: bool
    reason: str
    exits_because: str
    details: dict[str, Any]
    actor: str
    reset_role: str
    count: int
    since: str
    until: str | None
    ended_at: str | None
    ended_by: str
    end_reason: str


class Violation(Model, frozen=True, kw_only=True):
    """A request that was refused."""

    id: str
    at: str
    last_at: str
    count: int
    function: str
    product: str
    pool_id: str
    user: str
    asset: str
    amount: str
    reference: str
    rule: str
    scope: str
    limit: str | None
    used: str | None
    message: str
    hold_id: str | None


class ScopeRisk(Model, frozen=True, kw_only=True):
    """Everything about a scope, with what wider scopes lay upon it."""

    scope: str
    held: list[str]
    exits_open: bool
    limits: list[RiskLimits]
    pauses: list[Hold]
    breakers: list[Hold]
    violations: list[Violation]


class LimitsSet(Model, frozen=True, kw_only=True):
    """Limits of a scope in one asset, before and after they were set."""

    scope: str
    asset: str
    before: dict[str, str]
    after: dict[str, str]


class Alert(Model, frozen=True, kw_only=True):
    """A condition that a person should see.

    Attributes:
        severity: info, warning or critical.
        count: How often it was raised.
        cleared_at: When it was over; null while it lasts.
    """

    id: str
    kind: str
    subject: str
    severity: str
    message: str
    details: dict[str, Any]
    count: int
    first_at: str
    last_at: str
    acknowledged_by: str | None
    acknowledged_at: str | None
    cleared_at: str | None


class TrailEntry(Model, frozen=True, kw_only=True):
    """An act of somebody with power, in the hash chain."""

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    before: dict[str, Any]
    after: dict[str, Any]
    reason: str
    previous: str
    hash: str


class TrailFault(Model, frozen=True, kw_only=True):
    """Something in the trail that is not as it was written."""

    seq: int
    kind: str
    text: str


class TrailCheck(Model, frozen=True, kw_only=True):
    """The trail recomputed.

    Attributes:
        entries: How many there are; with `head` an anchor to keep elsewhere.
        head: Hash of the newest.
    """

    ok: bool
    entries: int
    head: str
    faults: list[TrailFault]


class Task(Model, frozen=True, kw_only=True):
    """A periodic task; see docs/tasks.md."""

    name: str
    interval_s: float
    next_at: str
    lag_s: float
    running: bool
    holder: str | None
    requested_at: str | None
    requested_by: str
    last_start_at: str | None
    last_end_at: str | None
    last_ok_at: str | None
    last_result: str
    last_error: str
    runs: int
    failures: int
    failing: int


class Price(Model, frozen=True, kw_only=True):
    """What may be used as a price now; see docs/oracle.md.

    Attributes:
        price: Exact decimal; null: there is none that may decide anything.
        degraded: It is less than the policy asks for; `reason` says in which way.
        problem: Why the last round confirmed none; empty if it did.
    """

    asset: str
    quote: str
    price: str | None
    source: str
    at: str | None
    age_s: float | None
    degraded: bool
    reason: str
    problem: str
    failing_since: str | None
    read_at: str | None


class PriceSource(Model, frozen=True, kw_only=True):
    """How a source of a price is doing."""

    source: str
    price: str | None
    at: str | None
    problem: str
    message: str
    failures: int
    read_at: str


class PriceDetail(Model, frozen=True, kw_only=True):
    """A price with its sources."""

    price: Price
    sources: list[PriceSource]


class PricePoint(Model, frozen=True, kw_only=True):
    """One confirmed price of the history."""

    at: str
    checked_at: str
    price: str
    source: str
    degraded: bool
    reason: str
