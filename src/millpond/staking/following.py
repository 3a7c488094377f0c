"""What the chain says next: a reorg to follow back, or a range of blocks with its logs.

Nothing here writes. Blocks and logs are read agreed (`Nodes`), and held
against each other and against the hashes that were kept: a range that does
not hang together is not handed on, whatever a node says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, TypeAlias

import msgspec

from millpond.chains.evm.errors import ReorgTooDeepError
from millpond.chains.evm.logs import LogRange, Topics
from millpond.chains.evm.types import Block, Log
from millpond.errors import MillpondError
from millpond.staking.checkpoints import Mark
from millpond.staking.settings import StakingSettings

_FARTHEST = 1 << 20
"""More than any node's ranges: they are what limits a step while all goes well."""

_NEAREST = 16


class ChainReader(Protocol):
    """What is asked of the nodes of a chain (`millpond.chains.evm.nodes.Nodes`)."""

    async def pin(self, depth: int = 0) -> Block:
        """The newest block that a quorum agrees on."""

    async def blocks(self, numbers: Sequence[int], *, agreed: bool = False) -> list[Block | None]:
        """Headers by number."""

    def scan(
        self,
        first: int,
        last: int,
        *,
        address: str | Sequence[str] = (),
        topics: Topics = (),
        agreed: bool = False,
    ) -> AsyncIterator[LogRange]:
        """Logs in consecutive ranges."""

    async def call(
        self,
        to: str,
        calldata: bytes,
        block: int | str = "latest",
        *,
        sender: str | None = None,
        value: int = 0,
        agreed: bool = False,
    ) -> bytes:
        """What a contract answers."""


class Undo(msgspec.Struct, frozen=True):
    """The chain left our branch behind `ancestor`; None: before the first block we have."""

    ancestor: Mark


class Advance(msgspec.Struct, frozen=True):
    """The next blocks, which continue ours.

    Attributes:
        first: First block.
        last: Last block.
        head: The chain's head as it was agreed on.
        logs: All logs of interest in them, in chain order.
        marks: Those of their blocks whose hashes are to be kept, the last among them.
        times: Timestamp of each block that has logs, Unix seconds.
    """

    first: int
    last: int
    head: int
    logs: tuple[Log, ...]
    marks: tuple[Mark, ...]
    times: dict[int, int]


Step: TypeAlias = Undo | Advance | None


