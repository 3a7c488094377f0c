"""Base58 with a four-byte checksum, as legacy addresses are written."""

from __future__ import annotations

from millpond.chains.bitcoin.hashes import sha256d

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_MAX_LENGTH = 128


def encode_check(payload: bytes) -> str:
    """Write `payload` followed by its checksum."""
    data = payload + sha256d(payload)[:4]
    number = int.from_bytes(data, "big")
    digits: list[str] = []
    while number:
        number, rest = divmod(number, 58)
        digits.append(_ALPHABET[rest])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(digits))


def decode_check(text: str) -> bytes:
    """Read what `encode_check` wrote.

    Raises:
        ValueError: A foreign character, a wrong checksum, too long or too short.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError("too long")
    number = 0
    for character in text:
        value = _VALUES.get(character)
        if value is None:
            raise ValueError(f"{character!r} is no base58 character")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    data = b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) < 5 or sha256d(data[:-4])[:4] != data[-4:]:
        raise ValueError("the checksum is wrong")
    return data[:-4]
