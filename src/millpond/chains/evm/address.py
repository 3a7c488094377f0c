"""EVM addresses: EIP-55 text everywhere, 20 bytes only on the wire."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from millpond.chains.evm.errors import InvalidAddressError
from millpond.chains.evm.keccak import keccak

ZERO_ADDRESS: Final = "0x" + "0" * 40

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_CACHED = 65_536


def checksum(text: str) -> str:
    """Read an address and write it with its EIP-55 checksum.

    Text in one case carries no checksum and is taken; mixed case must be right.

    Raises:
        InvalidAddressError: Not `0x` and 40 hexadecimal digits, or a wrong checksum.
    """
    if not _ADDRESS.fullmatch(text):
        raise InvalidAddressError(f"{str(text)[:80]!r} is not an EVM address")
    digits = text[2:]
    written = _written(digits.lower())
    if text != written and digits not in {digits.lower(), digits.upper()}:
        raise InvalidAddressError(f"{text} has a wrong checksum; a digit or a case was mistyped")
    return written


def is_address(text: str) -> bool:
    """Tell whether `checksum` would take `text`."""
    try:
        checksum(text)
    except InvalidAddressError:
        return False
    return True


def from_bytes(value: bytes) -> str:
    """The address of 20 bytes."""
    assert len(value) == 20, "an address has 20 bytes"
    return _written(value.hex())


def from_digits(digits: str) -> str:
    """The address of 40 lower-case hexadecimal digits."""
    assert len(digits) == 40, "an address has 40 digits"
    return _written(digits)


def to_bytes(address: str) -> bytes:
    """The 20 bytes of an address.

    Raises:
        InvalidAddressError: See `checksum`.
    """
    return bytes.fromhex(checksum(address)[2:])


def created_address(sender: str, nonce: int) -> str:
    """Where a contract comes to stand that `sender` creates with `nonce` (yellow paper, 7)."""
    assert 0 <= nonce < 2**64, "a nonce has 64 bits (EIP-2681)"
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    item = number if len(number) == 1 and number[0] < 0x80 else bytes([0x80 + len(number)]) + number
    payload = b"\x94" + to_bytes(sender) + item
    return from_bytes(keccak(bytes([0xC0 + len(payload)]) + payload)[12:])


@lru_cache(maxsize=_CACHED)
def _written(digits: str) -> str:
    """EIP-55: a letter is upper case where the same digit of the hash is 8 or more."""
    hashed = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if nibble >= "8" else digit
        for digit, nibble in zip(digits, hashed, strict=False)
    )
