"""Properties of the decision: order, bounds, liars, the life of a price."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from millpond.oracle.decide import Decision, decide, seen_at
from millpond.oracle.fixed import E18, within_bps
from millpond.oracle.model import Price, Reading
from millpond.oracle.sources import aggregator
from tests.oracle.test_cases import MINUTE_MS, NOW_MS, POLICY

VALUES = st.lists(st.integers(-(10**40), 10**40), min_size=1, max_size=7)


def _decided(values: list[int], minimum: int = 1, bps: int = 200) -> Decision:
    names = tuple(f"s{place}" for place in range(len(values)))
    policy = replace(POLICY, tiers=(names,), minimum=minimum, max_deviation_bps=bps)
    readings = {
        name: Reading(name, value, NOW_MS - 1_000, MINUTE_MS)
        for name, value in zip(names, values, strict=True)
    }
    return decide(readings, policy, NOW_MS)


@given(VALUES, st.integers(1, 5), st.randoms())
def test_the_order_of_sources_does_not_matter(values: list[int], minimum: int, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    first, second = _decided(values, minimum), _decided(shuffled, minimum)
    assert (first.price and first.price.value_e18) == (second.price and second.price.value_e18)
    assert first.problem == second.problem


@given(VALUES, st.integers(1, 5), st.integers(0, 10_000))
def test_a_price_is_within_bounds_and_among_those_who_agree(
    values: list[int], minimum: int, bps: int
):
    decision = _decided(values, minimum, bps)
    if decision.price is None:
        assert decision.problem is not None
        return
    used = [reading.value_e18 for reading in decision.used]
    assert min(used) <= decision.price.value_e18 <= max(used)
    assert POLICY.min_e18 <= decision.price.value_e18 <= POLICY.max_e18
    assert len(used) >= min(minimum, len(values))
    counted = len(used) + len(decision.faults)
    assert counted == len(values)


@given(st.data())
def test_a_minority_of_liars_cannot_move_the_price_out_of_what_the_honest_say(data):
    honest_count = data.draw(st.integers(2, 5))
    liars_count = data.draw(st.integers(0, honest_count - 1))
    centre = data.draw(st.integers(10 * E18, 100_000 * E18))
    near = st.integers(centre - centre // 250, centre + centre // 250)
    honest = [data.draw(near) for _ in range(honest_count)]
    liars = [data.draw(st.integers(-(10**30), 10**30)) for _ in range(liars_count)]
    decision = _decided(honest + liars, minimum=honest_count)
    assert decision.price is not None
    assert min(honest) <= decision.price.value_e18 <= max(honest)


@given(VALUES)
def test_no_price_is_the_mean_of_a_contradiction(values: list[int]):
    decision = _decided(values, bps=100)
    if decision.price is not None:
        middle = decision.price.value_e18
        near = [v for v in values if within_bps(v, middle, 250)]
        assert 2 * len(near) > len([v for v in values if POLICY.min_e18 <= v <= POLICY.max_e18])


PRICE = Price(
    asset="BTCD",
    quote="USD",
    value_e18=100 * E18,
    source="s",
    at_ms=NOW_MS,
    checked_ms=NOW_MS,
    fresh_until_ms=NOW_MS + 20 * MINUTE_MS,
    age_ms=0,
)


@pytest.mark.parametrize(
    ("after_ms", "reason"),
    [
        (0, ""),
        (15 * MINUTE_MS, ""),
        (15 * MINUTE_MS + 1, "not looked at again"),
        (20 * MINUTE_MS + 1, "stale"),
        (60 * MINUTE_MS, "stale"),
    ],
)
def test_a_price_degrades_as_time_goes_by(after_ms: int, reason: str):
    seen = seen_at(PRICE, POLICY, NOW_MS + after_ms)
    assert seen is not None
    assert (seen.age_ms, seen.degraded, seen.reason) == (after_ms, bool(reason), reason)


def test_a_price_ends_with_the_hour_and_with_its_bounds():
    assert seen_at(PRICE, POLICY, NOW_MS + 60 * MINUTE_MS + 1) is None
    assert seen_at(PRICE, replace(POLICY, min_e18=101 * E18), NOW_MS) is None


def test_a_clock_that_went_back_makes_no_negative_age():
    seen = seen_at(PRICE, POLICY, NOW_MS - 5_000)
    assert seen is not None
    assert seen.age_ms == 0


@pytest.mark.parametrize(
    ("selector", "signature"),
    [
        (aggregator.LATEST_ROUND_DATA, "latestRoundData()"),
        (aggregator.DECIMALS, "decimals()"),
        (aggregator.DESCRIPTION, "description()"),
        (aggregator.AGGREGATOR, "aggregator()"),
        (aggregator.MIN_ANSWER, "minAnswer()"),
        (aggregator.MAX_ANSWER, "maxAnswer()"),
    ],
)
def test_selectors_are_those_of_the_interface(selector: bytes, signature: str):
    assert keccak(text=signature)[:4] == selector
