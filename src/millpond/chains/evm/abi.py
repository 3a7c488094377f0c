"""The contract ABI for single words by ourselves, the rest by `eth-abi`.

Nearly everything that Millpond reads and writes is made of 32-byte words
(amounts, addresses, hashes); for these a word at an offset is the value, and
no library has to be loaded. `eth-abi` takes 0.4 s to import and is called
only for strings, lists and structs.

Python values: integers are `int`, addresses EIP-55 text, `bytesN` and `bytes`
are `bytes`, strings `str`, lists and structs `tuple`. No float, ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from millpond.chains.evm.address import from_digits, to_bytes
from millpond.chains.evm.errors import AbiError, InvalidAddressError

WORD: Final = 32

Decode = Callable[[bytes], Any]

_INTEGER = re.compile(r"(u?)int(\d{1,3})", re.ASCII)
_BYTES = re.compile(r"bytes(\d{1,2})", re.ASCII)


def canonical(entry: dict[str, Any]) -> str:
    """The type of an ABI entry as a signature writes it: structs become their members."""
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    members = ",".join(canonical(member) for member in entry["components"])
    return f"({members}){kind.removeprefix('tuple')}"


@lru_cache(maxsize=1024)
def word_decoder(kind: str) -> Decode | None:
    """What makes a value of one 32-byte word; None if the type is no single word."""
    if kind == "address":
        return _address
    if kind == "bool":
        return _bool
    if kind == "uint256":
        return _uint256
    if match := _INTEGER.fullmatch(kind):
        return _integer(int(match[2]), signed=not match[1])
    if match := _BYTES.fullmatch(kind):
        return _fixed_bytes(int(match[1]))
    return None


def decode(kinds: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Read ABI-encoded values.

    Raises:
        AbiError: The bytes do not fit.
    """
    decoders = [word_decoder(kind) for kind in kinds]
    words = [decoder for decoder in decoders if decoder is not None]
    if len(words) == len(kinds):
        if len(data) < WORD * len(kinds):
            raise AbiError(f"{len(data)} bytes are too few for {len(kinds)} words")
        return tuple(
            decoder(data[at : at + WORD])
            for decoder, at in zip(words, range(0, WORD * len(words), WORD), strict=True)
        )
    from eth_abi.abi import decode as library_decode  # noqa: PLC0415 - see the module
    from eth_abi.exceptions import DecodingError  # noqa: PLC0415

    try:
        values = library_decode(list(kinds), data)
    except (DecodingError, OverflowError) as error:
        raise AbiError(f"the bytes are no {','.join(kinds)}: {error}") from None
    return tuple(_tidy(value, kind) for value, kind in zip(values, kinds, strict=True))


def encode(kinds: Sequence[str], values: Sequence[Any]) -> bytes:
    """Write values as the ABI wants them.

    Raises:
        AbiError: A value is not of its type, or there are too few or too many.
    """
    if len(kinds) != len(values):
        raise AbiError(f"{len(kinds)} arguments are needed, {len(values)} are given")
    if all(word_decoder(kind) is not None for kind in kinds):
        return b"".join(_word(kind, value) for kind, value in zip(kinds, values, strict=True))
    from eth_abi.abi import encode as library_encode  # noqa: PLC0415 - see the module
    from eth_abi.exceptions import EncodingError  # noqa: PLC0415

    try:
        return library_encode(list(kinds), list(values))
    except (EncodingError, TypeError, ValueError) as error:
        raise AbiError(f"the values are no {','.join(kinds)}: {error}") from None


def _word(kind: str, value: Any) -> bytes:
    if kind == "address":
        if not isinstance(value, str):
            raise AbiError(f"{value!r} is no address")
        try:
            return bytes(12) + to_bytes(value)
        except InvalidAddressError as error:
            raise AbiError(error.message) from None
    if kind == "bool":
        if type(value) is not bool:
            raise AbiError(f"{value!r} is no bool")
        return int(value).to_bytes(WORD, "big")
    if match := _INTEGER.fullmatch(kind):
        return _integer_word(kind, value, int(match[2]), signed=not match[1])
    size = int(kind.removeprefix("bytes"))
    if not isinstance(value, bytes) or len(value) != size:
        raise AbiError(f"{kind} takes exactly {size} bytes")
    return value.ljust(WORD, b"\0")


def _integer_word(kind: str, value: Any, bits: int, *, signed: bool) -> bytes:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    if type(value) is not int or not low <= value <= high:
        raise AbiError(f"{value!r} is no {kind}")
    return value.to_bytes(WORD, "big", signed=signed)


def _tidy(value: Any, kind: str) -> Any:
    """The library writes addresses in lower case."""
    if kind == "address":
        return from_digits(value[2:].lower())
    if kind.endswith("]"):
        inner = kind[: kind.rindex("[")]
        return tuple(_tidy(item, inner) for item in value)
    if kind.startswith("("):
        return tuple(_tidy(item, inner) for item, inner in zip(value, _members(kind), strict=True))
    return value


@lru_cache(maxsize=1024)
def _members(kind: str) -> tuple[str, ...]:
    """The member types of a struct, split at the commas of its own level."""
    members, depth, start = [], 0, 1
    for at, letter in enumerate(kind):
        depth += (letter == "(") - (letter == ")")
        if (letter == "," and depth == 1) or depth == 0:
            members.append(kind[start:at])
            start = at + 1
            if depth == 0:
                break
    return tuple(member for member in members if member)


def _uint256(word: bytes) -> int:
    return int.from_bytes(word, "big")


_HIGH_12: Final = bytes(12)


def _address(word: bytes) -> str:
    if word[:12] != _HIGH_12:
        raise AbiError("a word with more than 20 bytes is no address")
    return from_digits(word[12:].hex())


def _bool(word: bytes) -> bool:
    number = int.from_bytes(word, "big")
    if number > 1:
        raise AbiError("a word other than 0 and 1 is no bool")
    return number == 1


def _integer(bits: int, *, signed: bool) -> Decode | None:
    if bits % 8 or not 8 <= bits <= 256:
        return None
    high = 1 << (bits - 1 if signed else bits)
    low = -high if signed else 0

    def read(word: bytes) -> int:
        number = int.from_bytes(word, "big", signed=signed)
        if not low <= number < high:
            raise AbiError(f"{number} does not fit {bits} bits")
        return number

    return read


def _fixed_bytes(size: int) -> Decode | None:
    if not 1 <= size <= 32:
        return None
    padding = bytes(WORD - size)

    def read(word: bytes) -> bytes:
        if word[size:] != padding:
            raise AbiError(f"a word with more than {size} bytes is no bytes{size}")
        return word[:size]

    return read
