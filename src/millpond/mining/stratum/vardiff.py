"""How hard a connection's shares should be: a pure decision.

Shares come as a Poisson process. The decision compares the shares that came
with those that were expected, and changes the difficulty only when chance is
an unlikely explanation (3 in 10,000): so a miner that is far
off is corrected after four shares, one that is off by half after about sixty,
and one that is right is left alone.
"""

from __future__ import annotations

import math

from millpond.mining.difficulty import MAX_SHARE_DIFFICULTY

WINDOW_SHARES = 64
"""Shares after which a window that showed nothing is begun anew."""

FIRST_LOOK = 4
"""Shares that have to come before the difficulty is raised."""

_SIGNIFICANCE = 3e-4
_STEP_UP = 4096.0
_STEP_DOWN = 1 / 64.0
_SIGNIFICANT_BITS = 12
"""Difficulties keep this many leading bits: exact as a float of any miner."""


def worth_a_look(shares: int) -> bool:
    """Whether this many shares in the window call for a decision: 4, 8, 16, 32, 64."""
    return shares >= FIRST_LOOK and shares & (shares - 1) == 0


def window_over(shares: int, expected: float) -> bool:
    """Whether the window is long enough to be begun anew."""
    return shares >= WINDOW_SHARES or expected >= WINDOW_SHARES


def retarget(difficulty: int, shares: int, expected: float, floor: int, ceiling: int) -> int:
    """The difficulty that fits what was seen; the same one if there is no reason to change.

    Args:
        difficulty: Of the window's shares, fixed point.
        shares: That came in the window.
        expected: That should have come: its length over the target time.
        floor: Least difficulty, fixed point.
        ceiling: Greatest; wins over the floor.
    """
    factor = _factor(shares, max(expected, 1e-9))
    wanted = difficulty if factor == 1.0 else round(difficulty * factor)
    return clamp(wanted, floor, ceiling)


def clamp(difficulty: int, floor: int, ceiling: int) -> int:
    """A difficulty between the bounds; the ceiling wins."""
    top = min(ceiling, MAX_SHARE_DIFFICULTY)
    return max(min(max(difficulty, floor), top), 1)


def rounded(difficulty: int, *, power_of_two: bool = False) -> int:
    """The difficulty with few leading bits kept, rounded down; never 0."""
    assert difficulty > 0, "a difficulty is positive"
    spare = difficulty.bit_length() - (1 if power_of_two else _SIGNIFICANT_BITS)
    return difficulty if spare <= 0 else difficulty >> spare << spare


def _factor(shares: int, expected: float) -> float:
    """What to multiply the difficulty by."""
    if shares > expected:
        if shares < FIRST_LOOK or _at_least(shares, expected) > _SIGNIFICANCE:
            return 1.0
        # The window ends with a share: n - 1 intervals were seen.
        return min((shares - 1) / expected, _STEP_UP)
    if _at_most(shares, expected) > _SIGNIFICANCE:
        return 1.0
    return max((shares + 0.5) / expected, _STEP_DOWN)


def _at_most(shares: int, expected: float) -> float:
    """Probability of this many shares or fewer."""
    if expected > 500:
        return 0.0 if shares < expected / 2 else 1.0
    term = total = math.exp(-expected)
    for number in range(1, shares + 1):
        term *= expected / number
        total += term
    return total


def _at_least(shares: int, expected: float) -> float:
    """Probability of this many shares or more, for fewer expected than seen."""
    log_term = shares * math.log(expected) - expected - math.lgamma(shares + 1)
    term = total = math.exp(log_term)
    number = shares
    while term > total * 1e-6 and number < shares + 1000:
        number += 1
        term *= expected / number
        total += term
    return total
