"""Contracts as Python knows them: artifacts, calls, outputs, events, errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from importlib import resources
from typing import Any

import msgspec

from millpond.chains.evm import abi
from millpond.chains.evm.address import checksum
from millpond.chains.evm.errors import AbiError
from millpond.chains.evm.events import Event, EventTable
from millpond.chains.evm.keccak import keccak
from millpond.chains.evm.reverts import ERROR_SELECTOR, PANIC_SELECTOR, revert_reason
from millpond.chains.evm.types import Log
from millpond.errors import NotFoundError

Abi = Sequence[dict[str, Any]]


class Artifact(msgspec.Struct, frozen=True):
    """A compiled contract of this package.

    Attributes:
        name: Of the contract, such as `Vault`.
        abi: The JSON ABI.
        bytecode: Creation code as 0x-hex, without constructor arguments.
        deployed_bytecode: Runtime code as 0x-hex; immutables follow it on chain.
        immutables_size: Bytes of the immutables on chain.
        source_sha256: Of the Vyper source.
        compiler: Name and version.
        evm_version: Newest rules that the code needs.
    """

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    deployed_bytecode: str = ""
    immutables_size: int = 0
    source_sha256: str = ""
    compiler: str = ""
    evm_version: str = ""


@cache
def artifact(name: str) -> Artifact:
    """Load one contract of `artifacts/`; kept after the first time.

    Raises:
        NotFoundError: No contract of that name is shipped.
    """
    found = resources.files("millpond.chains.evm") / "artifacts" / f"{name}.json"
    if not name.isidentifier() or not found.is_file():
        raise NotFoundError(f"there is no contract {name[:80]!r} in this package")
    return msgspec.json.decode(found.read_bytes(), type=Artifact)


class Function:
    """One function of an ABI.

    Attributes:
        signature: `name(type,…)`.
        selector: The first four bytes of a call.
        inputs: Types of the arguments.
        outputs: Types of the results.
    """

    def __init__(self, entry: dict[str, Any]) -> None:
        self.name: str = entry["name"]
        self.inputs = tuple(abi.canonical(part) for part in entry.get("inputs", ()))
        self.outputs = tuple(abi.canonical(part) for part in entry.get("outputs", ()))
        self.signature = f"{self.name}({','.join(self.inputs)})"
        self.selector = keccak(self.signature.encode())[:4]
        self.view: bool = entry.get("stateMutability") in {"view", "pure"}

    def __repr__(self) -> str:
        return f"Function({self.signature})"


class Contract:
    """A contract at an address, spoken to through its ABI; does no I/O.

    A function is named by its name, or by its whole signature where several
    share the name.

    Args:
        address: Where it stands; None for one that is yet to be created.
        abi: JSON ABI.
    """

    def __init__(self, address: str | None, abi: Abi) -> None:
        self._address = None if address is None else checksum(address)
        self.abi = abi

    @classmethod
    def named(cls, name: str, address: str | None = None) -> Contract:
        """A contract of this package; see `artifact`."""
        return cls(address, artifact(name).abi)

    @property
    def address(self) -> str:
        """Where it stands."""
        assert self._address is not None, "this contract has no address yet"
        return self._address

    def at(self, address: str) -> Contract:
        """The same kind of contract at another address."""
        return Contract(address, self.abi)

    def encode(self, function: str, *args: Any) -> bytes:
        """The data of a call.

        Raises:
            AbiError: No such function, or arguments that do not fit.
        """
        found = self._function(function, len(args))
        return found.selector + abi.encode(found.inputs, args)

    def encode_constructor(self, *args: Any) -> bytes:
        """The constructor's arguments, to follow the creation code."""
        kinds: tuple[str, ...] = ()
        for entry in self.abi:
            if entry.get("type") == "constructor":
                kinds = tuple(abi.canonical(part) for part in entry.get("inputs", ()))
        return abi.encode(kinds, args)

    def decode_output(self, function: str, data: bytes) -> Any:
        """What a call returned: None, the one value, or a tuple of several.

        Raises:
            AbiError: The bytes do not fit; none at all usually means that no
                contract stands at the address.
        """
        found = self._function(function)
        values = abi.decode(found.outputs, data)
        if not values:
            return None
        return values[0] if len(values) == 1 else values

    def decode_input(self, data: bytes) -> tuple[str, tuple[Any, ...]]:
        """Function name and arguments of a call's data.

        Raises:
            AbiError: No function of this contract, or bytes that do not fit.
        """
        for function in self._all_functions:
            if function.selector == data[:4]:
                return function.name, abi.decode(function.inputs, data[4:])
        raise AbiError(f"no function has the selector 0x{data[:4].hex()}")

    def selector(self, function: str) -> bytes:
        """The first four bytes of a call."""
        return self._function(function).selector

    def topic(self, event: str) -> str:
        """`topics[0]` of an event as 0x-hex."""
        return self.events.topic(event)

    def decode_event(self, log: Log) -> Event | None:
        """The event of a log; None if this ABI does not know it.

        The address is not looked at: whoever asked for the logs has chosen it.

        Raises:
            AbiError: The topic is known and the bytes do not fit.
        """
        return self.events.decode(log)

    def decode_events(self, logs: Iterable[Log]) -> list[Event]:
        """The known events of this contract's own address, in order."""
        address = self.address
        found = (self.events.decode(log) for log in logs if log.address == address)
        return [event for event in found if event is not None]

    def decode_error(self, data: bytes) -> str:
        """Why a call reverted, custom errors of this ABI with their arguments."""
        if len(data) >= 4 and data[:4] not in {ERROR_SELECTOR, PANIC_SELECTOR}:
            for error in self._errors:
                if error.selector == data[:4]:
                    try:
                        values = abi.decode(error.inputs, data[4:])
                    except AbiError:
                        break
                    return f"{error.name}({', '.join(str(value) for value in values)})"
        return revert_reason(data)

    @cached_property
    def events(self) -> EventTable:
        """The events of this ABI."""
        return EventTable(self.abi)

    @cached_property
    def _all_functions(self) -> list[Function]:
        return [Function(entry) for entry in self.abi if entry.get("type") == "function"]

    @cached_property
    def _errors(self) -> list[Function]:
        return [Function(entry) for entry in self.abi if entry.get("type") == "error"]

    @cached_property
    def _by_name(self) -> dict[str, list[Function]]:
        table: dict[str, list[Function]] = {}
        for function in self._all_functions:
            table.setdefault(function.name, []).append(function)
            table[function.signature] = [function]
        return table

    def _function(self, name: str, arguments: int | None = None) -> Function:
        found = self._by_name.get(name, [])
        if len(found) > 1 and arguments is not None:
            found = [function for function in found if len(function.inputs) == arguments]
        if len(found) != 1:
            raise AbiError(f"{'several functions are' if found else 'no function is'} named {name}")
        return found[0]
