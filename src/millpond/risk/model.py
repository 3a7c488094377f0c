"""Scopes, functions, requests, limits, holds and violations: the values of the room. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from millpond.errors import InvalidInputError
from millpond.money.amount import Asset


class ScopeError(InvalidInputError):
    """A text names no scope."""

    code = "risk_invalid_scope"


class ScopeKind(StrEnum):
    """How far something reaches; from wide to narrow."""

    PLATFORM = "platform"
    PRODUCT = "product"
    POOL = "pool"
    USER = "user"


class Scope(msgspec.Struct, frozen=True, order=True):
    """What limits, pauses and breakers are of; `id` is empty for the platform."""

    kind: ScopeKind
    id: str = ""

    def __post_init__(self) -> None:
        if (self.kind is ScopeKind.PLATFORM) != (self.id == "") or len(self.id) > 190:
            raise ScopeError("only the platform is a scope without a name")

    @property
    def path(self) -> str:
        """`platform`, `product:staking`, `pool:btcd-main-pool`, `user:0x…`."""
        return f"{self.kind.value}:{self.id}" if self.id else self.kind.value

    @classmethod
    def parse(cls, path: str) -> Scope:
        """Read a path.

        Raises:
            ScopeError: It is none.
        """
        kind, _, name = path.partition(":")
        if kind not in ScopeKind.__members__.values():
            raise ScopeError(f"{path[:80]!r} is no scope")
        return cls(ScopeKind(kind), name)

    @classmethod
    def product(cls, name: str) -> Scope:
        """All pools of a product, such as `mining`."""
        return cls(ScopeKind.PRODUCT, name)

    @classmethod
    def pool(cls, pool_id: str) -> Scope:
        """One pool."""
        return cls(ScopeKind.POOL, pool_id)

    @classmethod
    def user(cls, wallet: str) -> Scope:
        """One person's wallet, in every pool."""
        return cls(ScopeKind.USER, wallet)


PLATFORM = Scope(ScopeKind.PLATFORM)


class Function(StrEnum):
    """What is checked before it is done.

    `WITHDRAW` takes a principal back and `PAYOUT` takes earned coins out of a
    mining pool: these two are the exits, which no pause closes unless it says
    that the exits themselves are the reason. `CLAIM` takes rewards out.
    """

    DEPOSIT = "deposit"
    WITHDRAW = "withdraw"
    REWARDS = "rewards"
    CLAIM = "claim"
    PAYOUT = "payout"
    ORDER = "order"

    @property
    def is_exit(self) -> bool:
        """Whether people get back what is theirs by it."""
        return self in EXITS

    @property
    def leaves(self) -> bool:
        """Whether money leaves the platform by it."""
        return self in EXITS or self is Function.CLAIM

    @property
    def enters(self) -> bool:
        """Whether money comes in by it."""
        return self is Function.DEPOSIT


EXITS = frozenset({Function.WITHDRAW, Function.PAYOUT})
NOT_EXITS = frozenset(Function) - EXITS
"""What an emergency pause stops."""


