"""What a pool says, read strictly: jobs, extranonces, difficulties.

Pure; the miner trusts a pool as little as a pool trusts a miner.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from millpond.errors import MillpondError
from millpond.mining.difficulty import (
    MAX_SHARE_DIFFICULTY,
    bits_to_target,
    difficulty_to_target,
    from_float,
)
from millpond.mining.work import proof_of_work
from millpond.mining.work.pow import WorkHandle

MAX_EXTRANONCE = 32
MAX_JOB_ID = 1000


class PoolProtocolError(MillpondError):
    """The pool said something that a pool does not say."""

    code = "pool_protocol"
    http_status = 502


class Extranonce(NamedTuple):
    """The part of the extranonce that a pool gives, and the size of the miner's own."""

    first: bytes
    second_size: int


class ClientJob(msgspec.Struct, frozen=True, kw_only=True):
    """One job as a miner works on it.

    Attributes:
        job_id: Its name.
        clean: True if shares of earlier jobs are worthless now.
        extranonce: What was in force when it came.
        version, bits, ntime: Header fields.
        mask: Version bits that may be rolled.
        target_le: Largest hash of a share, 32 bytes little-endian.
        network_target: Largest hash of a block.
        work: Makes headers of it.
    """

    job_id: str
    clean: bool
    extranonce: Extranonce
    version: int
    bits: int
    ntime: int
    mask: int
    target_le: bytes
    network_target: int
    work: WorkHandle


def _hex(value: Any, what: str, size: int | None = None) -> bytes:
    try:
        data = bytes.fromhex(value)
    except (TypeError, ValueError):
        raise PoolProtocolError(f"the pool's {what} is not hexadecimal") from None
    if size is not None and len(data) != size:
        raise PoolProtocolError(f"the pool's {what} is not {size} bytes long")
    return data


def read_extranonce(first: Any, second_size: Any) -> Extranonce:
    """Read extranonce1 and the size of extranonce2, of an answer or `set_extranonce`."""
    data = _hex(first, "extranonce1")
    if not isinstance(second_size, int) or not 1 <= second_size <= MAX_EXTRANONCE:
        raise PoolProtocolError(f"the pool's extranonce2 size is not 1 to {MAX_EXTRANONCE}")
    if len(data) > MAX_EXTRANONCE:
        raise PoolProtocolError("the pool's extranonce1 is too long")
    return Extranonce(data, second_size)


def read_subscription(result: Any) -> Extranonce:
    """Read the answer to `mining.subscribe`."""
    if not isinstance(result, list) or len(result) < 3:
        raise PoolProtocolError("the pool's answer to mining.subscribe has no extranonce")
    return read_extranonce(result[1], result[2])


def read_difficulty(params: list[Any]) -> int:
    """Read `mining.set_difficulty` as a fixed-point number."""
    value = params[0] if params else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PoolProtocolError("the pool's difficulty is not a number")
    if value >= float(1 << 32):
        return MAX_SHARE_DIFFICULTY
    try:
        return from_float(value)
    except ValueError:
        raise PoolProtocolError("the pool's difficulty is not positive") from None


def read_mask(value: Any) -> int:
    """Read a version-rolling mask (BIP 310)."""
    if not isinstance(value, str) or not 1 <= len(value) <= 8:
        raise PoolProtocolError("the pool's version mask is not hexadecimal")
    return int.from_bytes(_hex(value.zfill(8), "version mask", 4), "big")


def read_job(
    params: list[Any],
    *,
    algorithm: str,
    extranonce: Extranonce,
    difficulty: int,
    difficulty_1_target: int,
    mask: int,
) -> ClientJob:
    """Read `mining.notify` under what is in force on the connection.

    Raises:
        PoolProtocolError: It cannot be worked on.
    """
    if len(params) < 9 or not isinstance(params[4], list) or len(params[4]) > 32:
        raise PoolProtocolError("the pool's job has not the nine fields of mining.notify")
    job_id = params[0] if isinstance(params[0], str) else str(params[0])
    if len(job_id) > MAX_JOB_ID:
        raise PoolProtocolError("the pool's job has a name without end")
    words = _hex(params[1], "previous hash", 32)
    bits = int.from_bytes(_hex(params[6], "bits", 4), "big")
    try:
        network_target = bits_to_target(bits)
        work = proof_of_work(algorithm).prepare(
            _hex(params[2], "coinbase"),
            _hex(params[3], "coinbase"),
            b"".join([_hex(level, "merkle branch", 32) for level in params[4]]),
            b"".join([words[i : i + 4][::-1] for i in range(0, 32, 4)]),
            bits,
            network_target.to_bytes(32, "little"),
        )
    except ValueError as error:
        raise PoolProtocolError(f"the pool's job cannot be worked on: {error}") from error
    return ClientJob(
        job_id=job_id,
        clean=bool(params[8]),
        extranonce=extranonce,
        version=int.from_bytes(_hex(params[5], "version", 4), "big"),
        bits=bits,
        ntime=int.from_bytes(_hex(params[7], "time", 4), "big"),
        mask=mask,
        target_le=difficulty_to_target(difficulty, difficulty_1_target).to_bytes(32, "little"),
        network_target=network_target,
        work=work,
    )


def spread(number: int, mask: int) -> int:
    """Put the low bits of `number` into the places that `mask` has, lowest first."""
    result, place = 0, 0
    while mask >> place:
        if mask >> place & 1:
            result |= (number & 1) << place
            number >>= 1
        place += 1
    return result
