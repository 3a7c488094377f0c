"""The fixed texts that a wallet signs, and what a proof consists of; pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from millpond.errors import InvalidInputError

MAX_SIGNATURE = 2_048
"""Longest signature: that of a contract wallet with 15 owners."""

_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ActionProof:
    """A signed statement that an address wants one action done once.

    Attributes:
        timestamp_ms: When it was signed, unix milliseconds.
        nonce: 16 to 64 letters, digits, `-` and `_`, never used before.
        signature: Base64 of a signed message (BIP 137 forms included), or 0x-hex of an
            Ethereum account's.
    """

    timestamp_ms: int
    nonce: str
    signature: str

    def __post_init__(self) -> None:
        if not _NONCE.fullmatch(self.nonce):
            raise InvalidInputError("a nonce is 16 to 64 letters, digits, '-' and '_'")
        if not 0 < len(self.signature) <= MAX_SIGNATURE or not self.signature.isascii():
            raise InvalidInputError(f"a signature has at most {MAX_SIGNATURE} characters")


def action_message(
    *,
    pool_id: str,
    wallet: str,
    action: str,
    body: bytes,
    timestamp_ms: int,
    nonce: str,
    contract: str = "",
) -> str:
    """The text to sign for `action`; every line matters, none ends with a space.

    The body's hash is over the exact bytes sent, so that nothing in the
    request can be exchanged afterwards. `contract` is the pool's on its chain
    (`eip155:<chain id>:<address>`), for pools that stand on one.
    """
    return "\n".join(
        (
            "Millpond request",
            f"pool: {pool_id}",
            *([f"contract: {contract}"] if contract else []),
            f"wallet: {wallet}",
            f"action: {action}",
            f"body-sha256: {hashlib.sha256(body).hexdigest()}",
            f"timestamp: {timestamp_ms}",
            f"nonce: {nonce}",
        )
    )


def challenge_message(*, pool_id: str, wallet: str, nonce: str, expires_ms: int) -> str:
    """The text to sign for a session. It cannot be mistaken for an action's."""
    return "\n".join(
        (
            "Millpond sign-in",
            f"pool: {pool_id}",
            f"wallet: {wallet}",
            f"expires: {expires_ms}",
            f"nonce: {nonce}",
        )
    )