class Reach:
    """How many blocks one step may take: fewer after each failure, more after each success.

    A step fails whole, and the more it asks the likelier that is. Without this,
    nodes that fail now and then would be asked for more the longer they do, until
    what is left to read never comes through in one piece.

    Attributes:
        blocks: So many now.
        head: The newest block that was agreed on last; -1: none yet.
    """

    def __init__(self) -> None:
        self.blocks = _FARTHEST
        self.head = -1

    def failed(self, wanted: int) -> None:
        """A step that would have taken `wanted` blocks failed; the next takes a quarter."""
        self.blocks = max(_NEAREST, min(self.blocks, wanted) // 4)

    def went_well(self) -> None:
        """A step went through."""
        self.blocks = min(_FARTHEST, self.blocks * 2)


class Follower:
    """Finds the next step from where pools stand.

    Args:
        nodes: The chain.
        settings: How many hashes are kept, how many headers go into a call.
        reach: How far a step goes; kept from one follower of the chain to the next.
    """

    def __init__(
        self, nodes: ChainReader, settings: StakingSettings, reach: Reach | None = None
    ) -> None:
        self._nodes = nodes
        self._settings = settings
        self._reach = reach or Reach()

    async def next(
        self,
        number: int,
        trail: Sequence[Mark],
        addresses: Sequence[str],
        topics: Sequence[str],
    ) -> Step:
        """The next step from block `number`; None if there is nothing new, or nothing sure.

        Raises:
            ReorgTooDeepError: None of the kept blocks is in the chain any more.
            RpcError: The nodes do not answer, or not enough of them agree.
        """
        head = await self._nodes.pin()
        self._reach.head = head.number
        try:
            step = await self._from(head, number, trail, addresses, topics)
        except MillpondError:
            self._reach.failed(head.number - number)
            raise
        self._reach.went_well()
        return step

    async def _from(
        self,
        head: Block,
        number: int,
        trail: Sequence[Mark],
        addresses: Sequence[str],
        topics: Sequence[str],
    ) -> Step:
        if trail:
            ancestor = await self._ancestor(trail, head)
            if ancestor is None:
                return None
            if ancestor.number < number:
                return Undo(ancestor)
        if head.number <= number:
            return None
        last = min(head.number, number + self._reach.blocks)
        scan = self._nodes.scan(number + 1, last, address=addresses, topics=[topics], agreed=True)
        async for part in scan:
            return await self._checked(part, trail[-1] if trail else None, head)
        return None

    async def _ancestor(self, trail: Sequence[Mark], head: Block) -> Mark | None:
        """The newest kept block that is still in the chain; None: cannot be told now."""
        known = [mark for mark in trail if mark.number <= head.number]
        if not known:
            # The chain is shorter than anything we kept, or the nodes fell far behind.
            return None
        if (await self._hashes([known[-1]])) == [known[-1].hash]:
            # Blocks above a head that we agree with may only be late at these nodes.
            return trail[-1] if known[-1] != trail[-1] else known[-1]
        # Most reorgs are a block or two deep: a few hashes first, more if they are not enough.
        left, width = known, 4
        while left:
            newest = left[-width:]
            hashes = await self._hashes(newest)
            for mark, found in zip(reversed(newest), reversed(hashes), strict=True):
                if mark.hash == found:
                    return mark
            left, width = left[:-width], width * 4
        raise ReorgTooDeepError(
            f"no block since {known[0].number} that was indexed is in the chain any more"
        )

    async def _hashes(self, marks: Sequence[Mark]) -> list[str | None]:
        found = await self._blocks([mark.number for mark in marks])
        return [None if block is None else block.hash for block in found]

    async def _blocks(self, numbers: Sequence[int]) -> list[Block | None]:
        found: list[Block | None] = []
        step = self._settings.header_batch
        for start in range(0, len(numbers), step):
            found += await self._nodes.blocks(numbers[start : start + step], agreed=True)
        return found

    async def _checked(self, part: LogRange, tip: Mark | None, head: Block) -> Advance | None:
        """The range with its headers, if all of it hangs together."""
        near = max(part.first, head.number - self._settings.trail + 1)
        kept = set(range(near, part.last + 1)) | {part.last}
        logged = {log.block_number for log in part.logs}
        numbers = sorted(kept | logged | {part.first})
        found = await self._blocks(numbers)
        blocks = {block.number: block for block in found if block is not None}
        if len(blocks) < len(numbers) or not _hangs_together(part, blocks, tip, head):
            return None
        marks = [Mark(n, blocks[n].hash, blocks[n].timestamp_s) for n in sorted(kept)]
        return Advance(
            first=part.first,
            last=part.last,
            head=head.number,
            logs=part.logs,
            marks=tuple(marks),
            times={n: blocks[n].timestamp_s for n in logged},
        )


def _hangs_together(
    part: LogRange, blocks: dict[int, Block], tip: Mark | None, head: Block
) -> bool:
    """Whether headers, logs, our tip and the head are of one chain."""
    if tip is not None and blocks[part.first].parent_hash != tip.hash:
        return False
    if blocks[part.last].hash != part.last_hash:
        return False
    if part.last == head.number and blocks[part.last].hash != head.hash:
        return False
    for number, block in blocks.items():
        below = blocks.get(number - 1)
        if below is not None and block.parent_hash != below.hash:
            return False
    return all(blocks[log.block_number].hash == log.block_hash for log in part.logs)
