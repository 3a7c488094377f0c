"""Prices as integers with eighteen decimals; pure."""

from __future__ import annotations

import re

PLACES = 18
E18 = 10**PLACES
"""One, as a price."""

MAX_DECIMALS = 36
"""Most decimals that a feed may have; more is a mistake, not precision."""

MAX_E18 = 10**60
"""No price is that large (10**42 whole units); keeps every product within the columns."""

BPS = 10_000
"""One whole in basis points."""

_DECIMAL = re.compile(r"(-?)(\d{1,40})(?:\.(\d{0,60}))?(?:[eE]([+-]?\d{1,2}))?", re.ASCII)


def scaled(value: int, decimals: int) -> int:
    """`value` with `decimals` decimals, as one with eighteen.

    Exact up to eighteen decimals; finer ones are rounded down, by less than 10**-18.
    """
    assert 0 <= decimals <= MAX_DECIMALS, "decimals are checked before"
    if decimals <= PLACES:
        return int(value * 10 ** (PLACES - decimals))
    return int(value // 10 ** (decimals - PLACES))


def parsed(text: str) -> int | None:
    """A decimal number such as `1.5` or `2e-7` with eighteen decimals; None if it is none.

    Digits behind the eighteenth place are dropped.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    fraction = match[3] or ""
    places = PLACES + int(match[4] or 0) - len(fraction)
    digits = int(match[2] + fraction)
    value = int(digits * 10**places) if places >= 0 else int(digits // 10**-places)
    return -value if match[1] else value


def median(values: list[int]) -> int:
    """The middle one; of an even number the mean of the middle two, rounded down."""
    assert values, "something has a median"
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) // 2


def within_bps(value: int, reference: int, bps: int) -> bool:
    """Whether `value` is at most `bps` basis points of `reference` away from it."""
    return abs(value - reference) * BPS <= reference * bps
