"""Transactions of a Safe: what its owners sign, and how it is executed. Pure.

Source: EIP-712, and the contracts of Safe 1.3.0 and 1.4.1 (`SafeTx`,
`execTransaction`, `checkSignatures`). Older Safes have another domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from millpond.chains.evm import abi
from millpond.chains.evm.address import ZERO_ADDRESS, checksum
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.errors import InvalidAddressError
from millpond.chains.evm.keccak import keccak
from millpond.chains.evm.types import Receipt
from millpond.errors import InvalidInputError

_DOMAIN_TYPE = keccak(b"EIP712Domain(uint256 chainId,address verifyingContract)")
_SAFE_TX_TYPE = keccak(
    b"SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,"
    b"uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
)
_EXECUTED = "0x" + keccak(b"ExecutionSuccess(bytes32,uint256)").hex()

_MAX_DATA = 128 * 1024
"""Nodes take no longer transactions."""


def _function(name: str, inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    return {
        "type": "function",
        "name": name,
        "inputs": [{"type": kind} for kind in inputs],
        "outputs": [{"type": kind} for kind in outputs],
    }


_EXEC = ["address", "uint256", "bytes", "uint8", *["uint256"] * 3, *["address"] * 2]
_ABI = [
    _function("nonce", [], ["uint256"]),
    _function("getThreshold", [], ["uint256"]),
    _function("getOwners", [], ["address[]"]),
    _function("execTransaction", [*_EXEC, "bytes"], ["bool"]),
]


class SafeTx(msgspec.Struct, frozen=True, kw_only=True):
    """A plain call by a Safe, without refunds: what Millpond proposes.

    Attributes:
        to: Address that is called.
        value: Wei that are sent along.
        data: What it is called with.
        nonce: The Safe's own nonce, at which alone it can be executed.
    """

    to: str
    value: int
    data: bytes
    nonce: int

    def __post_init__(self) -> None:
        if not 0 <= self.value < 2**256 or not 0 <= self.nonce < 2**64:
            raise InvalidInputError("value or nonce of a Safe's transaction is out of range")
        if len(self.data) > _MAX_DATA:
            raise InvalidInputError("the data of a Safe's transaction is too long")
        if checksum(self.to) != self.to:
            raise InvalidAddressError(f"{self.to} has no checksum")

    def struct_hash(self) -> bytes:
        """Hash of the typed data (EIP-712 `hashStruct`)."""
        kinds = ("bytes32", "address", "uint256", "bytes32", *("uint256",) * 4)
        words = (_SAFE_TX_TYPE, self.to, self.value, keccak(self.data), 0, 0, 0, 0)
        tail = abi.encode(("address", "address", "uint256"), (*[ZERO_ADDRESS] * 2, self.nonce))
        return keccak(abi.encode(kinds, words) + tail)

    def hash(self, chain_id: int, safe: str) -> bytes:
        """The 32 bytes that the owners of `safe` sign, its `safeTxHash`."""
        return keccak(b"\x19\x01" + domain_separator(chain_id, safe) + self.struct_hash())


class SafeState(msgspec.Struct, frozen=True):
    """What a Safe says of itself: its next nonce, how many must sign, who may."""

    nonce: int
    threshold: int
    owners: tuple[str, ...]


class Reader(Protocol):
    """Whoever can ask a contract, such as `Nodes`."""

    async def call(self, to: str, calldata: bytes, *, agreed: bool = False) -> bytes:
        """What a call returns, without sending anything."""


def domain_separator(chain_id: int, safe: str) -> bytes:
    """Hash that ties signatures to one Safe on one chain."""
    words = abi.encode(("bytes32", "uint256", "address"), (_DOMAIN_TYPE, chain_id, safe))
    return keccak(words)


async def read_state(reader: Reader, safe: str) -> SafeState:
    """Ask a Safe, as a quorum of nodes has it.

    Raises:
        AbiError: No Safe stands at that address.
        UnavailableError: Nobody to ask.
    """
    contract = Contract(safe, _ABI)

    async def ask(name: str) -> Any:
        answer = await reader.call(safe, contract.encode(name), agreed=True)
        return contract.decode_output(name, answer)

    owners = tuple(checksum(owner) for owner in await ask("getOwners"))
    return SafeState(await ask("nonce"), await ask("getThreshold"), owners)


def joined(signatures: Mapping[str, bytes]) -> bytes:
    """Signatures as a Safe wants them: one after the other, ordered by owner."""
    assert all(len(signature) == 65 for signature in signatures.values()), "65 bytes each"
    ordered = sorted(signatures, key=lambda owner: int(owner, 16))
    return b"".join(signatures[owner] for owner in ordered)


def execution(safe: str, tx: SafeTx, signatures: Mapping[str, bytes]) -> bytes:
    """The call of `execTransaction` by which anybody executes it."""
    fixed = (0, 0, 0, 0, ZERO_ADDRESS, ZERO_ADDRESS)
    return Contract(safe, _ABI).encode(
        "execTransaction", tx.to, tx.value, tx.data, *fixed, joined(signatures)
    )


def succeeded(receipt: Receipt, safe: str, safe_tx_hash: str) -> bool:
    """Tell whether a Safe says in a receipt that it has executed that transaction.

    The hash is a topic since Safe 1.4.0, and data before.
    """
    for log in receipt.logs:
        if log.address == safe and log.topics[:1] == (_EXECUTED,):
            said = log.topics[1] if len(log.topics) > 1 else "0x" + log.data[:32].hex()
            if said == safe_tx_hash:
                return True
    return False
