"""Logs of long ranges of blocks, in pieces that the nodes are willing to serve."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from millpond.chains.evm.errors import (
    NodesDisagreeError,
    RpcAnswerTooLargeError,
    RpcError,
    RpcProtocolError,
    RpcRangeError,
    RpcRejectedError,
    RpcTimeoutError,
    RpcUnavailableError,
    RpcUnknownBlockError,
)
from millpond.chains.evm.hexes import to_quantity
from millpond.chains.evm.pool import NodePool
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.types import Log, parse_block, parse_logs

Topics = Sequence[str | Sequence[str] | None]
"""By position: one topic, any of several, or None for any (as `eth_getLogs` takes them)."""


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which logs are wanted.

    Attributes:
        addresses: EIP-55, of the contracts; empty for all.
        topics: See `Topics`.
    """

    addresses: tuple[str, ...] = ()
    topics: tuple[tuple[str, ...] | None, ...] = ()

    @classmethod
    def of(cls, addresses: str | Sequence[str] = (), topics: Topics = ()) -> LogFilter:
        """A filter from what is handy to write."""
        return cls(
            addresses=(addresses,) if isinstance(addresses, str) else tuple(addresses),
            topics=tuple(
                (part,) if isinstance(part, str) else None if part is None else tuple(part)
                for part in topics
            ),
        )

    def parameters(self) -> dict[str, Any]:
        """As `eth_getLogs` wants it, without the blocks."""
        parameters: dict[str, Any] = {}
        if self.addresses:
            parameters["address"] = list(self.addresses)
        if self.topics:
            parameters["topics"] = [None if part is None else list(part) for part in self.topics]
        return parameters

    def matches(self, log: Log) -> bool:
        """Whether a log is one of those wanted."""
        if self.addresses and log.address not in self.addresses:
            return False
        if len(log.topics) < len(self.topics):
            return False
        return all(
            part is None or topic in part
            for part, topic in zip(self.topics, log.topics, strict=False)
        )


class LogRange(msgspec.Struct, frozen=True):
    """All wanted logs of the blocks `first` to `last`, both included, in chain order.

    Attributes:
        last_hash: Of the block `last`, as the same node knew it at the same time.
    """

    first: int
    last: int
    last_hash: str
    logs: tuple[Log, ...]


