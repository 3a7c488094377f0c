"""Prices that decide about money: several sources, bounds, age, fallback.

Reads through sources that it is given. May touch the store, alerts and caches.
Promises: a price says its source, its age and whether it is degraded; no price
is ever invented.
"""

from typing import TYPE_CHECKING

from millpond.lazy import lazily

if TYPE_CHECKING:
    from millpond.oracle.model import (
        Price,
        PriceDegradedError,
        PriceUnavailableError,
        Problem,
        Reading,
        ReadingError,
        UnknownPairError,
    )
    from millpond.oracle.prices import Prices, PriceView
    from millpond.oracle.service import Breaker, Feed, Oracle, Refreshed
else:
    __getattr__ = lazily(
        __name__,
        {
            "model": (
                "Price",
                "PriceDegradedError",
                "PriceUnavailableError",
                "Problem",
                "Reading",
                "ReadingError",
                "UnknownPairError",
            ),
            "prices": ("Prices", "PriceView"),
            "service": ("Breaker", "Feed", "Oracle", "Refreshed"),
        },
    )

__all__ = [
    "Breaker",
    "Feed",
    "Oracle",
    "Price",
    "PriceDegradedError",
    "PriceUnavailableError",
    "PriceView",
    "Prices",
    "Problem",
    "Reading",
    "ReadingError",
    "Refreshed",
    "UnknownPairError",
]
