"""Payload format, version 1, and the chain of hashes. See docs/sharelog.md.

All integers are little-endian. A payload is

    u8  version (1)
    u16 workers;  each u16 length, UTF-8 text
    u16 jobs;     each u32 height, u128 network difficulty
    u32 shares;   each u16 delta ms, u16 worker, u16 job, u64 difficulty, u32 achieved bits
    u16 rejects;  each u16 worker, u8 reason, u32 count, u128 difficulty
    u16 evidence; each u16 delta ms, u16 worker, u8 reason, u64 difficulty, u8 length, bytes
    u16 blocks;   each u32 share index, 32 bytes hash, u32 height, u64 coinbase value,
                  u128 network difficulty, u64 time ms, u16 worker

and a group's hash is SHA-256 over the previous hash, the canonical header and
the payload.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from millpond.mining.sharelog.errors import ShareLogCorruptError
from millpond.mining.sharelog.records import (
    BlockMark,
    DecodedGroup,
    Group,
    Job,
    RejectCount,
    RejectedShare,
    RejectReason,
)

VERSION = 1
GENESIS_HASH = bytes(32)
"""What the first group of a chain names as the group before it."""

MAX_WORKERS = 0xFFFF
MAX_JOBS = 0xFFFF
MAX_REJECTS = 0xFFFF
MAX_DELTA_MS = 0xFFFF
MAX_EVIDENCE = 16
"""Refused shares kept as evidence in one group."""

_DOMAIN = b"millpond/sharelog/1\0"
_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_HEADER = struct.Struct("<QqqII")
_JOB = struct.Struct("<IQQ")
SHARE = struct.Struct("<HHHQI")
_REJECT = struct.Struct("<HBIQQ")
_EVIDENCE = struct.Struct("<HHBQB")
_BLOCK = struct.Struct("<I32sIQQQQH")
_LOW = (1 << 64) - 1


def group_hash(  # noqa: PLR0917
    previous_hash: bytes,
    pool_id: str,
    edge: str,
    sequence: int,
    first_ms: int,
    last_ms: int,
    count: int,
    payload: bytes,
) -> bytes:
    """SHA-256 that the next group will name; every field is length-prefixed or fixed."""
    names = b"".join(_text(name) for name in (pool_id, edge))
    header = _HEADER.pack(sequence, first_ms, last_ms, count, len(payload))
    return hashlib.sha256(b"".join((_DOMAIN, previous_hash, names, header, payload))).digest()


def verify_hash(group: Group) -> bool:
    """Whether the group is what its own hash says."""
    return group.hash == group_hash(
        group.previous_hash,
        group.pool_id,
        group.edge,
        group.sequence,
        group.first_ms,
        group.last_ms,
        group.shares,
        group.payload,
    )


def encode(  # noqa: PLR0917
    workers: list[str],
    jobs: list[Job],
    shares: bytes | bytearray,
    rejects: list[tuple[int, int, int, int]],
    evidence: list[tuple[int, int, int, int, bytes]],
    blocks: list[tuple[int, bytes, int, int, int, int, int]],
) -> bytes:
    """Build a payload; `shares` is packed already, the rest are tuples of format fields."""
    parts: list[bytes | bytearray] = [bytes((VERSION,)), _U16.pack(len(workers))]
    parts.extend(_text(worker) for worker in workers)
    parts.append(_U16.pack(len(jobs)))
    parts.extend(
        _JOB.pack(job.height, job.network_difficulty & _LOW, job.network_difficulty >> 64)
        for job in jobs
    )
    parts.append(_U32.pack(len(shares) // SHARE.size))
    parts.append(shares)
    parts.append(_U16.pack(len(rejects)))
    parts.extend(_REJECT.pack(w, r, n, d & _LOW, d >> 64) for w, r, n, d in rejects)
    parts.append(_U16.pack(len(evidence)))
    for delta, worker, reason, difficulty, proof in evidence:
        parts.append(_EVIDENCE.pack(delta, worker, reason, difficulty, len(proof)))
        parts.append(proof)
    parts.append(_U16.pack(len(blocks)))
    parts.extend(
        _BLOCK.pack(index, block, height, value, net & _LOW, net >> 64, at_ms, worker)
        for index, block, height, value, net, at_ms, worker in blocks
    )
    return b"".join(parts)


def decode(position: int, group: Group) -> DecodedGroup:
    """Read a group's entries.

    Raises:
        ShareLogCorruptError: The payload is not of this format.
    """
    try:
        return _decode(position, group)
    except (struct.error, IndexError, ValueError, UnicodeDecodeError) as error:
        raise ShareLogCorruptError(
            "a group of the share log cannot be read",
            edge=group.edge,
            sequence=group.sequence,
        ) from error


def _decode(position: int, group: Group) -> DecodedGroup:
    data = group.payload
    if data[0] != VERSION:
        raise ValueError("unknown payload version")
    workers, at = _read_texts(data, 1)
    jobs, at = _read_records(data, at, _U16, _JOB)
    shares, at = _read_bytes(data, at, _U32, SHARE.size)
    rejects, at = _read_records(data, at, _U16, _REJECT)
    evidence, at = _read_evidence(data, at, group.first_ms, workers)
    blocks, at = _read_records(data, at, _U16, _BLOCK)
    rows = list(SHARE.iter_unpack(shares))
    if at != len(data) or len(rows) != group.shares:
        raise ValueError("length of the payload")
    return DecodedGroup(
        position,
        group,
        workers,
        [Job(height, low | high << 64) for height, low, high in jobs],
        rows,
        [
            RejectCount(workers[w], RejectReason(reason), n, low | high << 64)
            for w, reason, n, low, high in rejects
        ],
        evidence,
        [
            BlockMark(index, block.hex(), height, value, low | high << 64, at_ms, workers[worker])
            for index, block, height, value, low, high, at_ms, worker in blocks
        ],
    )


def _text(text: str) -> bytes:
    raw = text.encode()
    return _U16.pack(len(raw)) + raw


def _take(data: bytes, at: int, size: int) -> bytes:
    piece = data[at : at + size]
    if len(piece) != size:
        raise ValueError("payload ends early")
    return piece


def _read_texts(data: bytes, at: int) -> tuple[list[str], int]:
    (count,) = _U16.unpack_from(data, at)
    at += 2
    texts = []
    for _ in range(count):
        (size,) = _U16.unpack_from(data, at)
        texts.append(_take(data, at + 2, size).decode())
        at += 2 + size
    return texts, at


def _read_bytes(data: bytes, at: int, counter: struct.Struct, size: int) -> tuple[bytes, int]:
    (count,) = counter.unpack_from(data, at)
    at += counter.size
    return _take(data, at, count * size), at + count * size


def _read_records(
    data: bytes, at: int, counter: struct.Struct, record: struct.Struct
) -> tuple[list[tuple[Any, ...]], int]:
    raw, at = _read_bytes(data, at, counter, record.size)
    return list(record.iter_unpack(raw)), at


def _read_evidence(
    data: bytes, at: int, first_ms: int, workers: list[str]
) -> tuple[list[RejectedShare], int]:
    (count,) = _U16.unpack_from(data, at)
    at += 2
    found = []
    for _ in range(count):
        delta, worker, reason, difficulty, size = _EVIDENCE.unpack_from(data, at)
        at += _EVIDENCE.size
        proof = _take(data, at, size)
        at += size
        found.append(
            RejectedShare(
                first_ms + delta, workers[worker], RejectReason(reason), difficulty, proof
            )
        )
    return found, at
