"""How a devchain's RPC methods are found, called and answered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, get_origin, get_type_hints

from millpond.chains.bitcoin.amounts import to_sat
from millpond.chains.bitcoin.errors import RpcProtocolError
from millpond.chains.bitcoin.hashes import from_display
from millpond.chains.bitcoin.wire import (
    Block,
    Transaction,
    WireError,
    parse_block,
    parse_transaction,
)
from millpond.errors import MillpondError

_NAMES: dict[type, str] = {
    int: "an integer",
    str: "a string",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
}


class DevRpcError(MillpondError):
    """An error object of the RPC: number and sentence as a real daemon has them."""

    code = "devchain_rpc"

    def __init__(self, rpc_code: int, message: str) -> None:
        super().__init__(message)
        self.rpc_code = rpc_code


class Method:
    """One RPC method with its parameters' kinds."""

    def __init__(self, function: Callable[..., Any], *, wallet: bool) -> None:
        self.function = function
        self.wallet = wallet
        self._signature = inspect.signature(function)
        self._hints = get_type_hints(function)
        skip = 1 if wallet else 0
        self._parameters = list(self._signature.parameters)[skip:]

    def check(self, params: Sequence[Any]) -> None:
        """Hold parameters against what the method takes.

        Raises:
            DevRpcError: Too many or too few (-1), or one of a wrong kind (-1).
        """
        required = [
            name
            for name in self._parameters
            if self._signature.parameters[name].default is inspect.Parameter.empty
        ]
        if not len(required) <= len(params) <= len(self._parameters):
            name = getattr(self.function, "__name__", "method")
            raise DevRpcError(-1, f"{name} {' '.join(self._parameters)}")
        for name, value in zip(self._parameters, params, strict=False):
            kind = get_origin(self._hints.get(name)) or self._hints.get(name)
            if value is None and name not in required:
                continue
            if kind in _NAMES and type(value) is not kind:
                raise DevRpcError(-1, f"JSON value is not {_NAMES[kind]} as expected")


def table(room: object, *, wallet: bool) -> dict[str, Method]:
    """The methods of a class by name: every public function is one."""
    names = [n for n, f in vars(type(room)).items() if inspect.isfunction(f) and n[0] != "_"]
    return {name: Method(getattr(room, name), wallet=wallet) for name in names}


def read_hash(text: str, name: str) -> bytes:
    """A hash parameter in internal byte order.

    Raises:
        DevRpcError: Not 64 hexadecimal digits (-8).
    """
    if len(text) != 64:
        raise DevRpcError(-8, f"{name} must be of length 64 (not {len(text)}, for '{text[:80]}')")
    try:
        return from_display(text)
    except ValueError:
        raise DevRpcError(-8, f"{name} must be hexadecimal string (not '{text}')") from None


def read_transaction(text: str, hint: str = "") -> Transaction:
    """A transaction parameter.

    Raises:
        DevRpcError: It cannot be read (-22).
    """
    try:
        tx = parse_transaction(bytes.fromhex(text))
    except (WireError, ValueError):
        raise DevRpcError(-22, f"TX decode failed{hint}") from None
    return tx


def read_block(text: str) -> Block:
    """A block parameter.

    Raises:
        DevRpcError: It cannot be read (-22).
    """
    try:
        block = parse_block(bytes.fromhex(text))
    except (WireError, ValueError):
        raise DevRpcError(-22, "Block decode failed") from None
    if not block.transactions or not block.transactions[0].is_coinbase:
        raise DevRpcError(-22, "Block does not start with a coinbase")
    return block


def read_amount(value: object, decimals: int) -> int:
    """An amount parameter, number or text, in base units.

    Raises:
        DevRpcError: No amount (-3).
    """
    if isinstance(value, str):
        try:
            value = Decimal(value)
        except ArithmeticError:
            raise DevRpcError(-3, "Invalid amount") from None
    try:
        units = to_sat(value, decimals)
    except RpcProtocolError:
        raise DevRpcError(-3, "Invalid amount") from None
    if units < 0:
        raise DevRpcError(-3, "Amount out of range")
    return units