class Rule(StrEnum):
    """What can refuse a request; `risk_<rule>` is the error's code."""

    PAUSED = "paused"
    BREAKER = "breaker"
    TVL_CAP = "tvl_cap"
    DEPOSIT_CAP = "deposit_cap"
    USER_CAP = "user_cap"
    WITHDRAWAL_CAP = "withdrawal_cap"
    USER_24H = "user_24h"
    TOTAL_24H = "total_24h"
    RATE_OF_CHANGE = "rate_of_change"
    OUTFLOW = "outflow"
    UNMEASURED = "unmeasured"


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters of a scope in one asset; amounts in base units, None: no limit.

    Attributes:
        tvl_cap: Most that may be locked in the scope.
        deposit_cap: Largest single deposit.
        user_cap: Most that one user may have in the scope.
        withdrawal_cap: Largest single withdrawal, payout or claim.
        user_24h: Most that one user may take out of the scope in any 24 hours.
        total_24h: Most that all together may ask for in any 24 hours; what people take
            out by their own transactions is not in it.
        change_bps: Largest net change of what is locked in `change_window_s`, either
            way, in hundredths of a per cent of what was locked when the window began.
        change_window_s: Window of `change_bps`.
        outflow_cap: More than this asked for in `outflow_window_s` trips the breaker.
        outflow_window_s: Window of `outflow_cap`.
        rate_jump_bps: A rate that moves by more between two looks trips the breaker.
        oracle_max_age_s: A price that is older trips the breaker.
        difference_cap: A larger difference between books and chain trips the breaker.
    """

    tvl_cap: int | None = None
    deposit_cap: int | None = None
    user_cap: int | None = None
    withdrawal_cap: int | None = None
    user_24h: int | None = None
    total_24h: int | None = None
    change_bps: int | None = None
    change_window_s: int = 3600
    outflow_cap: int | None = None
    outflow_window_s: int = 3600
    rate_jump_bps: int | None = None
    oracle_max_age_s: int | None = None
    difference_cap: int | None = None

    def __post_init__(self) -> None:
        values = msgspec.structs.asdict(self)
        for name, value in values.items():
            if value is not None and (type(value) is not int or not 0 <= value < 10**78):
                raise LimitError(f"{name} is a whole number of base units, not below zero")
        for name in ("change_window_s", "outflow_window_s"):
            if not 60 <= values[name] <= MAX_WINDOW_S:
                raise LimitError(f"{name} is a minute to {MAX_WINDOW_S // 86_400} days")

    def to_json(self) -> dict[str, str]:
        """What is set, amounts as decimal text."""
        values = msgspec.structs.asdict(self)
        defaults = msgspec.structs.asdict(Limits())
        return {name: str(v) for name, v in values.items() if v != defaults[name]}

    @classmethod
    def from_json(cls, document: dict[str, str]) -> Limits:
        """What `to_json` wrote.

        Raises:
            LimitError: It names no such limit, or its value is no whole number.
        """
        if unknown := set(document) - set(cls.__struct_fields__):
            raise LimitError(f"there is no limit {min(unknown)}")
        try:
            return cls(**{name: int(value) for name, value in document.items()})
        except (TypeError, ValueError):
            raise LimitError("a limit is a whole number") from None


LIMIT_AMOUNTS = frozenset(
    name for name in Limits.__struct_fields__ if not name.endswith(("_s", "_bps"))
)
"""Limits that are amounts of the asset; the others are seconds or basis points."""


class LimitError(InvalidInputError):
    """A limit that cannot be."""

    code = "risk_invalid_limit"


DAY_S = 86_400
MAX_WINDOW_S = 7 * DAY_S


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to do, before it is done.

    Attributes:
        function: What.
        product: `mining`, `staking` …
        pool_id: In which pool.
        user: Whose wallet; empty where it concerns nobody in particular.
        asset: Of what.
        amount: Base units.
        reference: Identity of what is reserved, such as `payout:<id>`. What leaves is
            counted once under it. Empty only asks (a deposit that is still to be signed).
        key: Repeated refusals under one key are one row that counts; empty: a row each.
        tvl: What is locked in the pool now; None if the asker does not know.
        user_total: What the user has in the pool now.
    """

    function: Function
    product: str
    pool_id: str
    user: str
    asset: Asset
    amount: int
    reference: str = ""
    key: str = ""
    tvl: int | None = None
    user_total: int | None = None

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes it falls under, wide to narrow."""
        user = (Scope.user(self.user),) if self.user else ()
        return (PLATFORM, Scope.product(self.product), Scope.pool(self.pool_id), *user)


class HoldKind(StrEnum):
    """Who or what holds: a person's pause, or a breaker that tripped."""

    PAUSE = "pause"
    OUTFLOW = "outflow"
    RATE_JUMP = "rate_jump"
    ORACLE = "oracle"
    RECONCILIATION = "reconciliation"


class Role(StrEnum):
    """Who may do what: a guardian pauses, an admin also resumes, the owner may do all."""

    GUARDIAN = "guardian"
    ADMIN = "admin"
    OWNER = "owner"

    def may(self, needed: Role) -> bool:
        """Whether this role includes the other."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A pause, or a breaker that tripped; from then until somebody or time ended it.

    Attributes:
        id: Sorts by time.
        kind: A pause or which breaker.
        scope: Where.
        asset: In which asset's matters; empty: all.
        functions: What is held.
        reason: Why, one sentence.
        exits_because: Why the exits are held too; empty where they stay open.
        details: Figures.
        actor: Who paused; `risk` where a breaker tripped by itself.
        reset_role: Who may end it.
        count: How often it was found again.
        since_ms: When.
        last_ms: When it was found last.
        until_ms: When it ends by itself; None: never. What holds exits always ends.
        ended_ms: When it was ended; None while nobody did.
        ended_by: By whom; `time` where its time was over.
        end_reason: Why.
    """

    id: str
    kind: HoldKind
    scope: Scope
    asset: str
    functions: frozenset[Function]
    reason: str
    exits_because: str
    details: dict[str, Any]
    actor: str
    reset_role: Role
    count: int
    since_ms: int
    last_ms: int
    until_ms: int | None
    ended_ms: int | None = None
    ended_by: str = ""
    end_reason: str = ""

    def active(self, now_ms: int) -> bool:
        """Whether it holds now."""
        return self.ended_ms is None and (self.until_ms is None or now_ms < self.until_ms)


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal, as it was written.

    Attributes:
        id: Sorts by time.
        at_ms: When first.
        last_ms: When last, for one that was repeated under one key.
        count: How often.
        function: What was wanted.
        product: Of which product.
        pool_id: In which pool.
        user: By whom; may be empty.
        asset: Of what.
        amount: How much, base units.
        reference: What would have been reserved.
        rule: Which rule refused it.
        scope: Whose rule it was.
        limit: The rule's figure; None for holds.
        used: How much of it was taken already.
        message: One sentence.
        hold_id: The pause or breaker.
    """

    id: str
    at_ms: int
    last_ms: int
    count: int
    function: Function
    product: str
    pool_id: str
    user: str
    asset: str
    amount: int
    reference: str
    rule: Rule
    scope: Scope
    limit: int | None
    used: int | None
    message: str
    hold_id: str | None
