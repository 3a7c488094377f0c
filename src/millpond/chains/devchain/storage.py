"""An append-only log of what a devchain has seen; synced before anything is answered.

Record: kind (1 byte), length (4), CRC-32 of kind and body (4), body. A record
that the machine's death left unfinished is cut off at the next start.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

from millpond.errors import MillpondError

_HEAD = struct.Struct("<BII")
_MAX_BODY = 16 * 1024 * 1024


class Kind(IntEnum):
    """What a record holds."""

    PARAMS = 1
    BLOCK = 2
    TRANSACTION = 3
    WALLET = 4
    MARK = 5


class DevchainStorageError(MillpondError):
    """The data directory belongs to another chain or cannot be read."""

    code = "devchain_storage"


class Storage:
    """The log of one devchain; without a directory it lives in memory."""

    def __init__(self, datadir: Path | None) -> None:
        self._memory: list[tuple[Kind, bytes]] | None = None
        self._file = -1
        self._end = 0
        if datadir is None:
            self._memory = []
            return
        datadir.mkdir(parents=True, exist_ok=True)
        path = datadir / "devchain.log"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def replay(self) -> Iterator[tuple[Kind, bytes, int]]:
        """Every whole record with its place; cuts off an unfinished tail."""
        if self._memory is not None:
            return
        while True:
            head = os.pread(self._file, _HEAD.size, self._end)
            if len(head) < _HEAD.size:
                break
            kind, size, crc = _HEAD.unpack(head)
            if size > _MAX_BODY:
                break
            body = os.pread(self._file, size, self._end + _HEAD.size)
            if len(body) < size or zlib.crc32(bytes((kind,)) + body) != crc:
                break
            place = self._end
            self._end += _HEAD.size + size
            yield Kind(kind), body, place
        os.ftruncate(self._file, self._end)

    def append(self, kind: Kind, body: bytes) -> int:
        """Write a record through to the disk; returns its place."""
        assert len(body) <= _MAX_BODY, "a record is of a block's size at most"
        if self._memory is not None:
            self._memory.append((kind, body))
            return len(self._memory) - 1
        record = _HEAD.pack(kind, len(body), zlib.crc32(bytes((kind,)) + body)) + body
        place = self._end
        written = 0
        while written < len(record):
            written += os.pwrite(self._file, record[written:], place + written)
        os.fdatasync(self._file)
        self._end += len(record)
        return place

    def read(self, place: int) -> bytes:
        """Body of the record at `place`."""
        if self._memory is not None:
            return self._memory[place][1]
        _, size, _ = _HEAD.unpack(os.pread(self._file, _HEAD.size, place))
        return os.pread(self._file, size, place + _HEAD.size)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
