"""Extranonce1: no two live connections have the same one."""

from __future__ import annotations

import hashlib

from millpond.errors import UnavailableError

SIZE = 4
_MAC_SIZE = 8


class ExtranonceAllocator:
    """Hands out extranonces of four bytes: the edge's prefix and a number.

    A session id holds the extranonce and a keyed hash of it, so that a miner
    that comes back gets its own again without anything being remembered.
    """

    def __init__(self, *, prefix: int, key: bytes) -> None:
        assert 0 <= prefix < 256, "an edge's prefix is one byte"
        self._prefix = prefix
        self._key = key
        self._live: set[bytes] = set()
        self._next = 0

    def __len__(self) -> int:
        return len(self._live)

    def take(self) -> bytes:
        """A fresh extranonce.

        Raises:
            UnavailableError: All sixteen million are in use.
        """
        if len(self._live) >= 1 << 24:
            raise UnavailableError("no extranonce is free")
        while True:
            candidate = bytes((self._prefix,)) + self._next.to_bytes(3, "big")
            self._next = (self._next + 1) & 0xFFFFFF
            if candidate not in self._live:
                self._live.add(candidate)
                return candidate

    def resume(self, session_id: str) -> bytes | None:
        """The extranonce of an earlier session, unless it is in use or was never ours."""
        try:
            raw = bytes.fromhex(session_id)
        except ValueError:
            return None
        extranonce1 = raw[:SIZE]
        mine = extranonce1[:1] == bytes((self._prefix,))
        if not mine or session_id != self.session_id(extranonce1) or extranonce1 in self._live:
            return None
        self._live.add(extranonce1)
        return extranonce1

    def renew(self, *, prefix: int, key: bytes) -> None:
        """From now on with that prefix; no session id given out before gets its own again."""
        assert 0 <= prefix < 256, "an edge's prefix is one byte"
        self._prefix = prefix
        self._key = key

    def release(self, extranonce1: bytes) -> None:
        """The connection is gone."""
        self._live.discard(extranonce1)

    def session_id(self, extranonce1: bytes) -> str:
        """What a miner shows to get this extranonce again."""
        mac = hashlib.blake2b(extranonce1, key=self._key, digest_size=_MAC_SIZE).digest()
        return (extranonce1 + mac).hex()
