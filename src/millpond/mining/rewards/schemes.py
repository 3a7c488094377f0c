"""The schemes, and the registry through which settings choose one.

To add a scheme, write a class that satisfies `Scheme` and add its builder to
`BUILDERS`; docs/rewards.md walks through it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Protocol

from millpond.errors import InvalidInputError
from millpond.mining.rewards.allocation import (
    Allocation,
    LineKind,
    Weights,
    after_fees,
    allocate_by_weight,
)
from millpond.mining.rewards.settings import FeeRules, RewardSettings
from millpond.mining.rewards.window import Reach, Window


class RewardSettingsError(InvalidInputError):
    """The rewards section of a pool names no scheme that can pay."""

    code = "invalid_rewards"


class Scheme(Protocol):
    """How a reward is split."""

    @property
    def name(self) -> str:
        """The name in settings and in the API."""

    @property
    def pays_shares(self) -> bool:
        """True if shares are paid as they come, whether or not blocks are found."""

    def reach(self, network_difficulty: int) -> Reach:
        """Which shares a block of that difficulty (fixed point) looks back on."""

    def allocate(self, window: Window, reward: int, fees: FeeRules) -> Allocation:
        """Split `reward` base units over what `take_window` found within reach."""


class YoungWindow(StrEnum):
    """Who gets the part of a window that no share fills yet."""

    MINERS = "miners"
    """Those who are there are paid by what is there: a sole miner gets all."""
    POOL = "pool"
    """The pool keeps it: an early miner gets what a full window would give."""


@dataclass(frozen=True, slots=True)
class Pplns:
    """Pay per last N shares: the newest shares worth N network difficulties.

    The oldest share counts for the part that lies within. A share may be paid
    by several blocks and by none; the expected pay of a share is the same as
    under PPS, and pool hopping gains nothing.
    """

    window: Fraction
    young_window: YoungWindow = YoungWindow.MINERS
    name: str = "pplns"
    pays_shares: bool = False

    def reach(self, network_difficulty: int) -> Reach:
        """N times the network difficulty."""
        return Reach(difficulty=self.window * network_difficulty)

    def allocate(self, window: Window, reward: int, fees: FeeRules) -> Allocation:
        """In proportion to the difficulty within the window."""
        weights = after_fees(window.weights.items(), fees)
        if self.young_window is YoungWindow.POOL and window.limit is not None:
            missing = (window.limit - window.total) * 10_000
            weights[LineKind.FEE, ""] = weights.get((LineKind.FEE, ""), 0) + missing
        return allocate_by_weight(self.name, weights, reward, window)


@dataclass(frozen=True, slots=True)
class Prop:
    """Proportional: the shares of the round, from the block before to this one."""

    name: str = "prop"
    pays_shares: bool = False

    def reach(self, network_difficulty: int) -> Reach:
        """The round."""
        del network_difficulty
        return Reach(round_only=True)

    def allocate(self, window: Window, reward: int, fees: FeeRules) -> Allocation:
        """In proportion to the difficulty within the round."""
        weights = after_fees(window.weights.items(), fees)
        return allocate_by_weight(self.name, weights, reward, window)


@dataclass(frozen=True, slots=True)
class Solo:
    """All to the finder, less the fee."""

    name: str = "solo"
    pays_shares: bool = False

    def reach(self, network_difficulty: int) -> Reach:
        """The share that found the block."""
        del network_difficulty
        return Reach(shares=1)

    def allocate(self, window: Window, reward: int, fees: FeeRules) -> Allocation:
        """To whoever sent the one share of the window."""
        weights = after_fees(window.weights.items(), fees)
        return allocate_by_weight(self.name, weights, reward, window)


@dataclass(frozen=True, slots=True)
class Groups:
    """Fixed parts for fixed addresses, whoever found the block."""

    parts: Mapping[str, int]
    name: str = "groups"
    pays_shares: bool = False

    def reach(self, network_difficulty: int) -> Reach:
        """No share but the block's own, for the record."""
        del network_difficulty
        return Reach(shares=1)

    def allocate(self, window: Window, reward: int, fees: FeeRules) -> Allocation:
        """In proportion to the parts."""
        weights = after_fees(self.parts.items(), fees)
        return allocate_by_weight(self.name, weights, reward, window)


@dataclass(frozen=True, slots=True)
class Pps:
    """Pay per share: the pool buys each share at its expected worth.

    Miners are paid from the pool's risk account as shares come
    (`millpond.mining.rewards.pps`); a block goes to that account whole.
    """

    block_reward: int
    name: str = "pps"
    pays_shares: bool = True

    def reach(self, network_difficulty: int) -> Reach:
        """No share but the block's own, for the record."""
        del network_difficulty
        return Reach(shares=1)

    def allocate(self, window: Window, reward: int, fees: FeeRules) -> Allocation:
        """All to the risk account."""
        del fees
        weights: Weights = {(LineKind.RISK, ""): 1}
        return allocate_by_weight(self.name, weights, reward, window)


def _pplns(settings: RewardSettings) -> Scheme:
    try:
        window = Fraction(settings.window)
        young = YoungWindow(settings.young_window)
    except (ValueError, ZeroDivisionError):
        raise RewardSettingsError(
            "rewards.window is a number such as 2 or 1/2, young_window is miners or pool"
        ) from None
    if not 0 < window <= 1000 or window.denominator > 1_000_000:
        raise RewardSettingsError("rewards.window lies above 0 and up to 1000")
    return Pplns(window, young)


def _groups(settings: RewardSettings) -> Scheme:
    if not settings.parts or any(part <= 0 for part in settings.parts.values()):
        raise RewardSettingsError("rewards.parts names addresses with whole positive parts")
    return Groups(dict(settings.parts))


def _pps(settings: RewardSettings) -> Scheme:
    if settings.block_reward <= 0:
        raise RewardSettingsError("rewards.block_reward is what a block is worth, in base units")
    if settings.credit_interval_s <= 0:
        raise RewardSettingsError("rewards.credit_interval_s is more than nothing")
    return Pps(settings.block_reward)


BUILDERS: dict[str, Callable[[RewardSettings], Scheme]] = {
    "pplns": _pplns,
    "prop": lambda _: Prop(),
    "solo": lambda _: Solo(),
    "groups": _groups,
    "pps": _pps,
}
"""Every scheme by the name that settings call it."""


def scheme_from(settings: RewardSettings) -> Scheme:
    """Build the scheme that the settings name.

    Raises:
        RewardSettingsError: Unknown scheme, or parameters that cannot pay.
    """
    builder = BUILDERS.get(settings.scheme)
    if builder is None:
        known = ", ".join(sorted(BUILDERS))
        raise RewardSettingsError(f"rewards.scheme is one of {known}")
    faults = settings.fees.faults()
    if faults:
        raise RewardSettingsError("; ".join(faults))
    return builder(settings)
