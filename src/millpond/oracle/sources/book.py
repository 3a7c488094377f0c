"""The price of a venue's order book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from millpond.oracle.model import Problem, Reading, ReadingError
from millpond.oracle.sources.spread import middle


@dataclass(frozen=True, slots=True)
class BookTop:
    """The best orders of a market; a side without orders is None.

    Attributes:
        bid_e18: Highest price bid for one whole unit, times 10**18.
        ask_e18: Lowest price asked.
        at_ms: When the venue made this state of the book.
    """

    bid_e18: int | None
    ask_e18: int | None
    at_ms: int


class Book(Protocol):
    """What is asked of a venue."""

    async def top(self, market: str) -> BookTop:
        """The best orders of `market` now.

        Raises:
            MillpondError: The venue cannot be asked.
        """


class BookSource:
    """The middle of a market's book.

    Args:
        name: Of the source.
        book: The venue.
        market: Which of its markets.
        max_age_ms: Age from which on the book is stale.
        max_spread_bps: How far apart bid and ask may be.
    """

    def __init__(
        self, name: str, book: Book, market: str, *, max_age_ms: int, max_spread_bps: int
    ) -> None:
        self.name = name
        self._book = book
        self._market = market
        self._max_age_ms = max_age_ms
        self._max_spread_bps = max_spread_bps

    async def read(self) -> Reading:
        """The middle between the best bid and the best ask.

        Raises:
            ReadingError: A side is empty, crossed, or too far from the other.
            MillpondError: The venue cannot be asked.
        """
        top = await self._book.top(self._market)
        if top.bid_e18 is None or top.ask_e18 is None:
            raise ReadingError(Problem.MALFORMED, "a side of the book is empty")
        value = middle(top.bid_e18, top.ask_e18, max_spread_bps=self._max_spread_bps)
        details = {"bid_e18": str(top.bid_e18), "ask_e18": str(top.ask_e18)}
        return Reading(self.name, value, top.at_ms, self._max_age_ms, details=details)
