"""What stands on the chain, held against what was compiled and what was asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Protocol

from millpond.chains.evm.contracts import Artifact, Contract
from millpond.chains.evm.errors import AbiError
from millpond.chains.evm.messages import Caller
from millpond.errors import MillpondError


class CodeMismatchError(MillpondError):
    """A contract on the chain is not the one that was compiled, or has other roles."""

    code = "deployment_mismatch"
    http_status = 409


class Chain(Caller, Protocol):
    """What is read of the chain; agreed by a quorum of its nodes."""

    async def code(self, address: str, *, agreed: bool = False) -> bytes:
        """Runtime code of a contract."""


async def check_code(chain: Chain, artifact: Artifact, address: str) -> str:
    """Hold the code at an address against an artifact; returns its SHA-256.

    Immutables follow the compiled code on the chain; they are checked by what
    the contract says of itself, see `check_answers`.

    Raises:
        CodeMismatchError: Another code, or none.
    """
    code = await chain.code(address, agreed=True)
    compiled = bytes.fromhex(artifact.deployed_bytecode.removeprefix("0x"))
    if not code:
        raise CodeMismatchError(f"no contract stands at {address}")
    if code[: len(compiled)] != compiled or len(code) != len(compiled) + artifact.immutables_size:
        raise CodeMismatchError(f"the code at {address} is not that of {artifact.name}")
    return hashlib.sha256(code).hexdigest()


async def check_answers(
    chain: Chain, contract: Contract, expected: Iterable[tuple[str, str]]
) -> None:
    """Ask a contract for addresses that it was made with.

    Args:
        chain: Who is asked.
        contract: The contract.
        expected: Function and the address that it must return; functions that the
            contract does not have are left out.

    Raises:
        CodeMismatchError: It says something else.
    """
    for function, address in expected:
        try:
            calldata = contract.encode(function)
        except AbiError:
            continue
        answer = contract.decode_output(
            function, await chain.call(contract.address, calldata, agreed=True)
        )
        if str(answer).lower() != address.lower():
            raise CodeMismatchError(f"{function} of {contract.address} is {answer}, not {address}")
