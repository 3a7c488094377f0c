"""The proof-of-work kernel in plain Python: the definition of what is right.

`_kernel.c` offers the same names with the same behaviour and is held against
this module by property tests. Hashes are 32 bytes in the order in which they
stand in a header; as a number they are read little-endian.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from millpond.mining.difficulty import target_to_bits

SHA256D = 0
SCRYPT = 1

SHARE_MET = 1
"""Bit of a verdict: the hash is not above the share target."""
BLOCK_MET = 2
"""Bit of a verdict: the hash is not above the network target."""

MAX_BRANCH = 32
MAX_COINBASE_PART = 8_000_000
MAX_EXTRANONCE = 64


def sha256d(data: bytes) -> bytes:
    """SHA-256 applied twice (FIPS 180-4), as everywhere in the Bitcoin family."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def scrypt(data: bytes) -> bytes:
    """Hash by scrypt with N=1024, r=1, p=1 (RFC 7914), the data being its own salt."""
    return hashlib.scrypt(data, salt=data, n=1024, r=1, p=1, dklen=32)


HASHES: dict[int, Callable[[bytes], bytes]] = {SHA256D: sha256d, SCRYPT: scrypt}


def merkle_branch(txids: bytes) -> bytes:
    """Siblings of leaf 0 from bottom to top, given all leaves but leaf 0.

    Args:
        txids: 32 bytes a transaction in wire order, without the coinbase.

    Returns:
        32 bytes a level. An odd level repeats its last node.
    """
    if len(txids) % 32:
        raise ValueError("txids are 32 bytes each")
    level = [txids[i : i + 32] for i in range(0, len(txids), 32)]
    branch = []
    while level:
        branch.append(level[0])
        if len(level) % 2 == 0:
            level.append(level[-1])
        level = [sha256d(level[i] + level[i + 1]) for i in range(1, len(level), 2)]
    return b"".join(branch)


class Work:
    """What is the same for all shares of one job, made ready for hashing."""

    __slots__ = (
        "_branch",
        "_coinbase1",
        "_coinbase2",
        "_hash",
        "_network_target",
        "_prev",
        "_tail",
    )

    def __init__(  # noqa: PLR0917 - the kernel's order
        self,
        algorithm: int | Callable[[bytes], bytes],
        coinbase1: bytes,
        coinbase2: bytes,
        branch: bytes,
        prev_hash: bytes,
        bits: int,
        network_target: bytes,
    ) -> None:
        if callable(algorithm):
            self._hash = algorithm
        elif algorithm in HASHES:
            self._hash = HASHES[algorithm]
        else:
            raise ValueError("unknown algorithm")
        if len(prev_hash) != 32 or len(network_target) != 32:
            raise ValueError("hashes and targets are 32 bytes")
        if len(branch) % 32 or len(branch) > 32 * MAX_BRANCH:
            raise ValueError("a merkle branch is 32 bytes a level, 32 levels at most")
        if len(coinbase1) > MAX_COINBASE_PART or len(coinbase2) > MAX_COINBASE_PART:
            raise ValueError("a part of the coinbase is too long")
        self._coinbase1 = coinbase1
        self._coinbase2 = coinbase2
        self._branch = [branch[i : i + 32] for i in range(0, len(branch), 32)]
        self._prev = prev_hash
        self._tail = bits.to_bytes(4, "little")
        self._network_target = int.from_bytes(network_target, "little")

    def header(
        self, extranonce1: bytes, extranonce2: bytes, ntime: int, nonce: int, version: int
    ) -> bytes:
        """Return the 80 bytes of the header of one share."""
        if len(extranonce1) > MAX_EXTRANONCE or len(extranonce2) > MAX_EXTRANONCE:
            raise ValueError("an extranonce is too long")
        root = sha256d(self._coinbase1 + extranonce1 + extranonce2 + self._coinbase2)
        for sibling in self._branch:
            root = sha256d(root + sibling)
        return (
            version.to_bytes(4, "little")
            + self._prev
            + root
            + ntime.to_bytes(4, "little")
            + self._tail
            + nonce.to_bytes(4, "little")
        )

    def check(  # noqa: PLR0917 - positional for speed
        self,
        extranonce1: bytes,
        extranonce2: bytes,
        ntime: int,
        nonce: int,
        version: int,
        share_target: bytes,
    ) -> tuple[int, bytes, int]:
        """Hash one share.

        Returns:
            `SHARE_MET | BLOCK_MET` as they hold, the hash, and the hash in
            compact form (nBits).
        """
        if len(share_target) != 32:
            raise ValueError("hashes and targets are 32 bytes")
        digest = self._hash(self.header(extranonce1, extranonce2, ntime, nonce, version))
        value = int.from_bytes(digest, "little")
        verdict = SHARE_MET if value <= int.from_bytes(share_target, "little") else 0
        if value <= self._network_target:
            verdict |= BLOCK_MET
        return verdict, digest, target_to_bits(value)


def scan(
    algorithm: int, header: bytes, start: int, count: int, target: bytes
) -> tuple[int | None, int]:
    """Try `count` nonces from `start` on, without wrapping round.

    Args:
        algorithm: `SHA256D` or `SCRYPT`.
        header: 80 bytes; the nonce in it is ignored.
        start: First nonce.
        count: How many; ends at 2**32 at the latest.
        target: Largest good hash, 32 bytes little-endian.

    Returns:
        The first good nonce or None, and the number of hashes made.
    """
    if len(header) != 80 or len(target) != 32:
        raise ValueError("a header is 80 bytes and a target 32")
    if algorithm not in HASHES:
        raise ValueError("unknown algorithm")
    if not 0 <= start < 1 << 32 or not 0 <= count <= 1 << 32:
        raise OverflowError("number outside its range")
    hash_of = HASHES[algorithm]
    prefix, limit = header[:76], int.from_bytes(target, "little")
    for nonce in range(start, min(start + count, 1 << 32)):
        digest = hash_of(prefix + nonce.to_bytes(4, "little"))
        if int.from_bytes(digest, "little") <= limit:
            return nonce, nonce - start + 1
    return None, min(count, (1 << 32) - start)
