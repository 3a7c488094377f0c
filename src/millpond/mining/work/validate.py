"""Whether a share is valid for its job: a pure decision.

The checks come in the order of their price: lengths, header time, version
bits, duplicate, and last the hash. Whether the job is known and fresh, and
who sent the share, is the session's to know; `RejectCode` has the numbers for
these too.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

import msgspec

from millpond.mining.difficulty import difficulty_to_target
from millpond.mining.work.job import Job
from millpond.mining.work.reference import BLOCK_MET

BIP320_MASK = 0x1FFFE000
"""Version bits that miners may roll (BIP 320)."""

MAX_AHEAD_S = 7000
"""How far a header's time may be ahead; daemons allow 7,200 s by their own clock."""

_UINT32 = 0xFFFFFFFF


class RejectCode(IntEnum):
    """The usual numbers of Stratum V1 errors."""

    OTHER = 20
    JOB_NOT_FOUND = 21
    DUPLICATE = 22
    LOW_DIFFICULTY = 23
    UNAUTHORIZED = 24
    NOT_SUBSCRIBED = 25


class Rejected(msgspec.Struct, frozen=True):
    """Why a share is not taken.

    Attributes:
        code: Number for the wire.
        reason: Stable word for counts and pages, such as `low-difficulty`.
        message: Plain sentence for the miner.
    """

    code: RejectCode
    reason: str
    message: str


MALFORMED = Rejected(RejectCode.OTHER, "malformed", "A field is not hexadecimal of exact length")
BAD_EXTRANONCE2 = Rejected(RejectCode.OTHER, "bad-extranonce2", "Extranonce2 has the wrong length")
NTIME_EARLY = Rejected(RejectCode.OTHER, "ntime-out-of-range", "Ntime is too early")
NTIME_LATE = Rejected(RejectCode.OTHER, "ntime-out-of-range", "Ntime is too far ahead")
BAD_VERSION_BITS = Rejected(
    RejectCode.OTHER, "bad-version-bits", "Version bits lie outside the negotiated mask"
)
DUPLICATE = Rejected(RejectCode.DUPLICATE, "duplicate", "Duplicate share")
LOW_DIFFICULTY = Rejected(RejectCode.LOW_DIFFICULTY, "low-difficulty", "Low difficulty share")
STALE = Rejected(RejectCode.JOB_NOT_FOUND, "stale", "Job not found: the share is stale")
UNAUTHORIZED = Rejected(RejectCode.UNAUTHORIZED, "unauthorized", "Unauthorized worker")
NOT_SUBSCRIBED = Rejected(RejectCode.NOT_SUBSCRIBED, "not-subscribed", "Not subscribed")


class Submission(msgspec.Struct, frozen=True, gc=False):
    """What a miner returns for a job, as numbers and bytes, never as text.

    Attributes:
        extranonce2: Its choice of the second extranonce.
        ntime: Header time, unix seconds.
        nonce: Header nonce.
        version_bits: Rolled version bits (BIP 310), None if it sent none.
    """

    extranonce2: bytes
    ntime: int
    nonce: int
    version_bits: int | None = None


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A valid share.

    Attributes:
        hash_le: Hash of the header, 32 bytes as in the header.
        achieved_bits: The hash in compact form, rounded down.
        difficulty: What to credit, fixed point: the difficulty asked for, or the
            network's where that is lower.
        is_block: True if the network's target is met as well.
        header: The 80 bytes of the header if `is_block`, else empty.
    """

    hash_le: bytes
    achieved_bits: int
    difficulty: int
    is_block: bool
    header: bytes

    @property
    def hash(self) -> int:
        """The hash as the number that targets are compared with."""
        return int.from_bytes(self.hash_le, "little")

    @property
    def hash_hex(self) -> str:
        """The proof of work as daemons print hashes; see `block_hash` for the block's name."""
        return self.hash_le[::-1].hex()


