"""Numbers as people read them."""

from typing import Any

import pytest

from millpond.web import formatting as f


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 H/s"),
        (0.4, "0.40 H/s"),
        (999.4, "999 H/s"),
        (999.6, "1.00 kH/s"),
        (3_418_220_114, "3.42 GH/s"),
        (99_950_000, "100.0 MH/s"),
        (6.2e20, "620 EH/s"),
        (1e30, "1000000000 ZH/s"),
    ],
)
def test_hashrates(value, text):
    assert f.hashrate(value) == text


@pytest.mark.parametrize(
    ("amount", "trimmed", "short"),
    [
        ("12.50000000", "12.5", "12.5"),
        ("1234567.00000000", "1\u202f234\u202f567", "1\u202f234\u202f567"),
        ("0.00000001", "0.00000001", "0.00000001"),
        ("-3.10000000", "-3.1", "-3.1"),
        ("19.99999999", "19.99999999", "19.99"),
        ("0.009999999999999999", "0.009999999999999999", "0.009999"),
        ("0.500000000000000001", "0.500000000000000001", "0.5"),
        ("0.000000000000000000", "0", "0"),
    ],
)
def test_amounts_are_shortened_never_rounded_up(amount, trimmed, short):
    assert f.trim_zeros(amount) == trimmed
    assert f.short_amount(amount) == short


def test_parts_and_times():
    assert [f.percent(x) for x in (0, 0.0004, 0.049, 0.43, 2.5)] == [
        "0 %",
        "< 0.1 %",
        "4.9 %",
        "43 %",
        "250 %",
    ]
    assert f.share_of((0, 0)) == "\u2013"
    assert f.share_of((1, 4)) == "25 %"
    assert f.exact("2026-11-21T01:02:03.456Z") == "2026-11-21 01:02:03 UTC"
    assert f.middle("0123456789abcdef0123") == "01234567…ef0123"
    assert f.middle("short") == "short"
    assert f.difficulty(0.0625) == "0.0625"
    assert f.difficulty(9.313e-05) == "0.0000931"
    assert f.difficulty(1e-05) == "0.00001"
    assert f.difficulty(0) == "0"
    assert f.difficulty(95_300_000_000_000) == "95.3 T"
    assert f.basis_points(150) == "1.5 %"


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (None, "\u2013"),
        ("0", "0 %"),
        ("0.12", "12 %"),
        ("0.123456", "12.35 %"),
        ("0.00001", "< 0.01 %"),
        ("2102.4", "210\u202f240 %"),
        ("9999", "over 999\u202f000 %"),
    ],
)
def test_yearly_rates(rate, text):
    assert f.yearly(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "for ever"),
        (0, "less than a second"),
        (30, "30 s"),
        (90, "1 min 30 s"),
        (3_600, "1 h"),
        (93_784, "1 day 2 h"),
        (86_400, "1 day"),
        (400 * 86_400, "1 year 35 days"),
    ],
)
def test_how_long_something_lasts(seconds, text):
    assert f.lasting(seconds) == text


def test_what_is_held_is_said_in_words_of_staking():
    assert f.held_words(["claim", "deposit", "order", "rewards"]) == (
        "deposits, new rewards, taking rewards"
    )
    assert f.sentence("it stands still") == "It stands still."
    assert f.plain_amount("12.500000") == "12.5"
    assert f.plain_amount("100") == "100"


def test_a_gauge_that_is_another_one_for_each_wallet_is_a_dash():
    pool: Any = None
    assert f.gauge(None, "user_cap", pool) == "\u2013"


def test_a_limit_is_shown_as_it_is_typed():
    assert f.limit_text("1500000000000000000", "deposit_cap", 18) == "1.5"
    assert f.limit_text("1", "tvl_cap", 18) == "0.000000000000000001"
    assert f.limit_text("9" * 78, "tvl_cap", 18) == f"{'9' * 60}.{'9' * 18}"
    assert f.limit_text("3600", "outflow_window_s", 18) == "3600"
    assert f.limit_text("100", "tvl_cap", 0) == "100"
