"""Signed texts: who signed one, for keys (EIP-191) and for contract wallets (EIP-1271)."""

from __future__ import annotations

import re
from typing import Final, Protocol

from millpond.chains.evm.abi import encode
from millpond.chains.evm.address import checksum
from millpond.chains.evm.errors import RevertedError, RpcRejectedError
from millpond.chains.evm.keccak import keccak
from millpond.chains.evm.signers import recover

MAGIC: Final = bytes.fromhex("1626ba7e") + bytes(28)
"""What a contract wallet answers to a signature of its own; its function's selector, padded."""

_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2}){1,2048}", re.ASCII)
_ONE_KEY = 65


class Caller(Protocol):
    """What is asked of a chain (`millpond.chains.evm.nodes.Nodes`)."""

    async def call(
        self,
        to: str,
        calldata: bytes,
        block: int | str = "latest",
        *,
        sender: str | None = None,
        value: int = 0,
        agreed: bool = False,
    ) -> bytes:
        """What a contract answers."""


def personal_digest(text: str) -> bytes:
    """The 32 bytes that `personal_sign` signs for a text (EIP-191, version 0x45)."""
    body = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(body)).encode() + body)


def signature_bytes(text: str) -> bytes | None:
    """A signature written as 0x-hex, its last byte 27 or 28; None if it is none."""
    if not _HEX.fullmatch(text):
        return None
    raw = bytes.fromhex(text[2:])
    if len(raw) == _ONE_KEY and raw[-1] in {0, 1}:
        return raw[:-1] + bytes([raw[-1] + 27])
    return raw


async def signed_by(wallet: str, text: str, signature: str, chain: Caller | None) -> bool:
    """Tell whether a wallet signed a text: with its key, or as a contract that says so.

    Args:
        wallet: The address.
        text: What was signed.
        signature: 0x-hex.
        chain: Where to ask a contract wallet; None asks nobody.

    Raises:
        RpcError: The chain does not answer.
        EquivocationError: Its nodes contradict each other.
    """
    raw = signature_bytes(signature)
    if raw is None:
        return False
    digest = personal_digest(text)
    if recover(digest, raw) == wallet:
        return True
    return chain is not None and await _contract_says(checksum(wallet), digest, raw, chain)


async def _contract_says(wallet: str, digest: bytes, signature: bytes, chain: Caller) -> bool:
    data = MAGIC[:4] + encode(["bytes32", "bytes"], [digest, signature])
    try:
        # Agreed upon, as a session that a lying node grants would move money.
        answer = await chain.call(wallet, data, agreed=True)
    except (RevertedError, RpcRejectedError):
        return False
    # The whole word: a precompile that answers with what it was sent has only the selector.
    return answer[:32] == MAGIC
