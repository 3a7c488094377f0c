"""Several nodes of one chain behind one face: health, failover, quorum."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import msgspec

from millpond.chains.evm.errors import (
    EquivocationError,
    NodesDisagreeError,
    NoQuorumError,
    RevertedError,
    RpcError,
    RpcInvalidParameterError,
    RpcProtocolError,
    RpcRangeError,
    RpcRateLimitedError,
    RpcRejectedError,
    RpcUnavailableError,
    SendRejectedError,
    WrongChainError,
)
from millpond.chains.evm.health import NodeHealth
from millpond.chains.evm.hexes import hash32, quantity, to_quantity
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.settings import NodesSettings
from millpond.clock import Clock
from millpond.errors import InvalidInputError

T = TypeVar("T")
Ask = Callable[[RpcEndpoint], Awaitable[T]]
ForkHeight = Callable[[Any, Any], int | None]
"""Of two answers that differ: the block at which they part; None if the very same block's
content differs, which no fork explains."""

_ANSWERS: tuple[type[RpcRejectedError], ...] = (
    RevertedError,
    SendRejectedError,
    RpcInvalidParameterError,
    RpcRangeError,
)
"""A "no" that every other node would say too."""


class Equivocation(msgspec.Struct, frozen=True):
    """Two nodes contradicted each other.

    Attributes:
        chain_id: Of the chain.
        subject: What was asked.
        answers: A short form of each answer, by the node's name.
    """

    chain_id: int
    subject: str
    answers: dict[str, str]


OnEquivocation = Callable[[Equivocation], Awaitable[None]]


class NodePool:
    """The nodes of one chain, the preferred first.

    Plain reads go to one node and move on when it fails; `agree` asks as many
    as the quorum needs. A node is asked only after it has shown the chain id.
    """

    def __init__(
        self,
        endpoints: Sequence[RpcEndpoint],
        chain_id: int,
        clock: Clock,
        settings: NodesSettings,
        on_equivocation: OnEquivocation | None = None,
    ) -> None:
        assert endpoints, "a chain has at least one node"
        if settings.quorum > len(endpoints):
            raise InvalidInputError(
                f"a quorum of {settings.quorum} needs as many nodes; chain {chain_id} has "
                f"{len(endpoints)}"
            )
        _name_apart(endpoints)
        self.endpoints = tuple(endpoints)
        self.chain_id = chain_id
        self.settings = settings
        self.contradictions = 0
        self.health = {e.name: NodeHealth(e.name, clock, settings) for e in endpoints}
        self._clock = clock
        self._on_equivocation = on_equivocation

    async def close(self) -> None:
        """Close every node's connections."""
        for endpoint in self.endpoints:
            await endpoint.close()

    def order(self) -> list[RpcEndpoint]:
        """Who may be asked: the healthy first, then the lagging, in the order of preference."""
        usable = [e for e in self.endpoints if self.health[e.name].usable]
        # With every circuit open there is nothing to lose by one try each.
        found = usable or [e for e in self.endpoints if not self.health[e.name].wrong_chain]
        found = found or list(self.endpoints)
        return sorted(
            found,
            key=lambda e: (self.health[e.name].lagging, not self.health[e.name].healthy),
        )

    async def first(self, what: str, ask: Ask[T], *, seek: bool = False) -> T:
        """Ask the nodes in turn until one answers.

        Args:
            what: Named in errors.
            ask: Puts the question to one node.
            seek: None as an answer moves on to the next node, which may know more.

        Raises:
            RpcRejectedError: Every node would say no, or all that answered did.
            RpcUnavailableError: None answered.
        """
        refusal: RpcRejectedError | None = None
        errors: list[str] = []
        nothing = False
        for endpoint in self.order():
            try:
                answer = await self.ask(endpoint, ask)
            except _ANSWERS:
                raise
            except RpcRejectedError as error:
                refusal = refusal or error
            except RpcError as error:
                errors.append(error.message)
            else:
                if answer is not None or not seek:
                    return answer
                nothing = True
        if nothing:
            return None  # type: ignore[return-value]  # T is optional where `seek` is used
        if refusal is not None:
            raise refusal
        raise RpcUnavailableError(f"no node answers {what}: " + "; ".join(errors))

    async def agree(self, what: str, ask: Ask[T], fork: ForkHeight) -> T:
        """Ask as many nodes as the quorum needs, more where some fail or know nothing.

        A revert is an answer like any other. None is agreed on only if no node
        that was asked knows more.

        Raises:
            EquivocationError: Two answers contradict each other about what cannot change.
            NodesDisagreeError: Two answers differ near the head; ask again soon.
            NoQuorumError: Too few gave the same answer.
            RevertedError: That is what they agree on.
            RpcRejectedError: A node finds the question wrong.
        """
        order = self.order()
        answers: list[tuple[RpcEndpoint, Any]] = []
        errors: list[str] = []
        asked = 0
        while True:
            best, votes = _most(answers)
            if votes >= self.settings.quorum:
                return cast("T", self._agreed(what, best, answers))
            batch = order[asked : asked + self.settings.quorum - votes]
            if not batch:
                reasons = "; ".join(errors) or "some know less than others"
                raise NoQuorumError(
                    f"{votes} of {self.settings.quorum} nodes agree on {what}: {reasons}"
                )
            asked += len(batch)
            for endpoint, answer in zip(
                batch,
                await asyncio.gather(*(self._vote(endpoint, ask) for endpoint in batch)),
                strict=True,
            ):
                if isinstance(answer, RpcError) and not isinstance(answer, RevertedError):
                    errors.append(answer.message)
                else:
                    answers.append((endpoint, answer))
            await self._refuse_contradiction(what, answers, fork)

    async def ask(self, endpoint: RpcEndpoint, ask: Ask[T]) -> T:
        """Put a question to one node and note how it went.

        Raises:
            RpcError: See `RpcEndpoint.call`.
        """
        health = self.health[endpoint.name]
        try:
            if not health.admitted:
                await self._admit(endpoint)
            answer = await ask(endpoint)
        except WrongChainError:
            raise
        except RpcRejectedError:
            health.answered()
            raise
        except RpcRateLimitedError as error:
            health.rate_limited(error.retry_after_s)
            raise
        except RpcError as error:
            health.failed(error.message)
            raise
        health.answered()
        return answer

    async def check(self) -> None:
        """Ask every node for its chain and head, and hold them against each other."""
        await asyncio.gather(*(self._check(endpoint) for endpoint in self.endpoints))
        heads = [h.head for h in self.health.values() if h.head is not None and h.usable]
        if heads:
            for health in self.health.values():
                health.compare(max(heads))

    async def _check(self, endpoint: RpcEndpoint) -> None:
        health = self.health[endpoint.name]
        if health.circuit_open:
            return
        health.admitted = False
        started = self._clock.monotonic_ns()
        try:
            head = await self.ask(endpoint, self.head_number)
        except RpcError:
            return  # noted by `ask`
        health.checked(head, self._clock.monotonic_ns() - started)

    async def head_number(self, endpoint: RpcEndpoint) -> int:
        """Ask one node for the number of its newest block."""
        return quantity(await endpoint.call("eth_blockNumber", timeout_s=self.settings.timeout_s))

    async def _admit(self, endpoint: RpcEndpoint) -> None:
        health = self.health[endpoint.name]
        found = quantity(await endpoint.call("eth_chainId", timeout_s=self.settings.timeout_s))
        if found != self.chain_id:
            reason = f"{endpoint.name} serves chain {found} instead of {self.chain_id}"
            health.refused(reason)
            raise WrongChainError(reason)
        health.admit()

    async def _vote(self, endpoint: RpcEndpoint, ask: Ask[Any]) -> Any:
        """An answer, or the error as a value; what is wrong with the question is raised."""
        try:
            return await self.ask(endpoint, ask)
        except (RpcInvalidParameterError, RpcRangeError):
            raise
        except RpcError as error:
            return error

    def _agreed(self, what: str, best: Any, answers: list[tuple[RpcEndpoint, Any]]) -> Any:
        if isinstance(best, RevertedError):
            raise best
        if best is None and any(answer is not None for _, answer in answers):
            raise NoQuorumError(f"only some nodes know of {what}")
        return best

    async def _refuse_contradiction(
        self, what: str, answers: list[tuple[RpcEndpoint, Any]], fork: ForkHeight
    ) -> None:
        known = [(endpoint, answer) for endpoint, answer in answers if answer is not None]
        for endpoint, answer in known[1:]:
            first, reference = known[0]
            if _same(answer, reference):
                continue
            height = _fork_height(answer, reference, fork)
            if height is not None and not await self._deep(height, [first, endpoint]):
                raise NodesDisagreeError(f"nodes stand on different tips: {what} at {height}")
            told = {e.name: _short(a) for e, a in known}
            self.contradictions += 1
            if self._on_equivocation is not None:
                await self._on_equivocation(Equivocation(self.chain_id, what, told))
            raise EquivocationError(
                f"nodes contradict each other about {what}", subject=what, answers=told
            )

    async def _deep(self, height: int, endpoints: Sequence[RpcEndpoint]) -> bool:
        """Whether both nodes have built so much on `height` that it cannot change."""
        try:
            heads = await asyncio.gather(*(self.ask(e, self.head_number) for e in endpoints))
        except RpcError:
            return False
        return min(heads) - height >= self.settings.finality_depth

    async def compare_deep(self) -> None:
        """Compare a block that cannot change any more between all nodes that answer.

        Raises:
            EquivocationError: Two nodes have different ones.
        """
        heads = [h.head for h in self.health.values() if h.head is not None and h.usable]
        if len(heads) < 2:
            return
        number = max(0, min(heads) - self.settings.finality_depth)

        async def ask(endpoint: RpcEndpoint) -> str | None:
            block = await endpoint.call("eth_getBlockByNumber", [to_quantity(number), False])
            if block is None:
                return None
            if not isinstance(block, dict):
                raise RpcProtocolError(f"{endpoint.name} gives no block")
            return hash32(block.get("hash"))

        usable = [e for e in self.endpoints if self.health[e.name].usable]
        votes = await asyncio.gather(*(self._vote(e, ask) for e in usable))
        answers = [
            (endpoint, vote)
            for endpoint, vote in zip(usable, votes, strict=True)
            if not isinstance(vote, RpcError)
        ]
        await self._refuse_contradiction(f"block {number}", answers, lambda _a, _b: number)


def _name_apart(endpoints: Sequence[RpcEndpoint]) -> None:
    """Two keys of one hosted service have one host: number them."""
    taken: set[str] = set()
    for endpoint in endpoints:
        name, number = endpoint.name, 1
        while endpoint.name in taken:
            number += 1
            endpoint.name = f"{name}#{number}"
        taken.add(endpoint.name)


def _most(answers: list[tuple[RpcEndpoint, Any]]) -> tuple[Any, int]:
    """The answer given most often, and how often; what is known goes before what is not."""
    best, votes = None, 0
    for _, answer in answers:
        count = sum(_same(answer, other) for _, other in answers)
        if count > votes or (count == votes and best is None):
            best, votes = answer, count
    return best, votes


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, RevertedError):
        return isinstance(two, RevertedError)
    return bool(one == two)


def _fork_height(one: Any, two: Any, fork: ForkHeight) -> int | None:
    if isinstance(one, RevertedError) or isinstance(two, RevertedError):
        return None
    return fork(one, two)


def _short(answer: Any) -> str:
    text = answer.message if isinstance(answer, RevertedError) else repr(answer)
    return text if len(text) <= 300 else f"{text[:297]}..."
