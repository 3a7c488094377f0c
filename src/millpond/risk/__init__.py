"""Limits, rates, pauses and circuit breakers, checked before every change of state.

One engine for all pools. A caller asks in the transaction of its reservation;
what is refused is written down as a violation. May touch the store, money, the
trail and alerts. Promises: what was refused changed nothing, and a pause never
holds principal back unless exits themselves are the reason. See docs/risk.md.
"""

from typing import TYPE_CHECKING

from millpond.lazy import lazily

if TYPE_CHECKING:
    from millpond.risk.chain import ChainCache, ChainLimits, ChainReading
    from millpond.risk.engine import RiskEngine
    from millpond.risk.errors import RiskRefusedError
    from millpond.risk.facts import Exposure
    from millpond.risk.model import (
        LIMIT_AMOUNTS,
        PLATFORM,
        Function,
        Hold,
        HoldKind,
        Limits,
        Request,
        Role,
        Rule,
        Scope,
        ScopeKind,
        Violation,
    )
    from millpond.risk.rules import Decision
    from millpond.risk.settings import RiskSettings
    from millpond.risk.status import ScopeStatus
else:
    __getattr__ = lazily(
        __name__,
        {
            "chain": ("ChainCache", "ChainLimits", "ChainReading"),
            "engine": ("RiskEngine",),
            "errors": ("RiskRefusedError",),
            "facts": ("Exposure",),
            "model": (
                "LIMIT_AMOUNTS",
                "PLATFORM",
                "Function",
                "Hold",
                "HoldKind",
                "Limits",
                "Request",
                "Role",
                "Rule",
                "Scope",
                "ScopeKind",
                "Violation",
            ),
            "rules": ("Decision",),
            "settings": ("RiskSettings",),
            "status": ("ScopeStatus",),
        },
    )

__all__ = [
    "LIMIT_AMOUNTS",
    "PLATFORM",
    "ChainCache",
    "ChainLimits",
    "ChainReading",
    "Decision",
    "Exposure",
    "Function",
    "Hold",
    "HoldKind",
    "Limits",
    "Request",
    "RiskEngine",
    "RiskRefusedError",
    "RiskSettings",
    "Role",
    "Rule",
    "Scope",
    "ScopeKind",
    "ScopeStatus",
    "Violation",
]
