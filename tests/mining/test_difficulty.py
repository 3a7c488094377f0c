"""Difficulty, target and compact form agree with what the networks publish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.chains.coins import SHA256D_DIFFICULTY_1
from millpond.mining.difficulty import (
    MAX_SHARE_DIFFICULTY,
    MAX_TARGET,
    bits_to_target,
    difficulty_to_target,
    from_float,
    target_to_bits,
    target_to_difficulty,
    to_float,
)


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        (0x1D00FFFF, 0xFFFF << 208),  # Bitcoin's genesis block
        (0x1B0404CB, 0x0404CB << 192),  # block 100,800, the usual example
        (0x207FFFFF, 0x7FFFFF << 232),  # regtest
        (0x01003456, 0),
        (0x01123456, 0x12),
        (0x02008000, 0x80),
        (0x05009234, 0x92340000),
    ],
)
def test_compact_targets_expand_as_in_the_daemons(bits, target):
    assert bits_to_target(bits) == target


@pytest.mark.parametrize("bits", [0x01FEDCBA, 0x04923456, 0x1D800000, 0xFF7FFFFF, 0x23000100])
def test_negative_and_overflowing_compact_targets_are_refused(bits):
    with pytest.raises(ValueError):
        bits_to_target(bits)


def test_block_100800_had_the_difficulty_that_everybody_quotes():
    fixed = target_to_difficulty(bits_to_target(0x1B0404CB), SHA256D_DIFFICULTY_1)
    assert to_float(fixed) == pytest.approx(16307.420938523983, rel=1e-12)


@given(st.integers(0, MAX_TARGET))
def test_compact_form_rounds_down_and_keeps_three_bytes_or_nearly(target):
    again = bits_to_target(target_to_bits(target))
    assert again <= target
    assert target - again <= target >> 15
    assert target_to_bits(again) == target_to_bits(target)


@given(st.integers(1, MAX_SHARE_DIFFICULTY))
def test_a_target_never_stands_for_less_than_the_difficulty_it_was_made_from(difficulty):
    target = difficulty_to_target(difficulty, SHA256D_DIFFICULTY_1)
    if target < MAX_TARGET:
        assert target_to_difficulty(target, SHA256D_DIFFICULTY_1) >= difficulty


@given(st.floats(2**-31, 2**31))
def test_a_difficulty_from_the_wire_is_the_nearest_fixed_point_number(value):
    assert abs(to_float(from_float(value)) - value) <= 2**-32


@pytest.mark.parametrize(
    "value", [0.0, -1.0, float("nan"), float("inf"), float(1 << 32), 1e300, 2**-40]
)
def test_a_difficulty_that_cannot_be_is_refused(value):
    with pytest.raises(ValueError):
        from_float(value)
