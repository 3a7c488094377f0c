"""Exchanges through ccxt, the optional extra `tickers`."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

from millpond.errors import InvalidInputError, MillpondError, UnavailableError
from millpond.oracle.model import Problem, ReadingError

_SHAPE_ERRORS = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError)
"""What ccxt's parsers raise at an answer of a shape that they do not expect."""


class TickersNotInstalledError(MillpondError):
    """The optional package that knows the exchanges is not installed."""

    code: ClassVar[str] = "tickers_not_installed"


class UnknownExchangeError(InvalidInputError):
    """No exchange has this name."""

    code = "unknown_exchange"


class ExchangeUnavailableError(UnavailableError):
    """The exchange does not answer, or not as it should."""

    code = "exchange_unavailable"


class CcxtClient:
    """One exchange; numbers come as the text that the exchange sent.

    ccxt is imported when the first ticker is read: it takes seconds.

    Args:
        exchange: Its name in ccxt, such as `kraken`.
        timeout_s: Longest wait for one answer.
        options: Further options of ccxt, such as `urls`.
    """

    def __init__(
        self, exchange: str, *, timeout_s: float = 10.0, options: Mapping[str, Any] | None = None
    ) -> None:
        self._name = exchange
        self._options = {
            **(options or {}),
            # As text: a float is not what the exchange said.
            "number": str,
            "enableRateLimit": True,
            "timeout": int(timeout_s * 1000),
        }
        self._module: Any = None
        self._exchange: Any = None

    async def fetch_ticker(self, symbol: str) -> Mapping[str, Any]:
        """The ticker of `symbol`, as ccxt puts it.

        Raises:
            TickersNotInstalledError: ccxt is not installed.
            UnknownExchangeError: ccxt does not know the exchange.
            ExchangeUnavailableError: The exchange does not answer, or refuses.
            ReadingError: It answers something that is no ticker.
        """
        exchange = await self._opened()
        try:
            ticker: Mapping[str, Any] = await exchange.fetch_ticker(symbol)
        except self._module.BaseError as error:
            kind = type(error).__name__
            raise ExchangeUnavailableError(
                f"{self._name} gave no ticker ({kind})", exchange=self._name, kind=kind
            ) from error
        except _SHAPE_ERRORS as error:
            raise ReadingError(
                Problem.MALFORMED, f"{self._name} gave a ticker that cannot be read"
            ) from error
        return ticker

    async def close(self) -> None:
        """Close the connections; a later question opens new ones."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.close()

    async def _opened(self) -> Any:
        if self._exchange is not None:
            return self._exchange
        # The import takes seconds, in which the event loop has other things to do.
        self._module = await asyncio.to_thread(_ccxt)
        if self._name not in self._module.exchanges:
            raise UnknownExchangeError(f"{self._name[:40]!r} is no exchange that ccxt knows")
        if self._exchange is None:
            self._exchange = getattr(self._module, self._name)({**self._options})
        return self._exchange


def _ccxt() -> Any:
    try:
        return importlib.import_module("ccxt.async_support")
    except ImportError as error:
        raise TickersNotInstalledError(
            "prices from exchanges need ccxt: install millpond[tickers]"
        ) from error
