"""Hexadecimal of the Ethereum JSON-RPC: quantities, data, hashes (execution-apis, base types).

Nodes are read generously where nothing is lost by it (leading zeros, upper
case) and refused where something would be (fractions, signs, odd digits).
"""

from __future__ import annotations

import re
from typing import Any, Final

from millpond.chains.evm.errors import RpcProtocolError
from millpond.chains.evm.units import MAX_UINT256

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,128}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_TAGS: Final = frozenset({"latest", "pending", "safe", "finalized", "earliest"})

BlockRef = int | str
"""A block number, a block hash (0x and 64 digits), or a tag such as `latest`."""


def to_quantity(value: int) -> str:
    """Write a quantity: no leading zeros, `0x0` for zero."""
    assert type(value) is int, "quantities are whole numbers"
    assert 0 <= value <= MAX_UINT256, "a quantity has at most 256 bits"
    return hex(value)


def quantity(value: Any) -> int:
    """Read a quantity.

    Raises:
        RpcProtocolError: No whole number of at most 256 bits.
    """
    if type(value) is str and _QUANTITY.fullmatch(value):
        number = int(value, 16)
        if number <= MAX_UINT256:
            return number
    elif type(value) is int and 0 <= value <= MAX_UINT256:
        return value
    raise RpcProtocolError(f"{str(value)[:80]!r} is not a quantity")


def bounded(value: Any, most: int, what: str) -> int:
    """Read a quantity that has its own bound, so that it fits where it is kept.

    Raises:
        RpcProtocolError: No whole number from 0 to `most`.
    """
    number = quantity(value)
    if number > most:
        raise RpcProtocolError(f"{number} is no {what}"[:200])
    return number


def data(value: Any) -> bytes:
    """Read bytes.

    Raises:
        RpcProtocolError: No hexadecimal bytes.
    """
    if type(value) is str and value[:2] == "0x":
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise RpcProtocolError(f"{str(value)[:80]!r} is not hexadecimal data")


def to_data(value: bytes) -> str:
    """Write bytes."""
    return "0x" + value.hex()


def hash32(value: Any) -> str:
    """Read a 32-byte hash as lower-case text.

    Raises:
        RpcProtocolError: Not 32 bytes.
    """
    if type(value) is str and _HASH.fullmatch(value):
        return value.lower()
    raise RpcProtocolError(f"{str(value)[:80]!r} is not a 32-byte hash")


def is_hash(value: object) -> bool:
    """Tell whether `value` is a 32-byte hash in hexadecimal."""
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def block_parameter(block: BlockRef) -> str | dict[str, str]:
    """The block parameter of a state method; a hash becomes an EIP-1898 object."""
    if isinstance(block, int):
        return to_quantity(block)
    if is_hash(block):
        return {"blockHash": block}
    assert block in _TAGS, "a block is a number, a hash or a tag"
    return block
