"""What an operator sets about the risk engine as a whole; limits are set per scope."""

from __future__ import annotations

import msgspec


class RiskSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How holds and records are kept.

    Attributes:
        exit_hold_max_s: Longest time that one hold keeps exits closed; after it the
            exits open by themselves, or the reason is found again.
        violations_kept_days: How long violations can be read.
        chain_max_age_s: Limits of a contract that were read longer ago are said to be stale.
    """

    exit_hold_max_s: int = 72 * 3600
    violations_kept_days: int = 365
    chain_max_age_s: int = 900

    def __post_init__(self) -> None:
        assert 60 <= self.exit_hold_max_s <= 30 * 86_400, "exits are held a minute to 30 days"
        assert self.violations_kept_days >= 1, "violations are kept a day at least"
        assert self.chain_max_age_s > 0, "what was read is good for some time"
