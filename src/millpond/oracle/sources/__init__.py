"""Where prices come from, each by the rules of its kind."""

from millpond.oracle.sources.aggregator import AggregatorSource, Caller
from millpond.oracle.sources.base import PriceSource
from millpond.oracle.sources.book import Book, BookSource, BookTop
from millpond.oracle.sources.constant import ConstantSource
from millpond.oracle.sources.ticker import TickerClient, TickerSource

__all__ = [
    "AggregatorSource",
    "Book",
    "BookSource",
    "BookTop",
    "Caller",
    "ConstantSource",
    "PriceSource",
    "TickerClient",
    "TickerSource",
]
