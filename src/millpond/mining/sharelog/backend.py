"""What a writer needs of a database, whichever it is; see `opening` for the choice."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from millpond.mining.sharelog.records import Group


class Head(NamedTuple):
    """The newest group of a chain; sequence 0 and the genesis hash when there is none."""

    sequence: int
    hash: bytes


class NewCandidate(NamedTuple):
    """A block to be kept until the daemons have answered."""

    block_hash: str
    height: int
    worker: str
    found_ms: int
    block: bytes


class Backend(Protocol):
    """One writer's way into the log of a (pool, edge).

    Every method raises `ShareLogUnavailableError` when the database does not
    answer or refuses; what was to be written may then be there or not.
    """

    async def open(self) -> Head:
        """Connect anew, take the right to write, and find the head.

        Raises:
            ShareLogTakenError: Another writer has the right.
        """

    async def append(self, group: Group) -> None:
        """Store a group durably. The same group again changes nothing.

        Raises:
            ShareLogForkedError: Its place is taken by another group.
        """

    async def store_candidate(self, candidate: NewCandidate) -> None:
        """Keep a block; the same again changes nothing."""

    async def update_candidate(self, block_hash: str, state: str, result: str, now_ms: int) -> None:
        """Note what became of a block."""

    async def open_candidates(self) -> list[NewCandidate]:
        """Blocks of this edge that no daemon has answered for, oldest first."""

    async def close(self) -> None:
        """Give the right to write back and disconnect."""