class RangeSize:
    """How many blocks are asked for at once: halved when a node balks, grown slowly again."""

    def __init__(self, largest: int, target: int) -> None:
        self._largest = largest
        self._target = target
        self.blocks = largest

    def served(self, blocks: int, logs: int) -> None:
        """A range was answered; the next may be half as long again, if this one was not rich."""
        if blocks >= self.blocks and logs < self._target:
            self.blocks = min(self._largest, self.blocks + max(1, self.blocks // 2))

    def refused(self, blocks: int, error: RpcError) -> None:
        """A range of so many blocks was too long; at most half of it is next."""
        smaller = max(1, blocks // 2)
        if isinstance(error, RpcRangeError):
            if error.max_blocks is not None:
                # A limit of the node, not of this range's logs: no use in growing past it.
                self._largest = max(1, min(self._largest, error.max_blocks))
                smaller = min(self._largest, max(1, blocks - 1))
            elif error.suggested is not None:
                first, last = error.suggested
                smaller = max(1, min(last - first + 1, blocks - 1))
        self.blocks = smaller


class LogReader:
    """Reads logs through a pool of nodes."""

    def __init__(self, pool: NodePool) -> None:
        self._pool = pool
        self.size = RangeSize(pool.settings.log_blocks, pool.settings.log_target)

    async def scan(
        self, first: int, last: int, wanted: LogFilter, *, agreed: bool
    ) -> AsyncIterator[LogRange]:
        """Yield consecutive ranges from `first` to `last`, as long as the nodes allow.

        Raises:
            RpcError: A single block's logs cannot be had.
            EquivocationError: See `NodePool.agree`; only if `agreed`.
        """
        while first <= last:
            end = min(last, first + self.size.blocks - 1)
            blocks = end - first + 1
            try:
                found = await self._range(first, end, wanted, agreed=agreed)
            except RpcError as error:
                if blocks == 1 or not _too_long(error):
                    raise
                self.size.refused(blocks, error)
                continue
            self.size.served(blocks, len(found.logs))
            yield found
            first = end + 1

    async def of_block(
        self, block_hash: str, wanted: LogFilter, *, agreed: bool
    ) -> tuple[Log, ...]:
        """The logs of one block, named by its hash.

        Raises:
            RpcUnknownBlockError: No node has the block.
            EquivocationError: Two nodes contradict each other; only if `agreed`.
        """

        async def ask(endpoint: RpcEndpoint) -> tuple[Log, ...]:
            answer = await endpoint.call(
                "eth_getLogs", [{"blockHash": block_hash, **wanted.parameters()}]
            )
            logs = _checked(answer, wanted, endpoint.name)
            if any(log.block_hash != block_hash for log in logs):
                raise RpcProtocolError(f"{endpoint.name} gives logs of another block")
            return logs

        what = f"logs of {block_hash}"
        if agreed:
            return await self._pool.agree(what, ask, _parting_of_logs)
        return await self._pool.first(what, ask)

    async def _range(self, first: int, last: int, wanted: LogFilter, *, agreed: bool) -> LogRange:
        parameters = {
            "fromBlock": to_quantity(first),
            "toBlock": to_quantity(last),
            **wanted.parameters(),
        }

        doubts: list[RpcError] = []

        async def ask(endpoint: RpcEndpoint) -> LogRange:
            answer, block = await _logs_and_block(endpoint, parameters, last, doubts)
            known = parse_block(block)
            if known is None or known.number != last:
                raise RpcUnknownBlockError(
                    f"{endpoint.name} does not have block {last}",
                    rpc_code=0,
                    method="eth_getLogs",
                )
            logs = _checked(answer, wanted, endpoint.name)
            if any(not first <= log.block_number <= last for log in logs):
                raise RpcProtocolError(f"{endpoint.name} gives logs of other blocks")
            return LogRange(first, last, known.hash, logs)

        what = f"logs of blocks {first} to {last}"
        try:
            if agreed:
                return await self._pool.agree(what, ask, _parting_of_ranges)
            return await self._pool.first(what, ask)
        except (RpcUnavailableError, RpcRejectedError) as error:
            if not doubts or isinstance(error, NodesDisagreeError):
                raise
            raise RpcRangeError(error.message, rpc_code=0, method="eth_getLogs") from error


async def _logs_and_block(
    endpoint: RpcEndpoint, parameters: dict[str, Any], last: int, doubts: list[RpcError]
) -> tuple[Any, Any]:
    """Logs of a range, and its last block.

    A node that is behind answers with fewer logs and no error: it has to show
    in the same breath that it has the last block. What a shorter range might
    cure is added to `doubts`.
    """
    try:
        answer, block = await endpoint.batch(
            [
                ("eth_getLogs", [parameters]),
                ("eth_getBlockByNumber", [to_quantity(last), False]),
            ]
        )
        for part in (answer, block):
            if isinstance(part, RpcError):
                raise part
    except RpcAnswerTooLargeError as error:
        raise RpcRangeError(error.message, rpc_code=0, method="eth_getLogs") from None
    except RpcError as error:
        if isinstance(error, RpcTimeoutError) or type(error) is RpcRejectedError:
            doubts.append(error)
        raise
    return answer, block


def _checked(answer: Any, wanted: LogFilter, name: str) -> tuple[Log, ...]:
    logs = parse_logs(answer)
    if not all(wanted.matches(log) for log in logs):
        raise RpcProtocolError(f"{name} gives logs that nobody asked for")
    return tuple(logs)


def _too_long(error: RpcError) -> bool:
    """Whether a shorter range may help; a refusal in unknown words may mean it too."""
    return isinstance(error, RpcRejectedError) and not isinstance(error, RpcUnknownBlockError)


def _parting_of_logs(one: tuple[Log, ...], two: tuple[Log, ...]) -> int | None:
    """The first block of which two answers tell different things; None if the block is the same."""
    ours, theirs = _by_block(one), _by_block(two)
    for number in sorted(ours.keys() | theirs.keys()):
        left, right = ours.get(number), theirs.get(number)
        if left == right:
            continue
        if left and right and left[0].block_hash == right[0].block_hash:
            return None
        return number
    raise AssertionError("answers that differ part somewhere")


def _parting_of_ranges(one: LogRange, two: LogRange) -> int | None:
    return one.last if one.logs == two.logs else _parting_of_logs(one.logs, two.logs)


def _by_block(logs: tuple[Log, ...]) -> dict[int, list[Log]]:
    table: dict[int, list[Log]] = {}
    for log in logs:
        table.setdefault(log.block_number, []).append(log)
    return table
