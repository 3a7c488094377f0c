"""Amounts are exact, of any size, and never mix assets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.money.amount import AmountError, Asset, total

LTC = Asset("LTC", 8)
TOKEN = Asset("BTCD", 18)

units = st.integers(min_value=-(10**77), max_value=10**77)


@given(units, st.sampled_from([LTC, TOKEN, Asset("YEN", 0)]))
def test_formatting_and_parsing_are_inverse(value: int, asset: Asset):
    amount = asset.amount(value)
    assert asset.parse(amount.decimal) == amount


@pytest.mark.parametrize(
    "text", ["", "1e8", "1.", ".5", "+1", " 1", "1 ", "1,5", "NaN", "0x1", "١", "1_0", "9" * 79]
)
def test_only_plain_decimals_are_read(text: str):
    with pytest.raises(AmountError) as caught:
        LTC.parse(text)
    assert caught.value.code == "invalid_amount"


def test_finer_than_the_base_unit_is_refused_but_trailing_zeros_are_not():
    assert LTC.parse("1.50000000000") == LTC.amount(150_000_000)
    with pytest.raises(AmountError, match="8 decimal places"):
        LTC.parse("0.000000001")


def test_assets_do_not_mix():
    with pytest.raises(TypeError, match="LTC goes only with LTC"):
        LTC.amount(1) + TOKEN.amount(1)
    with pytest.raises(TypeError, match="LTC goes only with LTC"):
        assert LTC.amount(1) < TOKEN.amount(2)
    assert LTC.amount(1) != TOKEN.amount(1)


def test_floats_and_bools_are_no_amounts():
    with pytest.raises(TypeError, match="int"):
        LTC.amount(1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="int"):
        LTC.amount(True)


@given(st.lists(units.map(LTC.amount), max_size=5))
def test_totals_add_up(amounts):
    assert total(amounts, LTC).units == sum(a.units for a in amounts)
