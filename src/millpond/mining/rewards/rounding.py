"""Splitting a whole number in proportion, with no unit lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=tuple[str, ...])


def largest_remainder(weights: Mapping[Key, int], total: int) -> dict[Key, int]:
    """Split `total` units in proportion to `weights`; the parts sum to it exactly.

    Everyone gets the whole part of the exact share; the units left over go to
    the largest fractions, one each, equal fractions in the order of the keys
    (Hamilton's method). The order of `weights` does not matter, and a larger
    weight never gets less than a smaller one.

    Args:
        weights: Not negative, with a positive sum.
        total: Units to split; not negative.

    Returns:
        One part a key, sorted by key; a part may be zero.
    """
    assert total >= 0, "there is nothing to take back"
    whole = sum(weights.values())
    assert whole > 0, "something must carry weight"
    parts: dict[Key, int] = {}
    fractions: list[tuple[int, Key]] = []
    for key in sorted(weights):
        weight = weights[key]
        assert weight >= 0, "a weight is not negative"
        parts[key], fraction = divmod(total * weight, whole)
        fractions.append((-fraction, key))
    left = total - sum(parts.values())
    assert 0 <= left < len(parts) or left == 0, "fewer units are left than there are fractions"
    for _, key in sorted(fractions)[:left]:
        parts[key] += 1
    return parts
