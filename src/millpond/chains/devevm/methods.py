"""How the devevm's RPC methods are found, and how their parameters are read.

Sentences about wrong parameters are those of go-ethereum.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from millpond.chains.devevm.errors import invalid

Function = TypeVar("Function", bound=Callable[..., Any])
_MARK = "__rpc_names__"


def rpc(*names: str) -> Callable[[Function], Function]:
    """Marks a function as the RPC method of these names."""

    def mark(function: Function) -> Function:
        setattr(function, _MARK, names)
        return function

    return mark


class Method:
    """One RPC method; parameters are by position."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        parameters = inspect.signature(function).parameters.values()
        self._most = len(parameters)
        self._least = sum(one.default is inspect.Parameter.empty for one in parameters)

    def __call__(self, params: Sequence[Any]) -> Any:
        """Call it.

        Raises:
            DevevmRpcError: Too many or too few parameters (-32602), or what the method says.
        """
        if len(params) < self._least:
            raise invalid(f"missing value for required argument {len(params)}")
        if len(params) > self._most:
            raise invalid(f"too many arguments, want at most {self._most}")
        return self._function(*params)


def table(room: object) -> dict[str, Method]:
    """The marked methods of a class by their names."""
    found = {}
    for name, function in inspect.getmembers(type(room), inspect.isfunction):
        for rpc_name in getattr(function, _MARK, ()):
            found[rpc_name] = Method(getattr(room, name))
    return found


def read_quantity(value: Any, what: str) -> int:
    """A number: 0x-hex without leading zeros as nodes want it; whole JSON numbers are taken too.

    Raises:
        DevevmRpcError: Neither (-32602).
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if not isinstance(value, str) or not value.startswith("0x") or not value.isalnum():
        raise invalid(f"invalid {what}: hex string without 0x prefix")
    try:
        number = int(value, 16)
    except ValueError:
        raise invalid(f"invalid {what}: invalid hex string") from None
    if number < 0 or number >= 1 << 256:
        raise invalid(f"invalid {what}: hex number > 256 bits")
    return number


def read_bytes(value: Any, what: str, size: int | None = None) -> bytes:
    """Bytes from 0x-hex, of `size` if given.

    Raises:
        DevevmRpcError: Something else (-32602).
    """
    if not isinstance(value, str) or not value.startswith("0x") or not value.isalnum():
        raise invalid(f"invalid {what}: hex string without 0x prefix")
    try:
        found = bytes.fromhex(value[2:])
    except ValueError:
        raise invalid(f"invalid {what}: invalid hex string") from None
    if size is not None and len(found) != size:
        raise invalid(f"invalid {what}: hex string has length {len(value) - 2}, want {2 * size}")
    return found


def read_address(value: Any) -> bytes:
    """An address; the case of its letters is not looked at, as in a node.

    Raises:
        DevevmRpcError: Not 20 bytes (-32602).
    """
    return read_bytes(value, "address", 20)


def read_hash(value: Any) -> bytes:
    """A hash.

    Raises:
        DevevmRpcError: Not 32 bytes (-32602).
    """
    return read_bytes(value, "hash", 32)
