"""Bech32 (BIP 173) and bech32m (BIP 350)."""

from __future__ import annotations

from collections.abc import Iterable

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
BECH32 = 1
BECH32M = 0x2BC830A3


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_GENERATORS):
            if top >> i & 1:
                check ^= generator
    return check


def _expand(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def regroup(data: Iterable[int], source: int, target: int, *, pad: bool) -> list[int]:
    """Regroup bits from groups of `source` to groups of `target`.

    Raises:
        ValueError: Without `pad`: left-over bits that are too many or not zero.
    """
    accumulator = bits = 0
    out: list[int] = []
    for value in data:
        accumulator = (accumulator << source | value) & 0xFFFF
        bits += source
        while bits >= target:
            bits -= target
            out.append(accumulator >> bits & (1 << target) - 1)
    rest = accumulator & (1 << bits) - 1
    if pad:
        if bits:
            out.append(rest << target - bits)
    elif bits >= source or rest:
        raise ValueError("the padding is wrong")
    return out


def encode(prefix: str, values: list[int], constant: int) -> str:
    """Write five-bit `values` with their checksum."""
    check = _polymod([*_expand(prefix), *values, 0, 0, 0, 0, 0, 0]) ^ constant
    checksum = [check >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join(_ALPHABET[v] for v in [*values, *checksum])


def decode(text: str, *, max_length: int = 90) -> tuple[str, list[int], int]:
    """Return prefix, five-bit values and the checksum's constant.

    Raises:
        ValueError: Mixed case, a foreign character, a wrong checksum or length.
    """
    if len(text) > max_length:
        raise ValueError("too long")
    if text not in {text.lower(), text.upper()}:
        raise ValueError("upper and lower case are mixed")
    text = text.lower()
    prefix, separator, rest = text.rpartition("1")
    if not separator or not prefix or len(rest) < 6:
        raise ValueError("no bech32 form")
    if any(not 33 <= ord(c) <= 126 for c in prefix) or any(c not in _VALUES for c in rest):
        raise ValueError("a foreign character")
    values = [_VALUES[c] for c in rest]
    constant = _polymod([*_expand(prefix), *values])
    if constant not in {BECH32, BECH32M}:
        raise ValueError("the checksum is wrong")
    return prefix, values[:-6], constant
