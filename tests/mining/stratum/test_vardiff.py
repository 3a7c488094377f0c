"""Vardiff gets to the right difficulty quickly and stays there."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.mining.difficulty import ONE
from millpond.mining.stratum import vardiff

FLOOR, CEILING = 1, (1 << 64) - 1
TARGET_S = 10.0


class Miner:
    """A miner of constant speed under vardiff, in simulated time."""

    def __init__(self, speed: float, difficulty: int, chance: random.Random) -> None:
        self.ideal = speed * TARGET_S
        self.difficulty = difficulty
        self.changes: list[tuple[int, int]] = []
        self.shares = 0
        self._speed = speed
        self._chance = chance
        self._window_s = 0.0
        self._window_shares = 0

    @property
    def off(self) -> float:
        """By what factor the difficulty is off, above 1 either way."""
        ratio = self.difficulty / ONE / self.ideal
        return max(ratio, 1 / ratio)

    def run(self, shares: int) -> None:
        """Mine until so many shares have come, with a look every 5 s of silence."""
        until = self.shares + shares
        while self.shares < until:
            wait = self._chance.expovariate(self._speed / (self.difficulty / ONE))
            if wait > 5.0:
                # Memoryless: what was waited in vain says nothing about the rest.
                self._window_s += 5.0
                self._look()
                continue
            self._window_s += wait
            self._window_shares += 1
            self.shares += 1
            if vardiff.worth_a_look(self._window_shares):
                self._look()

    def _look(self) -> None:
        expected = self._window_s / TARGET_S
        wanted = vardiff.retarget(self.difficulty, self._window_shares, expected, FLOOR, CEILING)
        if wanted != self.difficulty:
            self.changes.append((self.shares, wanted))
            self.difficulty = vardiff.rounded(wanted)
        elif not vardiff.window_over(self._window_shares, expected):
            return
        self._window_s, self._window_shares = 0.0, 0


def test_it_converges_within_a_few_shares_from_anywhere_in_six_orders():
    """What is left is the band in which noise cannot be told from a wrong difficulty."""
    for decades in range(-3, 4):
        for seed in range(20):
            start = round(1000 * TARGET_S * 10**decades * ONE)
            miner = Miner(1000.0, start, random.Random(seed))
            miner.run(40)
            assert miner.off < 4, (decades, seed)
            miner.run(400)
            assert miner.off < 2.2, (decades, seed)


def test_a_right_difficulty_is_left_alone_under_poisson_noise():
    changes = 0
    for seed in range(50):
        miner = Miner(100.0, round(1000 * ONE), random.Random(seed))
        miner.run(1000)
        changes += len(miner.changes)
        assert miner.off < 2.2
    # 50,000 shares: a change by chance is rare, and never starts an oscillation.
    assert changes <= 50


def test_a_miner_that_becomes_slower_or_faster_is_followed():
    for factor in (1 / 50, 50):
        miner = Miner(100.0, round(1000 * ONE), random.Random(1))
        miner.run(100)
        miner._speed *= factor
        miner.ideal *= factor
        miner.run(30)
        assert miner.off < 4


def test_silence_eases_and_a_flood_hardens():
    assert vardiff.retarget(ONE, 0, 6.0, FLOOR, CEILING) == ONE
    eased = vardiff.retarget(ONE, 0, 9.0, FLOOR, CEILING)
    assert ONE / 32 < eased < ONE / 4
    assert vardiff.retarget(ONE, 3, 0.001, FLOOR, CEILING) == ONE
    assert vardiff.retarget(ONE, 4, 0.01, FLOOR, CEILING) == 300 * ONE


@given(
    st.integers(1, CEILING),
    st.integers(0, 10_000),
    st.floats(0, 1e9, allow_nan=False),
    st.integers(1, CEILING),
    st.integers(1, CEILING),
)
def test_the_bounds_hold_whatever_happens(difficulty, shares, expected, floor, ceiling):
    wanted = vardiff.retarget(difficulty, shares, expected, floor, ceiling)
    assert 1 <= wanted <= ceiling
    assert wanted >= min(floor, ceiling)


@given(st.integers(1, CEILING), st.booleans())
def test_rounding_keeps_nearly_all_and_is_exact_as_a_float(difficulty, power):
    kept = vardiff.rounded(difficulty, power_of_two=power)
    assert difficulty / (2 if power else 1.001) < kept + 1
    assert kept <= difficulty
    assert int(float(kept)) == kept
    if power:
        assert math.log2(kept).is_integer()
    assert vardiff.rounded(kept, power_of_two=power) == kept


@pytest.mark.parametrize("shares", [4, 8, 16, 32, 64])
def test_it_looks_at_powers_of_two(shares):
    assert vardiff.worth_a_look(shares)
    assert not vardiff.worth_a_look(shares + 1)
    assert not vardiff.worth_a_look(2)
