"""Bid and ask as one price, if they are of a market that works; pure."""

from __future__ import annotations

from millpond.oracle.fixed import within_bps
from millpond.oracle.model import Problem, ReadingError


def middle(bid_e18: int, ask_e18: int, *, max_spread_bps: int) -> int:
    """The mean of bid and ask, rounded down.

    Args:
        bid_e18: Highest price that somebody pays.
        ask_e18: Lowest price that somebody takes.
        max_spread_bps: How far apart they may be, in basis points of the mean.

    Raises:
        ReadingError: One of them is not above zero, bid is above ask, or they
            are too far apart to mean anything.
    """
    if bid_e18 <= 0 or ask_e18 <= 0:
        raise ReadingError(Problem.NOT_POSITIVE, "bid or ask is not above zero")
    figures = {"bid_e18": str(bid_e18), "ask_e18": str(ask_e18)}
    if bid_e18 > ask_e18:
        raise ReadingError(Problem.CROSSED, "the bid is above the ask", **figures)
    mean = (bid_e18 + ask_e18) // 2
    if not within_bps(ask_e18 - bid_e18 + mean, mean, max_spread_bps):
        raise ReadingError(Problem.WIDE_SPREAD, "bid and ask are too far apart", **figures)
    return mean
