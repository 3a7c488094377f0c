"""What the share log holds, decoded.

Difficulties are fixed-point integers (`millpond.mining.difficulty`: 1.0 is
2**32); times are unix milliseconds; block hashes are display hex.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple


class RejectReason(IntEnum):
    """Why a share was not credited; the numbers are part of the format."""

    OTHER = 0
    STALE = 1
    UNKNOWN_JOB = 2
    DUPLICATE = 3
    LOW_DIFFICULTY = 4
    INVALID_TIME = 5
    INVALID_VERSION = 6
    MALFORMED = 7
    UNAUTHORIZED = 8
    UNAVAILABLE = 9


class Share(NamedTuple):
    """One credited share.

    Attributes:
        time_ms: When the edge read it.
        worker: `wallet.worker_name`.
        height: Height of the block it was work for.
        network_difficulty: Difficulty of that block.
        difficulty: Credited: the difficulty its job was sent with.
        achieved_bits: The hash it reached, in compact ("nBits") form.
        is_block: It met the network target.
    """

    time_ms: int
    worker: str
    height: int
    network_difficulty: int
    difficulty: int
    achieved_bits: int
    is_block: bool


class RejectCount(NamedTuple):
    """How many shares of a worker were refused for a reason, and their difficulty in all."""

    worker: str
    reason: RejectReason
    shares: int
    difficulty: int


class RejectedShare(NamedTuple):
    """A refused share that proves work: `evidence` is its 80-byte block header."""

    time_ms: int
    worker: str
    reason: RejectReason
    difficulty: int
    evidence: bytes


class BlockMark(NamedTuple):
    """The share at index `share` of the group met the network target with this block."""

    share: int
    block_hash: str
    height: int
    coinbase_value: int
    network_difficulty: int
    time_ms: int
    worker: str


class Position(NamedTuple):
    """A place in the log of one database.

    `group` numbers the groups of all edges in the order in which they were
    committed, with gaps; `share` counts the shares of a group from 0.
    Positions compare in the order of crediting.
    """

    group: int
    share: int


class Receipt(NamedTuple):
    """Where a share is found: enough to check it against the chain of hashes."""

    edge: str
    sequence: int
    group_hash: str
    share: int
    time_ms: int
    difficulty: int
    position: Position


class Group(NamedTuple):
    """A group as it is stored.

    Attributes:
        pool_id: The pool.
        edge: Name of the process that wrote it.
        sequence: 1, 2, 3… within (pool, edge), without gaps.
        first_ms: Time of the first entry.
        last_ms: Time of the last entry.
        shares: How many were credited.
        payload: Encoded entries, see `codec`.
        previous_hash: `hash` of the group before, 32 zero bytes for the first.
        hash: SHA-256 over previous hash, header and payload, see `codec`.
    """

    pool_id: str
    edge: str
    sequence: int
    first_ms: int
    last_ms: int
    shares: int
    payload: bytes
    previous_hash: bytes
    hash: bytes


class Job(NamedTuple):
    """What a share was work for."""

    height: int
    network_difficulty: int


Row = tuple[int, int, int, int, int]
"""(milliseconds since the group's first, worker index, job index, difficulty, achieved bits)."""


class DecodedGroup:
    """A group with its entries.

    `rows` is the quick way through many shares; `shares` the comfortable one.

    Attributes:
        position: Of the last share of the group (-1 if it has none).
        group: As stored.
        workers: Names that the rows' worker index points into.
        jobs: Heights and difficulties that the rows' job index points into.
        rows: One tuple a credited share, in order.
        rejects: Counts of refused shares.
        rejected: Refused shares kept as evidence.
        blocks: Marks of shares that met the network target.
    """

    __slots__ = ("blocks", "group", "jobs", "position", "rejected", "rejects", "rows", "workers")

    def __init__(  # noqa: PLR0917
        self,
        position: int,
        group: Group,
        workers: list[str],
        jobs: list[Job],
        rows: list[Row],
        rejects: list[RejectCount],
        rejected: list[RejectedShare],
        blocks: list[BlockMark],
    ) -> None:
        self.position = Position(position, len(rows) - 1)
        self.group = group
        self.workers = workers
        self.jobs = jobs
        self.rows = rows
        self.rejects = rejects
        self.rejected = rejected
        self.blocks = blocks

    def shares(self) -> Iterator[Share]:
        """Every credited share, oldest first."""
        blocks = {mark.share for mark in self.blocks}
        first_ms, workers, jobs = self.group.first_ms, self.workers, self.jobs
        for index, (delta, worker, job, difficulty, bits) in enumerate(self.rows):
            height, network = jobs[job]
            yield Share(
                first_ms + delta,
                workers[worker],
                height,
                network,
                difficulty,
                bits,
                index in blocks,
            )

    def newest_first(self, upto: int | None = None) -> Iterator[tuple[str, int]]:
        """(worker, difficulty) of every share from index `upto` (included) down to 0."""
        workers = self.workers
        rows = self.rows if upto is None else self.rows[: upto + 1]
        return ((workers[row[1]], row[3]) for row in reversed(rows))

    def block_position(self, mark: BlockMark) -> Position:
        """Where the share that found the block stands; its window ends there, included."""
        return Position(self.position.group, mark.share)
