"""From settings to feeds, all faults named at once."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from millpond.clock import ManualClock
from millpond.errors import InvalidInputError
from millpond.oracle.build import build_feeds
from millpond.oracle.fixed import E18
from millpond.oracle.model import Problem
from millpond.oracle.settings import OracleSettings
from millpond.oracle.sources import AggregatorSource, ConstantSource, TickerSource
from tests.oracle.evm import Evm

ADDRESS = "0x" + "11" * 20
GOOD: dict[str, Any] = {
    "aggregators": {"chain": {"address": ADDRESS, "heartbeat_s": 3600, "min_answer": "1"}},
    "tickers": {
        "usd": {"exchange": "bitstamp", "symbol": "BTC/USD"},
        "eur": {"exchange": "bitstamp", "symbol": "BTC/EUR"},
    },
    "constants": {"fixed": "60000.5"},
    "prices": [
        {
            "asset": "BTCD",
            "tiers": [["chain", "usd"], ["fixed"]],
            "minimum": 2,
            "trip_on": ["contradicting"],
        }
    ],
}


def _settings(**changes: Any) -> OracleSettings:
    return msgspec.convert({**GOOD, **changes}, OracleSettings)


def test_settings_become_feeds():
    built = build_feeds(_settings(), ManualClock(), {1: Evm()})
    (feed,) = built.feeds
    assert feed.pair == ("BTCD", "USD")
    assert [type(source) for source in feed.sources] == [
        AggregatorSource,
        TickerSource,
        ConstantSource,
    ]
    assert feed.policy.tiers == (("chain", "usd"), ("fixed",))
    assert (feed.policy.min_e18, feed.policy.max_e18) == (E18, 1_000_000 * E18)
    assert (feed.trip_after_ms, feed.policy.last_known_ms) == (3_600_000, 3_600_000)
    assert feed.trip_on == {Problem.CONTRADICTING}
    assert list(built.clients) == ["bitstamp"]


async def test_a_constant_says_what_is_set_and_exchanges_are_closed():
    built = build_feeds(_settings(), ManualClock(), {1: Evm()})
    reading = await built.feeds[0].sources[2].read()
    assert reading.value_e18 == 60_000 * E18 + E18 // 2
    await built.close()


def test_nothing_set_is_no_fault():
    assert OracleSettings().faults() == []
    assert build_feeds(OracleSettings(), ManualClock(), {}).feeds == ()


PRICE = GOOD["prices"][0]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"constants": {"usd": "1", "fixed": "1"}}, "usd names two sources"),
        ({"constants": {"fixed": "a lot"}}, "fixed: 'a lot' is not a price"),
        ({"constants": {"fixed": "-1"}}, "fixed: '-1' is not a price"),
        ({"constants": {"fixed": "1", "a b": "1"}}, "'a b' is no name of a source"),
        ({"prices": [PRICE | {"asset": ""}]}, "'/USD' names no asset and quote"),
        ({"prices": [PRICE, PRICE]}, "BTCD/USD is priced twice"),
        ({"prices": [PRICE | {"tiers": []}]}, "BTCD/USD: tiers must name a source each"),
        ({"prices": [PRICE | {"tiers": [["x"]]}]}, "BTCD/USD: there is no source x"),
        (
            {"prices": [PRICE | {"tiers": [["usd"], ["usd"]]}]},
            "BTCD/USD: a source stands in tiers twice",
        ),
        (
            {"prices": [PRICE | {"lowest": "5", "highest": "4"}]},
            "BTCD/USD: lowest and highest must be prices in order",
        ),
        (
            {"prices": [PRICE | {"trip_on": ["gloom"]}]},
            "BTCD/USD: 'gloom' in trip_on is no problem that is known",
        ),
        (
            {"aggregators": {"chain": {"address": ADDRESS, "heartbeat_s": 1, "max_answer": "1.5"}}},
            "chain: min_answer and max_answer are whole numbers",
        ),
        ({"recheck_s": 299}, "recheck_s must not be below refresh_s"),
    ],
)
def test_each_fault_is_named(changes: dict[str, Any], fault: str):
    settings = _settings(**changes)
    assert settings.faults() == [fault]
    with pytest.raises(InvalidInputError, match=re.escape(fault)):
        build_feeds(settings, ManualClock(), {1: Evm()})


def test_a_feed_on_a_chain_that_is_not_there_is_named():
    with pytest.raises(InvalidInputError, match="chain 1, which is not configured"):
        build_feeds(_settings(), ManualClock(), {})
