"""Tickers through the real ccxt, from an exchange's HTTP interface on this machine."""

from __future__ import annotations

import ast
import builtins
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import millpond
from millpond.oracle.fixed import parsed
from millpond.oracle.model import Problem, ReadingError
from millpond.oracle.sources import TickerSource
from millpond.oracle.sources.ccxt_client import (
    CcxtClient,
    ExchangeUnavailableError,
    TickersNotInstalledError,
    UnknownExchangeError,
)
from tests.oracle.test_cases import NOW_S, Ticker

TICKER = {
    "timestamp": str(NOW_S),
    "pair": "BTC/USD",
    "bid": "60000.1",
    "ask": "60000.30",
    "last": "60000.123456789012345678",
    "volume": "12.5",
    "vwap": "60000",
    "high": "61000",
    "low": "59000",
    "open": "59500",
    "open_24": "59500",
    "percent_change_24": "1.0",
}
MARKETS = [
    {
        "name": "BTC/USD",
        "market_symbol": "btcusd",
        "base_currency": "BTC",
        "base_decimals": 8,
        "counter_currency": "USD",
        "counter_decimals": 2,
        "minimum_order_value": "10",
        "trading": "Enabled",
        "market_type": "SPOT",
        "description": "Bitcoin / U.S. dollar",
    }
]
CURRENCIES = [
    {"name": "Bitcoin", "currency": "BTC", "type": "crypto", "symbol": "B", "decimals": 8},
    {"name": "US dollar", "currency": "USD", "type": "fiat", "symbol": "$", "decimals": 2},
]


class Exchange:
    """Bitstamp's public interface, as far as ccxt asks it for a ticker."""

    def __init__(self) -> None:
        self.ticker: Any = dict(TICKER)
        self.status = 200
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        name = request.path.removeprefix("/v2/").strip("/")
        known = {"markets": MARKETS, "trading-pairs-info": MARKETS, "currencies": CURRENCIES}
        if name in known:
            return web.json_response(known[name])
        assert name == "ticker/btcusd", f"ccxt asked for {request.path}"
        text = self.ticker if isinstance(self.ticker, str) else json.dumps(self.ticker)
        return web.Response(text=text, status=self.status, content_type="application/json")


@asynccontextmanager
async def _client(exchange: Exchange) -> AsyncIterator[CcxtClient]:
    app = web.Application()
    app.router.add_get("/{tail:.*}", exchange.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    url = f"http://{host}:{port}"
    client = CcxtClient(
        "bitstamp", options={"urls": {"api": {"public": url, "private": url}}, "rateLimit": 1}
    )
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


def _source(client: CcxtClient) -> TickerSource:
    return TickerSource("bitstamp", client, "BTC/USD", max_age_ms=60_000, max_spread_bps=200)


async def test_a_ticker_comes_as_the_exchange_wrote_it():
    async with _client(Exchange()) as client:
        reading = await _source(client).read()
    # Every digit: a float would have kept sixteen of them.
    assert reading.value_e18 == parsed("60000.123456789012345678")
    assert reading.at_ms == NOW_S * 1000
    assert reading.details == {side: TICKER[side] for side in ("bid", "ask", "last")}


async def test_the_tickers_of_other_tests_have_the_shape_of_real_ones():
    async with _client(Exchange()) as client:
        real = await client.fetch_ticker("BTC/USD")
    double = await Ticker().fetch_ticker("BTC/USD")
    assert {name: type(real[name]) for name in double} == {
        name: type(value) for name, value in double.items()
    }


async def test_markets_are_asked_for_once():
    exchange = Exchange()
    async with _client(exchange) as client:
        await client.fetch_ticker("BTC/USD")
        before = len(exchange.asked)
        await client.fetch_ticker("BTC/USD")
    assert exchange.asked[before:] == ["/v2/ticker/btcusd/"]


@pytest.mark.parametrize(
    ("status", "ticker"),
    [(500, "{}"), (429, "{}"), (200, {"status": "error", "reason": "x"})],
)
async def test_an_exchange_that_fails_is_unavailable(status: int, ticker: Any):
    exchange = Exchange()
    exchange.status, exchange.ticker = status, ticker
    async with _client(exchange) as client:
        with pytest.raises(ExchangeUnavailableError) as caught:
            await client.fetch_ticker("BTC/USD")
    assert caught.value.code == "exchange_unavailable"


@pytest.mark.parametrize(
    "ticker", [[], "not json", "[1, 2]", '"text"', "null", "7", {}, {"bid": {"a": 1}}]
)
async def test_a_ticker_of_another_shape_is_told_and_no_crash(ticker: Any):
    exchange = Exchange()
    exchange.ticker = ticker
    async with _client(exchange) as client:
        with pytest.raises((ExchangeUnavailableError, ReadingError)) as caught:
            await _source(client).read()
    if isinstance(caught.value, ReadingError):
        assert caught.value.problem is Problem.MALFORMED


async def test_a_market_that_is_not_there_is_unavailable():
    async with _client(Exchange()) as client:
        with pytest.raises(ExchangeUnavailableError, match="BadSymbol"):
            await client.fetch_ticker("ETH/USD")


async def test_an_exchange_that_is_not_there_is_unavailable():
    gone = {"public": "http://127.0.0.1:9", "private": "http://127.0.0.1:9"}
    client = CcxtClient("bitstamp", options={"urls": {"api": gone}})
    with pytest.raises(ExchangeUnavailableError):
        await client.fetch_ticker("BTC/USD")
    await client.close()


async def test_an_unknown_exchange_is_named():
    with pytest.raises(UnknownExchangeError, match="goldbug"):
        await CcxtClient("goldbug").fetch_ticker("BTC/USD")


async def test_without_the_extra_a_ticker_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("ccxt"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    for name in [name for name in sys.modules if name.split(".")[0] == "ccxt"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TickersNotInstalledError, match=r"millpond\[tickers\]"):
        await CcxtClient("bitstamp").fetch_ticker("BTC/USD")


def test_nothing_imports_ccxt_before_a_ticker_is_read():
    root = Path(millpond.__file__).parent
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not [name for name in names if name.split(".")[0] == "ccxt"], path
