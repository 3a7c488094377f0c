"""What an operator sets about prices."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from millpond.oracle.decide import Policy
from millpond.oracle.fixed import MAX_E18, parsed
from millpond.oracle.model import Problem

_INTEGER = re.compile(r"-?\d{1,78}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_Seconds = Annotated[int, Meta(ge=1, le=31_536_000)]
_Bps = Annotated[int, Meta(ge=0, le=10_000, extra={"unit": "basis points"})]


class AggregatorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A feed on a chain that speaks Chainlink's AggregatorV3Interface.

    Attributes:
        address: Address of the feed (its proxy).
        heartbeat_s: Longest silence of the feed; older answers are stale.
        chain_id: On which chain.
        decimals: How many decimals it must have; -1 for those it first had.
        description: What the feed must call itself, such as `BTC / USD`; empty for anything.
        min_answer: Raw answer at which the feed is clamped below; empty to ask the feed.
        max_answer: Raw answer at which it is clamped above; empty to ask the feed.
        sequencer: Address of the sequencer's uptime feed on a layer 2; empty on a layer 1.
        grace_s: How long after the sequencer came back the feed still does not count.
    """

    address: str
    heartbeat_s: _Seconds
    chain_id: Annotated[int, Meta(ge=1)] = 1
    decimals: Annotated[int, Meta(ge=-1, le=36)] = -1
    description: str = ""
    min_answer: str = ""
    max_answer: str = ""
    sequencer: str = ""
    grace_s: Annotated[int, Meta(ge=0, le=86_400)] = 3600


class TickerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market of an exchange, read through ccxt (the extra `tickers`).

    Attributes:
        exchange: Name of the exchange in ccxt.
        symbol: The market in ccxt's writing, such as `BTC/USD`.
        max_age_s: Age from which on a ticker is stale.
        max_spread_bps: How far bid and ask may be apart.
    """

    exchange: str
    symbol: str
    max_age_s: _Seconds = 120
    max_spread_bps: _Bps = 200


class PriceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one asset is priced.

    Attributes:
        asset: Code of the asset.
        quote: What it is priced in.
        tiers: Names of sources, in the order in which they are fallen back on.
        minimum: How many sources of a tier must agree; all of a smaller tier.
        lowest: Least price that is believed.
        highest: Highest price that is believed.
        max_deviation_bps: How far from the median a source may be.
        last_known_s: How long the last good price stands in when there is none.
        trip_after_s: Without a good price for this long the circuit breaker trips.
        trip_on: Problems that trip it at once, such as `contradicting` or `clamped`.
    """

    asset: str
    quote: str = "USD"
    tiers: list[list[str]]
    minimum: Annotated[int, Meta(ge=1, le=20)] = 1
    lowest: str = "1"
    highest: str = "1000000"
    max_deviation_bps: _Bps = 200
    last_known_s: _Seconds = 3600
    trip_after_s: _Seconds = 3600
    trip_on: list[str] = []

    def policy(self, common: OracleSettings) -> Policy:
        """The same for `decide`."""
        return Policy(
            asset=self.asset,
            quote=self.quote,
            tiers=tuple(tuple(tier) for tier in self.tiers),
            minimum=self.minimum,
            min_e18=_price(self.lowest),
            max_e18=_price(self.highest),
            max_deviation_bps=self.max_deviation_bps,
            skew_ms=common.clock_skew_s * 1000,
            recheck_ms=common.recheck_s * 1000,
            last_known_ms=self.last_known_s * 1000,
        )


class OracleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `oracle`.

    Attributes:
        prices: Which assets are priced, and how.
        aggregators: Feeds on chains, by name.
        tickers: Markets of exchanges, by name.
        constants: Set prices, by name.
        refresh_s: How often all prices are read.
        cache_s: How long an answer is given without asking again.
        recheck_s: From when on a price that nobody read again is degraded.
        read_timeout_s: Longest wait for one source.
        clock_skew_s: How far ahead of this machine's clock a source's may be.
        history_days: How long prices are kept.
    """

    prices: list[PriceSettings] = []
    aggregators: dict[str, AggregatorSettings] = {}
    tickers: dict[str, TickerSettings] = {}
    constants: dict[str, str] = {}
    refresh_s: Annotated[int, Meta(ge=1, le=86_400)] = 300
    cache_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    recheck_s: _Seconds = 900
    read_timeout_s: Annotated[float, Meta(gt=0, le=120)] = 10.0
    clock_skew_s: Annotated[int, Meta(ge=0, le=60)] = 15
    history_days: Annotated[int, Meta(ge=1, le=3650)] = 90

    def faults(self) -> list[str]:
        """Everything that is wrong, as plain sentences."""
        found = []
        names = [*self.aggregators, *self.tickers, *self.constants]
        found += [
            f"{name} names two sources" for name in sorted(set(names)) if names.count(name) > 1
        ]
        pairs = [f"{price.asset}/{price.quote}" for price in self.prices]
        found += [f"{pair} is priced twice" for pair in sorted(set(pairs)) if pairs.count(pair) > 1]
        found += [f"{name[:40]!r} is no name of a source" for name in names if not _named(name)]
        for name, text in self.constants.items():
            if not 0 < _price(text) <= MAX_E18:
                found.append(f"{name}: {text[:40]!r} is not a price")
        for name, feed in self.aggregators.items():
            texts = [text for text in (feed.min_answer, feed.max_answer) if text]
            if not all(_INTEGER.fullmatch(text) for text in texts):
                found.append(f"{name}: min_answer and max_answer are whole numbers")
        for price in self.prices:
            found += _price_faults(price, set(names))
        if self.recheck_s < self.refresh_s:
            found.append("recheck_s must not be below refresh_s")
        return found


def _price_faults(price: PriceSettings, names: set[str]) -> list[str]:
    pair = f"{price.asset}/{price.quote}"
    found = []
    if not (_named(price.asset) and _named(price.quote)):
        found.append(f"{pair[:80]!r} names no asset and quote")
    if not price.tiers or not all(price.tiers):
        found.append(f"{pair}: tiers must name a source each")
    used = [name for tier in price.tiers for name in tier]
    found += [f"{pair}: there is no source {name}" for name in used if name not in names]
    if len(set(used)) < len(used):
        found.append(f"{pair}: a source stands in tiers twice")
    unknown = sorted(set(price.trip_on) - set(Problem))
    found += [f"{pair}: {text[:40]!r} in trip_on is no problem that is known" for text in unknown]
    if not 0 < _price(price.lowest) <= _price(price.highest) <= MAX_E18:
        found.append(f"{pair}: lowest and highest must be prices in order")
    return found


def _named(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _price(text: str) -> int:
    return parsed(text) or 0
