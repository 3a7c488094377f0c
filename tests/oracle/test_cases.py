"""Every row of the tables in docs/oracle.md, as it is written there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from millpond.clock import ManualClock
from millpond.errors import UnavailableError
from millpond.oracle.decide import Policy, check_decimals, decide, judge
from millpond.oracle.fixed import E18
from millpond.oracle.model import Fault, Price, Problem, Reading, ReadingError
from millpond.oracle.sources import (
    AggregatorSource,
    BookSource,
    BookTop,
    ConstantSource,
    PriceSource,
    TickerSource,
)
from millpond.oracle.sources.aggregator import MIN_ANSWER, AggregatorTerms
from tests.oracle.evm import Evm, scripted_feed

DOCUMENT = Path(__file__).parents[2] / "docs" / "oracle.md"
NOW_S = 1_700_000_000
NOW_MS = NOW_S * 1000
HEARTBEAT_S = 3600
MINUTE_MS = 60_000

POLICY = Policy(
    asset="BTCD",
    quote="USD",
    tiers=(("s",),),
    minimum=1,
    min_e18=E18,
    max_e18=1_000_000 * E18,
    max_deviation_bps=200,
    skew_ms=15_000,
    recheck_ms=15 * MINUTE_MS,
    last_known_ms=60 * MINUTE_MS,
)


def _rows(heading: str) -> dict[str, str]:
    """Case and last cell of each row of the table under a heading."""
    section = DOCUMENT.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): row[-1].strip() for row in cells}


ALONE = _rows("What one source says")
TOGETHER = _rows("What they say together")


@dataclass(frozen=True)
class Said:
    """A feed on a chain, and what is known of it."""

    answer: int = 60_000 * 10**8
    decimals: int = 8
    round_id: int = 7
    started_s: int = 0
    updated_s: int = NOW_S - 60
    answered_in: int = 7
    description: str = "BTCD / USD"
    reverting: bool = False
    clamps: tuple[int, int] | None = None
    own_clamps: tuple[int, int] | None = None
    code: bytes | None = None
    terms: Mapping[str, Any] | None = None
    sequencer: tuple[int, int] | None = None
    away: frozenset[bytes] = frozenset()
    known: Mapping[str, int] = field(default_factory=dict)

    def source(self) -> PriceSource:
        evm = Evm()
        feed = evm.place(scripted_feed() if self.code is None else self.code)
        if self.code is None:
            self._say(evm, feed)
        terms = AggregatorTerms(feed, HEARTBEAT_S, **(self.terms or {}))
        if self.sequencer is not None:
            uptime = evm.place(scripted_feed())
            answer, started_s = self.sequencer
            evm.send(uptime, ROUND, 1, answer, started_s, NOW_S, 1)
            terms = replace(terms, sequencer=uptime, grace_s=3600)
        evm.away = set(self.away)
        return AggregatorSource("s", evm, terms, ManualClock(NOW_MS))

    def _say(self, evm: Evm, feed: str) -> None:
        evm.send(
            feed, ROUND, self.round_id, self.answer, self.started_s, self.updated_s, self.answered_in
        )  # fmt: skip
        evm.send(
            feed, "set_feed(uint256,string,bool)", self.decimals, self.description, self.reverting
        )
        if self.own_clamps is not None:
            evm.send(feed, "set_clamps(int192,int192)", *self.own_clamps)
        if self.clamps is not None:
            behind = evm.place(scripted_feed())
            evm.send(behind, "set_clamps(int192,int192)", *self.clamps)
            evm.send(feed, "set_behind(address)", behind)


ROUND = "set_round(uint80,int256,uint256,uint256,uint80)"
CLAMPS = (10**8, 100_000 * 10**8)

FEEDS = {
    "good feed": Said(),
    "feed of 6 decimals": Said(answer=60_000 * 10**6, decimals=6),
    "feed of 36 decimals": Said(answer=60_000 * 10**36, decimals=36),
    "at the heartbeat": Said(updated_s=NOW_S - HEARTBEAT_S),
    "past the heartbeat": Said(updated_s=NOW_S - HEARTBEAT_S - 1),
    "clock ahead": Said(updated_s=NOW_S + 15),
    "from the future": Said(updated_s=NOW_S + 16),
    "from the end of time": Said(updated_s=2**256 - 1),
    "zero answer": Said(answer=0),
    "negative answer": Said(answer=-60_000 * 10**8),
    "no round": Said(round_id=0, answered_in=0),
    "round under way": Said(updated_s=0),
    "carried over": Said(answered_in=6),
    "37 decimals": Said(decimals=37),
    "other decimals than set": Said(terms={"decimals": 18}),
    "wrong decimals, same answer": Said(decimals=18),
    "decimals changed": Said(answer=60_000 * 10**18, decimals=18, known={"s": 8}),
    "another feed": Said(terms={"description": "ETH / USD"}),
    "no contract": Said(code=b""),
    "reverting feed": Said(reverting=True),
    # PUSH1 8, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN: the number 8 to every question.
    "short answer": Said(code=bytes.fromhex("60085f5260205ff3")),
    "at the least answer": Said(answer=CLAMPS[0], clamps=CLAMPS),
    "at the highest answer": Said(answer=CLAMPS[1], clamps=CLAMPS),
    "just inside the clamps": Said(answer=CLAMPS[1] - 1, clamps=CLAMPS),
    "clamped without a proxy": Said(answer=CLAMPS[0], own_clamps=CLAMPS),
    "clamp as set": Said(answer=5 * 10**8, terms={"min_answer": 5 * 10**8}),
    "below the bounds": Said(answer=99 * 10**6),
    "at the lower bound": Said(answer=10**8),
    "at the upper bound": Said(answer=1_000_000 * 10**8),
    "above the bounds": Said(answer=1_000_000 * 10**8 + 10**6),
    "sequencer up": Said(sequencer=(0, NOW_S - 3601)),
    "sequencer down": Said(sequencer=(1, NOW_S - 3601)),
    "sequencer unknown": Said(sequencer=(0, 0)),
    "sequencer back": Said(sequencer=(0, NOW_S - 3600)),
    "chain away": Said(away=frozenset([b""])),
    "chain away at the clamps": Said(away=frozenset([MIN_ANSWER])),
}


class Ticker:
    """An exchange that answers one ticker; its shape is held against ccxt in test_ccxt.py."""

    def __init__(self, **changes: Any) -> None:
        good = {"symbol": "BTC/USD", "timestamp": NOW_MS - 5_000}
        prices = {"bid": "59990", "ask": "60010.5", "last": "60000.25"}
        self._ticker = {**good, **prices, **changes}

    async def fetch_ticker(self, symbol: str) -> Mapping[str, Any]:
        return self._ticker

    def source(self) -> PriceSource:
        return TickerSource("s", self, "BTC/USD", max_age_ms=2 * MINUTE_MS, max_spread_bps=200)


class Venue:
    """A venue with one market."""

    def __init__(self, bid: int | None, ask: int | None, at_ms: int = NOW_MS) -> None:
        self._top = BookTop(bid and bid * E18, ask and ask * E18, at_ms)

    async def top(self, market: str) -> BookTop:
        return self._top

    def source(self) -> PriceSource:
        return BookSource("s", self, "BTC-USD", max_age_ms=MINUTE_MS, max_spread_bps=200)


class Fixed:
    """A constant."""

    def source(self) -> PriceSource:
        return ConstantSource("s", 60_000 * E18, ManualClock(NOW_MS))


OTHERS: dict[str, Ticker | Venue | Fixed] = {
    "good ticker": Ticker(),
    "last above the ask": Ticker(last="75000"),
    "crossed ticker": Ticker(bid="60010.6"),
    "wide ticker": Ticker(bid="57000", ask="63000"),
    "ticker without a bid": Ticker(bid=None),
    "ticker with a float": Ticker(ask=60010.5),
    "ticker without a time": Ticker(timestamp=None),
    "old ticker": Ticker(timestamp=NOW_MS - 2 * MINUTE_MS - 1),
    "ticker of tomorrow": Ticker(timestamp=NOW_MS + 86_400_000),
    "zero ticker": Ticker(last="0"),
    "ticker of another market": Ticker(symbol="BTC/USDT"),
    "good book": Venue(59_990, 60_010),
    "empty book": Venue(None, 60_010),
    "crossed book": Venue(60_011, 60_010),
    "old book": Venue(59_990, 60_010, NOW_MS - MINUTE_MS - 1),
    "constant": Fixed(),
}

VALUES = {"feed of 6 decimals": 60_000, "feed of 36 decimals": 60_000, "good feed": 60_000}
VALUES |= {"good book": 60_000, "constant": 60_000}
EXACT = {"good ticker": "60000.25", "last above the ask": "60010.5"}


def test_every_documented_case_is_tried_and_every_tried_one_documented():
    assert set(ALONE) == set(FEEDS) | set(OTHERS)
    assert set(TOGETHER) == set(ROUNDS)
    named = set(re.findall(r"`(\w+)`", " ".join([*ALONE.values(), *TOGETHER.values()])))
    unnamed = set(Problem) - named
    assert unnamed == set(), "every problem is shown by a case"


@pytest.mark.parametrize("case", ALONE)
async def test_what_one_source_says_has_the_documented_result(case: str):
    said = FEEDS.get(case) or OTHERS[case]
    problem: Problem | None = None
    try:
        reading = await said.source().read()
    except ReadingError as error:
        problem = error.problem
    except UnavailableError:
        problem = Problem.UNAVAILABLE
    else:
        known = said.known if isinstance(said, Said) else {}
        checked = check_decimals({"s": reading}, known)["s"]
        fault = checked if isinstance(checked, Fault) else judge(checked, POLICY, NOW_MS)
        problem = None if fault is None else fault.problem
        if case in VALUES:
            assert reading.value_e18 == VALUES[case] * E18
        if case in EXACT:
            assert reading.value_e18 == int(Decimal(EXACT[case]) * E18)
    assert ALONE[case] == ("none" if problem is None else f"`{problem}`")


STALE = None
"""In a round: a source whose reading is too old."""


@dataclass(frozen=True)
class Round:
    """What the sources of each tier say, and the last price and how long ago."""

    tiers: tuple[tuple[int | None, ...], ...]
    minimum: int = 1
    last: tuple[str, int] | None = None


ROUNDS = {
    "one source": Round(((100,),)),
    "median of three": Round(((100, 101, 99),), 3),
    "median of two": Round(((100, 101),), 2),
    "an outlier among three": Round(((100, 101, 200),), 2),
    "one of three is stale": Round(((100, 101, STALE),), 2),
    "two contradict": Round(((100, 200),)),
    "two camps": Round(((100, 100, 200, 200),), 2),
    "all apart": Round(((100, 150, 200),)),
    "too few": Round(((100, STALE, STALE),), 2),
    "fallback after stale": Round(((STALE,), (90,)), 2),
    "fallback after contradiction": Round(((100, 200), (90,)), 2),
    "fallback not needed": Round(((100,), (90,))),
    "fallback's own failure": Round(((100,), (STALE,))),
    "last known": Round(((STALE,),), last=("95", 30 * MINUTE_MS)),
    "last known at its end": Round(((STALE,),), last=("95", 60 * MINUTE_MS)),
    "last known too old": Round(((STALE,),), last=("95", 60 * MINUTE_MS + 1)),
    "last known outside new bounds": Round(((STALE,),), last=("0.5", MINUTE_MS)),
    "nothing ever": Round(((STALE,),)),
}


@pytest.mark.parametrize("case", TOGETHER)
def test_what_they_say_together_has_the_documented_result(case: str):
    round_ = ROUNDS[case]
    names = tuple(
        tuple(f"s{tier}.{place}" for place in range(len(values)))
        for tier, values in enumerate(round_.tiers)
    )
    policy = replace(POLICY, tiers=names, minimum=round_.minimum)
    results: dict[str, Reading | Fault] = {}
    for tier, values in zip(names, round_.tiers, strict=True):
        for name, value in zip(tier, values, strict=True):
            at_ms = NOW_MS - (1_000 if value is not STALE else 10 * MINUTE_MS)
            results[name] = Reading(name, (value or 100) * E18, at_ms, 5 * MINUTE_MS)
    decision = decide(results, policy, NOW_MS, _last(round_))
    wanted = TOGETHER[case]
    problems = {fault.problem for fault in decision.faults} | {decision.problem}
    assert set(re.findall(r"`(\w+)`", wanted)) <= problems
    price = re.match(r"price (\S+?),?(?: (degraded))?(?:,|$)", wanted)
    if price is None:
        assert wanted.startswith("no price")
        assert decision.price is None
        return
    assert decision.price is not None
    assert decision.price.value_e18 == int(Decimal(price[1].rstrip(",")) * E18)
    assert decision.price.degraded == (price[2] == "degraded")
    assert bool(decision.price.reason) == decision.price.degraded


def _last(round_: Round) -> Price | None:
    if round_.last is None:
        return None
    text, ago_ms = round_.last
    then = NOW_MS - ago_ms
    return Price(
        asset="BTCD",
        quote="USD",
        value_e18=int(Decimal(text) * E18),
        source="s0.0",
        at_ms=then,
        checked_ms=then,
        fresh_until_ms=then + 5 * MINUTE_MS,
        age_ms=0,
    )
