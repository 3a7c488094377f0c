"""From settings to sources and feeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from millpond.clock import Clock
from millpond.errors import InvalidInputError
from millpond.oracle.fixed import parsed
from millpond.oracle.model import Problem
from millpond.oracle.service import Feed
from millpond.oracle.settings import (
    AggregatorSettings,
    OracleSettings,
    PriceSettings,
    TickerSettings,
)
from millpond.oracle.sources.aggregator import AggregatorSource, AggregatorTerms, Caller
from millpond.oracle.sources.base import PriceSource
from millpond.oracle.sources.ccxt_client import CcxtClient
from millpond.oracle.sources.constant import ConstantSource
from millpond.oracle.sources.ticker import TickerSource


@dataclass(frozen=True, slots=True)
class BuiltFeeds:
    """Feeds, and the connections to exchanges that they hold.

    Attributes:
        feeds: One for each price that is set.
        clients: The exchanges, by name.
    """

    feeds: tuple[Feed, ...]
    clients: Mapping[str, CcxtClient]

    async def close(self) -> None:
        """Close the connections to exchanges."""
        for client in self.clients.values():
            await client.close()


def build_feeds(
    settings: OracleSettings,
    clock: Clock,
    callers: Mapping[int, Caller],
    *,
    client: Callable[[str], CcxtClient] = CcxtClient,
) -> BuiltFeeds:
    """Make the sources and feeds that are set.

    Args:
        settings: Without faults.
        clock: Source of time.
        callers: How to ask each chain, by its id.
        client: Makes the client of an exchange; one is made for each exchange.

    Raises:
        InvalidInputError: The settings have faults, or name a chain that is not there.
    """
    faults = settings.faults()
    if faults:
        raise InvalidInputError("; ".join(faults))
    exchanges = sorted({ticker.exchange for ticker in settings.tickers.values()})
    clients = {exchange: client(exchange) for exchange in exchanges}
    sources: dict[str, PriceSource] = {}
    for name, feed in settings.aggregators.items():
        if feed.chain_id not in callers:
            raise InvalidInputError(f"{name} is on chain {feed.chain_id}, which is not configured")
        sources[name] = AggregatorSource(name, callers[feed.chain_id], _terms(feed), clock)
    for name, ticker in settings.tickers.items():
        sources[name] = _ticker(name, ticker, clients)
    for name, text in settings.constants.items():
        sources[name] = ConstantSource(name, parsed(text) or 0, clock)
    feeds = tuple(_feed(price, settings, sources) for price in settings.prices)
    return BuiltFeeds(feeds, clients)


def _feed(
    price: PriceSettings, settings: OracleSettings, sources: Mapping[str, PriceSource]
) -> Feed:
    return Feed(
        policy=price.policy(settings),
        sources=tuple(sources[name] for tier in price.tiers for name in tier),
        trip_after_ms=price.trip_after_s * 1000,
        trip_on=frozenset(Problem(text) for text in price.trip_on),
    )


def _ticker(name: str, settings: TickerSettings, clients: Mapping[str, CcxtClient]) -> TickerSource:
    return TickerSource(
        name,
        clients[settings.exchange],
        settings.symbol,
        max_age_ms=settings.max_age_s * 1000,
        max_spread_bps=settings.max_spread_bps,
    )


def _terms(settings: AggregatorSettings) -> AggregatorTerms:
    return AggregatorTerms(
        address=settings.address,
        heartbeat_s=settings.heartbeat_s,
        decimals=None if settings.decimals < 0 else settings.decimals,
        description=settings.description,
        min_answer=int(settings.min_answer) if settings.min_answer else None,
        max_answer=int(settings.max_answer) if settings.max_answer else None,
        sequencer=settings.sequencer,
        grace_s=settings.grace_s,
    )
