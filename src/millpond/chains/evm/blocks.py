"""Following a chain block by block, through its changes of mind."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from millpond.chains.evm.bloom import may_contain
from millpond.chains.evm.errors import NodesDisagreeError, ReorgTooDeepError, RpcUnknownBlockError
from millpond.chains.evm.logs import LogFilter, Topics
from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.types import Block, Log


class Mark(msgspec.Struct, frozen=True):
    """A block that the follower's owner has seen: enough to notice that it is gone."""

    number: int
    hash: str


class Advance(msgspec.Struct, frozen=True):
    """The chain goes on from the last mark.

    Attributes:
        first: Number of the first new block.
        last: Number of the last; `first` to `last` have no gap.
        blocks: Headers. Near the head of all blocks, each the parent of the next;
            in final history of the last alone.
        head: Number of the newest block that the nodes agree on.
    """

    first: int
    last: int
    blocks: tuple[Block, ...]
    head: int

    @property
    def complete(self) -> bool:
        """There is a header for every block."""
        return len(self.blocks) == self.last - self.first + 1

    @property
    def marks(self) -> list[Mark]:
        """To be remembered once everything in these blocks is stored."""
        return [Mark(block.number, block.hash) for block in self.blocks]


class Undo(msgspec.Struct, frozen=True):
    """Blocks that were followed are no longer in the chain.

    Attributes:
        to: The newest mark that still is.
        dropped: Marks after it, oldest first: whatever came from them is undone.
    """

    to: Mark
    dropped: tuple[Mark, ...]


class FollowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a chain is followed.

    Attributes:
        depth: Deepest change of mind, in blocks, that is undone; older blocks are final.
        headers: Most blocks of one step near the head.
    """

    depth: int = 64
    headers: int = 50

    def __post_init__(self) -> None:
        if self.depth < 1 or self.headers < 1:
            raise ValueError("depth and headers are at least 1")


class BlockFollower:
    """Says what comes next after the blocks that its owner has stored.

    It remembers nothing: the owner keeps the marks in its database, in the
    transaction that stores what it made of the blocks, and so a crash between
    any two steps repeats a step that was not stored, and none that was.

    A node that knows less than before is behind and proves nothing; a block is
    taken back only when a quorum shows another one of the same number.
    """

    def __init__(self, nodes: Nodes, settings: FollowSettings | None = None) -> None:
        self.nodes = nodes
        self.settings = settings or FollowSettings()

    async def start(self, number: int) -> Mark:
        """The mark to begin after.

        Raises:
            RpcUnknownBlockError: The nodes have no such block yet.
        """
        block = await self.nodes.block(number, agreed=True)
        if block is None:
            raise RpcUnknownBlockError(
                f"the nodes have no block {number}", rpc_code=0, method="eth_getBlockByNumber"
            )
        return Mark(block.number, block.hash)

    async def step(self, known: Sequence[Mark]) -> Advance | Undo | None:
        """What comes after `known`.

        Args:
            known: Marks, oldest first; see `remember`.

        Returns:
            None if there is nothing new, or the nodes know less than before.

        Raises:
            ReorgTooDeepError: None of `known` is in the chain any more.
            EquivocationError: Nodes contradict each other.
            RpcError: Too few nodes answer, or they stand on different tips.
        """
        assert known, "a follower begins after a mark"
        tip = known[-1]
        head = await self.nodes.pin()
        if head.number < tip.number:
            return await self._shorter(known, head)
        current = head if head.number == tip.number else await self._block(tip.number)
        if current.hash != tip.hash:
            return await self._undo(known, head)
        if head.number == tip.number:
            return None
        final = head.number - self.settings.depth
        if tip.number < final:
            return await self._final(tip, final, head)
        return await self._recent(tip, head)

    async def logs(
        self, advance: Advance, *, address: str | Sequence[str] = (), topics: Topics = ()
    ) -> list[Log]:
        """The wanted logs of a step's very blocks, in chain order.

        Raises:
            NodesDisagreeError: The chain changed since the step; take a new step.
            EquivocationError: Nodes contradict each other.
        """
        wanted = LogFilter.of(address, topics)
        found: list[Log] = []
        ends: dict[int, str] = {}
        async for part in self.nodes.scan(
            advance.first, advance.last, address=address, topics=topics, agreed=True
        ):
            found += part.logs
            ends[part.last] = part.last_hash
        hashes = {block.number: block.hash for block in advance.blocks}
        seen = [(log.block_number, log.block_hash) for log in found] + list(ends.items())
        if any(hashes.get(number, block_hash) != block_hash for number, block_hash in seen):
            raise NodesDisagreeError("the chain changed while its logs were read")
        return await self._complete(advance, wanted, found)

    async def _complete(self, advance: Advance, wanted: LogFilter, found: list[Log]) -> list[Log]:
        """Ask again, by hash, about blocks whose header says that there may be more than nothing."""
        with_logs = {log.block_number for log in found}
        doubtful = [
            block
            for block in advance.blocks
            if block.number not in with_logs and may_contain(block.logs_bloom, wanted)
        ]
        for block in doubtful:
            found += await self.nodes.logs_of_block(
                block.hash, address=wanted.addresses, topics=wanted.topics, agreed=True
            )
        if doubtful:
            found.sort(key=lambda log: (log.block_number, log.log_index))
        return found

    async def _final(self, tip: Mark, final: int, head: Block) -> Advance:
        last = min(final, tip.number + self.nodes.log_blocks)
        return Advance(tip.number + 1, last, (await self._block(last),), head.number)

    async def _recent(self, tip: Mark, head: Block) -> Advance | None:
        last = min(head.number, tip.number + self.settings.headers)
        numbers = range(tip.number + 1, last + 1)
        linked: list[Block] = []
        parent = tip.hash
        for block in await self.nodes.blocks(numbers, agreed=True):
            if block is None or block.parent_hash != parent:
                break  # the chain changed under the question; the next step looks again
            linked.append(block)
            parent = block.hash
        if not linked:
            return None
        return Advance(linked[0].number, linked[-1].number, tuple(linked), head.number)

    async def _shorter(self, known: Sequence[Mark], head: Block) -> Undo | None:
        """The nodes' head is below ours: they are behind, or the chain is another, shorter one."""
        at_head = next((mark for mark in reversed(known) if mark.number == head.number), None)
        if at_head is None or at_head.hash == head.hash:
            return None
        return await self._undo(known, head)

    async def _undo(self, known: Sequence[Mark], head: Block) -> Undo:
        tip = known[-1]
        oldest = tip.number - self.settings.depth
        candidates = [mark for mark in known if oldest <= mark.number <= head.number]
        blocks = await self.nodes.blocks([mark.number for mark in candidates], agreed=True)
        for mark, block in zip(reversed(candidates), reversed(blocks), strict=True):
            if block is not None and block.hash == mark.hash:
                dropped = tuple(each for each in known if each.number > mark.number)
                return Undo(mark, dropped)
        raise ReorgTooDeepError(
            f"block {tip.number} is no longer in the chain, nor any followed before it "
            f"down to {max(oldest, known[0].number)}",
            block=tip.number,
            hash=tip.hash,
        )

    async def _block(self, number: int) -> Block:
        block = await self.nodes.block(number, agreed=True)
        if block is None:
            raise NodesDisagreeError(f"the nodes lost sight of block {number}")
        return block


def remember(known: Sequence[Mark], step: Advance | Undo, depth: int) -> list[Mark]:
    """The marks to keep after a step is stored: all of the last `depth` blocks, and one older."""
    if isinstance(step, Undo):
        return [mark for mark in known if mark.number <= step.to.number]
    marks = [*known, *step.marks]
    oldest = marks[-1].number - depth
    recent = [mark for mark in marks if mark.number > oldest]
    older = [mark for mark in marks if mark.number <= oldest]
    return older[-1:] + recent
