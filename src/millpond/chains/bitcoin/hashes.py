"""The hash functions of the Bitcoin family; results in internal byte order."""

from __future__ import annotations

import hashlib


def sha256d(data: bytes) -> bytes:
    """SHA-256 of the SHA-256 of `data`."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def hash160(data: bytes) -> bytes:
    """RIPEMD-160 of the SHA-256 of `data`: 20 bytes."""
    return hashlib.new("ripemd160", hashlib.sha256(data).digest()).digest()


def scrypt_1024_1_1(header: bytes) -> bytes:
    """The scrypt of Litecoin: N=1024, r=1, p=1, salt and password the 80-byte header."""
    return hashlib.scrypt(header, salt=header, n=1024, r=1, p=1, dklen=32)


def display(hash_le: bytes) -> str:
    """Hexadecimal of a hash as daemons print it: last byte first."""
    return hash_le[::-1].hex()


def from_display(text: str) -> bytes:
    """Bytes in internal order of a hash as daemons print it."""
    return bytes.fromhex(text)[::-1]


def merkle_root(leaves_le: list[bytes]) -> bytes:
    """Root of the merkle tree over transaction ids (or witness ids).

    An odd level repeats its last node, as in Bitcoin.
    """
    assert leaves_le, "a block has at least one transaction"
    level = list(leaves_le)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [sha256d(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]
