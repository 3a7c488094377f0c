"""The ticker of an exchange."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from millpond.oracle.fixed import parsed
from millpond.oracle.model import Problem, Reading, ReadingError
from millpond.oracle.sources.spread import middle


class TickerClient(Protocol):
    """What is asked of an exchange; in the shape of ccxt's tickers, numbers as text."""

    async def fetch_ticker(self, symbol: str) -> Mapping[str, Any]:
        """The ticker with `symbol`, `timestamp` (Unix milliseconds), `bid`, `ask`, `last`.

        Raises:
            MillpondError: The exchange cannot be asked, or refuses.
        """


class TickerSource:
    """Where the last trade was, held between the bid and the ask of now.

    Args:
        name: Of the source.
        client: The exchange.
        symbol: The market, such as `BTC/USD`. A price in USDT is not one in
            USD: who configures one for the other says so.
        max_age_ms: Age from which on a ticker is stale.
        max_spread_bps: How far apart bid and ask may be.
    """

    def __init__(
        self,
        name: str,
        client: TickerClient,
        symbol: str,
        *,
        max_age_ms: int,
        max_spread_bps: int,
    ) -> None:
        self.name = name
        self._client = client
        self._symbol = symbol
        self._max_age_ms = max_age_ms
        self._max_spread_bps = max_spread_bps

    async def read(self) -> Reading:
        """What the ticker says.

        Raises:
            ReadingError: It is of another market, incomplete, or makes no sense.
            MillpondError: The exchange cannot be asked.
        """
        ticker = await self._client.fetch_ticker(self._symbol)
        value = ticker_value(ticker, self._symbol, max_spread_bps=self._max_spread_bps)
        details = {side: ticker[side] for side in ("bid", "ask", "last")}
        return Reading(self.name, value, ticker["timestamp"], self._max_age_ms, details=details)


def ticker_value(ticker: Mapping[str, Any], symbol: str, *, max_spread_bps: int) -> int:
    """The price in a ticker, times 10**18; pure.

    The last trade, or the bid or the ask if it lies beyond them: one odd
    trade does not move it out of what is bid and asked now.

    Raises:
        ReadingError: Another market, a missing or unreadable figure, or bid
            and ask of no working market.
    """
    if ticker.get("symbol") != symbol:
        raise ReadingError(Problem.WRONG_FEED, f"the ticker is not of {symbol}")
    if type(ticker.get("timestamp")) is not int:
        raise ReadingError(Problem.MALFORMED, "the ticker does not say of when it is")
    bid, ask, last = (_number(ticker, side) for side in ("bid", "ask", "last"))
    if last <= 0:
        raise ReadingError(Problem.NOT_POSITIVE, "the last trade is not above zero")
    middle(bid, ask, max_spread_bps=max_spread_bps)
    return min(max(last, bid), ask)


def _number(ticker: Mapping[str, Any], side: str) -> int:
    text = ticker.get(side)
    value = parsed(text) if isinstance(text, str) else None
    if value is None:
        raise ReadingError(Problem.MALFORMED, f"the ticker's {side} is not a number")
    return value
