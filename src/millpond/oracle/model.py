"""What is read, what can be wrong with it, and the price that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from millpond.errors import MillpondError, UnavailableError
from millpond.oracle.fixed import E18


class Problem(StrEnum):
    """Why a reading, or all of them together, is no price. Part of rows and alerts."""

    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"
    WRONG_FEED = "wrong_feed"
    WRONG_DECIMALS = "wrong_decimals"
    INCOMPLETE_ROUND = "incomplete_round"
    CARRIED_OVER = "carried_over"
    SEQUENCER_DOWN = "sequencer_down"
    SEQUENCER_GRACE = "sequencer_grace"
    CLAMPED = "clamped"
    NOT_POSITIVE = "not_positive"
    FUTURE = "future"
    STALE = "stale"
    OUT_OF_BOUNDS = "out_of_bounds"
    CROSSED = "crossed"
    WIDE_SPREAD = "wide_spread"
    DEVIATES = "deviates"
    TOO_FEW = "too_few"
    CONTRADICTING = "contradicting"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source said.

    Attributes:
        source: The source's name.
        value_e18: Price of one whole unit of the asset in the quote, times 10**18.
        at_ms: When the price was made, as the source says; not when it was read.
        max_age_ms: How old the source lets it become: its heartbeat.
        decimals: The decimals that the source named; None where it names none.
        details: Figures for a person, such as the round.
    """

    source: str
    value_e18: int
    at_ms: int
    max_age_ms: int
    decimals: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a source's word does not count this time."""

    source: str
    problem: Problem
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)


class ReadingError(MillpondError):
    """A source has no price that can be used.

    Attributes:
        problem: Of what kind.
    """

    code: ClassVar[str] = "oracle_reading"

    def __init__(self, problem: Problem, message: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.problem = problem


class PriceUnavailableError(UnavailableError):
    """There is no price that may decide anything now."""

    code = "price_unavailable"


class PriceDegradedError(UnavailableError):
    """There is a price, but not one of the quality asked for."""

    code = "price_degraded"


class UnknownPairError(MillpondError):
    """Nobody configured a price of this asset in this quote."""

    code = "price_not_configured"
    http_status = 404


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What one whole unit of an asset costs.

    Attributes:
        asset: Code of the asset, such as `BTCD`.
        quote: What it is priced in, such as `USD`.
        value_e18: The price times 10**18.
        source: The source's name, or `median(a, b, c)`.
        at_ms: When the oldest reading in it was made, Unix milliseconds.
        checked_ms: When it was last read and found good.
        fresh_until_ms: When the first of its readings outlives its source's heartbeat.
        age_ms: From `at_ms` until it was asked for.
        degraded: Whether it is less than the policy asks for.
        reason: In which way; empty if it is not.
    """

    asset: str
    quote: str
    value_e18: int
    source: str
    at_ms: int
    checked_ms: int
    fresh_until_ms: int
    age_ms: int
    degraded: bool = False
    reason: str = ""

    def worth_e18(self, units: int, decimals: int) -> int:
        """What `units` base units of the asset are worth, times 10**18, rounded down."""
        return int(units * self.value_e18 // 10**decimals)

    def units_for(self, worth_e18: int, decimals: int) -> int:
        """How many base units `worth_e18` buys, rounded down."""
        return int(worth_e18 * 10**decimals // self.value_e18)

    @property
    def decimal(self) -> str:
        """The exact decimal text with all 18 places."""
        whole, fraction = divmod(self.value_e18, E18)
        return f"{whole}.{fraction:018d}"
