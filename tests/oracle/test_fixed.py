"""Prices as integers: exact up to eighteen decimals, never too high beyond."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.oracle.fixed import E18, median, parsed, scaled, within_bps
from millpond.oracle.model import Price

ANY = st.integers(min_value=-(2**255), max_value=2**255 - 1)


@given(ANY, st.integers(0, 36))
def test_scaling_is_exact_or_rounds_down_by_less_than_a_unit(value: int, decimals: int):
    exact = Fraction(value, 10**decimals) * E18
    result = scaled(value, decimals)
    assert 0 <= exact - result < 1
    if decimals <= 18:
        assert result == exact


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=18, min_value=-(10**20), max_value=10**20
    )
)
def test_texts_are_read_exactly(number: Decimal):
    with localcontext(prec=60):
        assert parsed(f"{number:f}") == int(number * E18)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", E18),
        ("1.", E18),
        ("0.1", E18 // 10),
        ("2e-7", 2 * 10**11),
        ("1.5E3", 1500 * E18),
        ("-3.25", -13 * E18 // 4),
        ("0.0000000000000000019", 1),
        ("1e-30", 0),
    ],
)
def test_texts_of_exchanges_are_understood(text: str, value: int):
    assert parsed(text) == value


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1,5", "NaN", "Infinity", "0x10", "1e999", "--1", "１", "1" * 99]
)
def test_what_is_no_plain_number_is_none(text: str):
    assert parsed(text) is None


@given(st.lists(st.integers(1, 10**30), min_size=1, max_size=9))
def test_the_median_lies_within_and_splits_in_half(values: list[int]):
    middle = median(values)
    assert min(values) <= middle <= max(values)
    assert 2 * sum(value < middle for value in values) <= len(values)
    assert 2 * sum(value > middle for value in values) <= len(values)


@given(st.integers(1, 10**30), st.integers(1, 10**30), st.integers(0, 10_000))
def test_deviation_is_compared_without_rounding(value: int, reference: int, bps: int):
    exact = abs(Fraction(value - reference, reference)) <= Fraction(bps, 10_000)
    assert within_bps(value, reference, bps) == exact


@given(st.integers(0, 2**256 - 1), st.integers(0, 36), st.integers(1, 10**42))
def test_worth_is_rounded_down_and_never_buys_more_back(units: int, decimals: int, value: int):
    price = Price(
        asset="A",
        quote="USD",
        value_e18=value,
        source="s",
        at_ms=0,
        checked_ms=0,
        fresh_until_ms=0,
        age_ms=0,
    )
    worth = price.worth_e18(units, decimals)
    assert 0 <= Fraction(units * value, 10**decimals) - worth < 1
    assert price.units_for(worth, decimals) <= units
    assert parsed(price.decimal) == value
