"""Epochs once more, in rational numbers and second by second; slow and plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from millpond.staking.rewards.engine import WEIGHT_ONE, Change, Terms


def balances_at(
    opening: Mapping[str, int], changes: Sequence[Change], start_s: int, end_s: int
) -> list[dict[str, int]]:
    """What counts in each second: the least held since the epoch began."""
    balances = dict(opening)
    counted = dict(opening)
    seconds = []
    for second in range(start_s, end_s):
        for change in changes:
            if change.at_s == second:
                balances[change.wallet] = change.balance
                least = min(counted.get(change.wallet, 0), change.balance)
                counted[change.wallet] = least
        seconds.append(dict(counted))
    return seconds


def exact_parts(
    opening: Mapping[str, int], changes: Sequence[Change], start_s: int, end_s: int, pot: Fraction
) -> dict[str, Fraction]:
    """The exact time-weighted part of each wallet of `pot`."""
    seconds = balances_at(opening, changes, start_s, end_s)
    weights: dict[str, int] = {}
    for counted in seconds:
        for wallet, balance in counted.items():
            weights[wallet] = weights.get(wallet, 0) + balance
    total = sum(weights.values())
    return {w: pot * Fraction(weight, total) for w, weight in weights.items() if weight}


def staked_seconds(
    opening: Mapping[str, int], changes: Sequence[Change], start_s: int, end_s: int
) -> int:
    """Seconds in which anybody counted."""
    return sum(1 for c in balances_at(opening, changes, start_s, end_s) if any(c.values()))


def exact_emission(terms: Terms, seconds: int) -> Fraction:
    """What the terms give in that time."""
    return Fraction(terms.reward_per_minute * terms.weight * seconds, 60 * WEIGHT_ONE)