def parse_submission(
    extranonce2: str, ntime: str, nonce: str, version_bits: str | None = None
) -> Submission | Rejected:
    """Read the fields of `mining.submit`; digits of either case, of exact length.

    The result is the same for every way of writing the same share, so that
    no change of case passes it twice.
    """
    if len(ntime) != 8 or len(nonce) != 8:
        return MALFORMED
    try:
        second = bytes.fromhex(extranonce2)
        fields = bytes.fromhex(ntime + nonce)
        bits = None if version_bits is None else bytes.fromhex(version_bits)
    except ValueError:
        return MALFORMED
    # `fromhex` skips white space, which the lengths give away.
    if len(fields) != 8 or 2 * len(second) != len(extranonce2):
        return MALFORMED
    if version_bits is not None and (bits is None or len(bits) != 4 or len(version_bits) != 8):
        return MALFORMED
    return Submission(
        second,
        int.from_bytes(fields[:4], "big"),
        int.from_bytes(fields[4:], "big"),
        None if bits is None else int.from_bytes(bits, "big"),
    )


def duplicate_key(extranonce1: bytes, submission: Submission, version: int) -> bytes:
    """Return what makes a share of one job unique, in one normal form."""
    tail = submission.ntime << 64 | submission.nonce << 32 | version
    return extranonce1 + submission.extranonce2 + tail.to_bytes(12, "big")


def forget(
    job: Job, extranonce1: bytes, submission: Submission, *, version_mask: int, seen: set[bytes]
) -> None:
    """Take back an accepted share that could not be kept: it may come again."""
    version = rolled_version(job.version, submission, version_mask)
    seen.discard(duplicate_key(extranonce1, submission, version))


def rolled_version(version: int, submission: Submission, version_mask: int) -> int:
    """The header's version with the bits that the miner rolled."""
    if submission.version_bits is None:
        return version
    return version & ~version_mask & _UINT32 | submission.version_bits & version_mask


@lru_cache(maxsize=4096)
def _target_le(difficulty: int, difficulty_1_target: int) -> bytes:
    return difficulty_to_target(difficulty, difficulty_1_target).to_bytes(32, "little")


def check(  # noqa: PLR0911 - one return for each verdict
    job: Job,
    extranonce1: bytes,
    submission: Submission,
    *,
    difficulty: int,
    version_mask: int,
    now_s: int,
    seen: set[bytes],
) -> Accepted | Rejected:
    """Decide on one share.

    Args:
        job: The job that it names.
        extranonce1: The connection's.
        submission: What was returned.
        difficulty: Difficulty that this job was sent with, fixed point.
        version_mask: Bits that the miner may roll; 0 if none.
        now_s: Unix seconds now.
        seen: Keys of the job's accepted shares; an accepted share is added.

    A share that meets the network's target is valid and a block even where
    the difficulty asked for is the higher of the two; it is then credited
    with the network's.
    """
    if len(extranonce1) + len(submission.extranonce2) != job.extranonce_size:
        return BAD_EXTRANONCE2
    ntime = submission.ntime
    template = job.template
    if ntime < template.mintime:
        return NTIME_EARLY
    if ntime > max(now_s + MAX_AHEAD_S, job.curtime) or (
        template.maxtime is not None and ntime > template.maxtime
    ):
        return NTIME_LATE
    if submission.version_bits is not None and submission.version_bits & ~version_mask:
        return BAD_VERSION_BITS
    version = rolled_version(job.version, submission, version_mask)
    key = duplicate_key(extranonce1, submission, version)
    if key in seen:
        return DUPLICATE
    verdict, digest, achieved_bits = job.work.check(
        extranonce1,
        submission.extranonce2,
        ntime,
        submission.nonce,
        version,
        _target_le(difficulty, template.coin.difficulty_1_target),
    )
    if not verdict:
        return LOW_DIFFICULTY
    seen.add(key)
    credited = min(difficulty, job.network_difficulty)
    if not verdict & BLOCK_MET:
        return Accepted(digest, achieved_bits, credited, False, b"")
    header = job.work.header(extranonce1, submission.extranonce2, ntime, submission.nonce, version)
    return Accepted(digest, achieved_bits, credited, True, header)
