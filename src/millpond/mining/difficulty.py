"""Difficulty as an exact number, and what it means as a target.

A difficulty is held as an integer with 32 binary places (`fixed`): 1.0 is
2**32. For sha256d that is very nearly the number of hashes expected for one
share; sums of it are exact, so that a reward window has one answer. All
targets are integers, compared with a hash read as a little-endian number.
"""

from __future__ import annotations

import math

ONE = 1 << 32
"""Difficulty 1.0."""

MAX_SHARE_DIFFICULTY = (1 << 64) - 1
"""Largest difficulty of a share that the log can hold, in units of 2**-32."""

MAX_TARGET = (1 << 256) - 1


def difficulty_to_target(difficulty: int, difficulty_1_target: int) -> int:
    """Largest hash that meets `difficulty` (fixed point, 32 binary places)."""
    assert difficulty > 0, "a difficulty is positive"
    return min((difficulty_1_target << 32) // difficulty, MAX_TARGET)


def target_to_difficulty(target: int, difficulty_1_target: int) -> int:
    """Difficulty (fixed point, rounded down, at least 1) that `target` stands for."""
    assert 0 < target <= MAX_TARGET, "a target is a positive number below 2**256"
    return max((difficulty_1_target << 32) // target, 1)


def bits_to_target(bits: int) -> int:
    """Expand the compact form of a target ("nBits" of a block header).

    Raises:
        ValueError: The sign bit is set, or the value overflows 256 bits.
    """
    exponent, mantissa = bits >> 24, bits & 0xFFFFFF
    if mantissa & 0x800000:
        raise ValueError("a compact target is not negative")
    target = mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)
    if target > MAX_TARGET:
        raise ValueError("a compact target fits 256 bits")
    return target


def target_to_bits(target: int) -> int:
    """Compact form of a target, rounded down as the daemons do."""
    assert 0 <= target <= MAX_TARGET, "a target fits 256 bits"
    size = (target.bit_length() + 7) // 8
    mantissa = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if mantissa & 0x800000:
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa


def from_float(value: float) -> int:
    """Fixed-point difficulty nearest to a number that came over the wire.

    Raises:
        ValueError: Not a positive finite number, or beyond what a share may have.
    """
    if not math.isfinite(value) or value <= 0:
        raise ValueError("a difficulty is a positive number")
    fixed = round(value * ONE) if value < float(1 << 32) else 0
    if not 0 < fixed <= MAX_SHARE_DIFFICULTY:
        raise ValueError("a difficulty lies between 2**-32 and 2**32")
    return fixed


def to_float(difficulty: int) -> float:
    """A difficulty as a floating-point number, for the wire and for pages only."""
    return difficulty / ONE
