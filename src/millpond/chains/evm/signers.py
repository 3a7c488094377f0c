"""Who signs: an address, transactions of EIP-1559 and digests.

A `Signer` holds one key, wherever that is. Transactions are encoded here, so
that what is signed is exactly what the fields say.
"""

from __future__ import annotations

from typing import Protocol

import coincurve
import msgspec
import rlp

from millpond.chains.evm.address import from_bytes, to_bytes
from millpond.chains.evm.keccak import keccak

_TYPE_2 = b"\x02"
"""Transactions with a fee cap and a priority fee (EIP-1559)."""

_LOW_S = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 // 2
"""Signatures with a larger s are refused by every chain (EIP-2)."""


class Unsigned(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a transaction of type 2, amounts in wei.

    Attributes:
        chain_id: The chain that alone takes it (EIP-155).
        nonce: Its place among the signer's transactions.
        to: Address that is called; None makes a contract of `data`.
        value: What is sent along.
        data: What is called with.
        gas: Limit of gas units.
        max_fee: Most that a unit of gas may cost altogether.
        max_priority_fee: Most of it that the block's producer gets.
    """

    chain_id: int
    nonce: int
    to: str | None
    value: int
    data: bytes
    gas: int
    max_fee: int
    max_priority_fee: int

    def __post_init__(self) -> None:
        assert self.chain_id > 0, "a transaction without a chain could be replayed on others"
        assert min(self.nonce, self.value, self.max_priority_fee) >= 0, "nothing is negative"
        assert self.gas > 0, "a transaction needs gas"
        assert self.max_priority_fee <= self.max_fee, "the priority fee is part of the fee"

    def _fields(self) -> list[object]:
        to = b"" if self.to is None else to_bytes(self.to)
        return [
            self.chain_id,
            self.nonce,
            self.max_priority_fee,
            self.max_fee,
            self.gas,
            to,
            self.value,
            self.data,
            [],
        ]

    def digest(self) -> bytes:
        """The 32 bytes that are signed (EIP-1559)."""
        return keccak(_TYPE_2 + bytes(rlp.encode(self._fields())))

    def signed(self, signature: bytes) -> SignedTx:
        """Put a signature of `digest` to it: r, s and v (27 or 28), 65 bytes."""
        assert len(signature) == 65, "a signature has 65 bytes"
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        parity = signature[64] - 27
        assert parity in {0, 1}, "the signature says which of two keys it is"
        assert 0 < s <= _LOW_S, "the signature is one that chains take"
        raw = _TYPE_2 + bytes(rlp.encode([*self._fields(), parity, r, s]))
        return SignedTx(raw, "0x" + keccak(raw).hex())


class SignedTx(msgspec.Struct, frozen=True):
    """A signed transaction: the bytes to send, and the hash by which chains know them."""

    raw: bytes
    tx_hash: str


class Signer(Protocol):
    """One key."""

    @property
    def address(self) -> str:
        """Its address, checksummed."""

    async def sign_transaction(self, unsigned: Unsigned) -> SignedTx:
        """Sign a transaction.

        Raises:
            UnavailableError: Whoever holds the key does not answer now.
        """

    async def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes: r, s and v (27 or 28), 65 bytes.

        Raises:
            UnavailableError: Whoever holds the key does not answer now.
        """


class KeySigner:
    """A signer whose key is in memory; nothing ever prints it.

    Args:
        secret: The 32 bytes of the private key.
    """

    __slots__ = ("_address", "_key")

    def __init__(self, secret: bytes) -> None:
        self._key = coincurve.PrivateKey(secret)
        point = self._key.public_key.format(compressed=False)
        self._address = from_bytes(keccak(point[1:])[-20:])

    @property
    def address(self) -> str:
        """Its address, checksummed."""
        return self._address

    async def sign_transaction(self, unsigned: Unsigned) -> SignedTx:
        """Sign a transaction; deterministic (RFC 6979)."""
        return unsigned.signed(await self.sign_digest(unsigned.digest()))

    async def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes; deterministic (RFC 6979), with a low s."""
        assert len(digest) == 32, "a digest has 32 bytes"
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([signature[64] + 27])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._address})"

    def __reduce__(self) -> str:
        raise TypeError("a signer does not leave its process")


def recover(digest: bytes, signature: bytes) -> str | None:
    """Tell which address signed a digest; None when the signature is none."""
    if len(signature) != 65 or signature[64] not in {27, 28}:
        return None
    if not 0 < int.from_bytes(signature[32:64], "big") <= _LOW_S:
        return None
    try:
        public = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
        )
    # coincurve raises a bare Exception when no public key fits, and ValueError for bad bytes.
    except Exception:  # noqa: BLE001 - see above
        return None
    return from_bytes(keccak(public.format(compressed=False)[1:])[-20:])
