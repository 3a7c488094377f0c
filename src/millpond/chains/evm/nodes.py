"""The nodes of one chain: what Millpond asks of them, plainly or agreed by a quorum."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from millpond.chains.evm.errors import (
    EquivocationError,
    NodesDisagreeError,
    NoQuorumError,
    RpcError,
    RpcMethodNotFoundError,
    RpcProtocolError,
    RpcUnknownBlockError,
)
from millpond.chains.evm.health import NodeHealth
from millpond.chains.evm.hexes import (
    BlockRef,
    block_parameter,
    data,
    is_hash,
    quantity,
    to_data,
    to_quantity,
)
from millpond.chains.evm.logs import LogFilter, LogRange, LogReader, Topics
from millpond.chains.evm.pool import NodePool, OnEquivocation
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.sending import SendResult, send_to
from millpond.chains.evm.settings import NodesSettings
from millpond.chains.evm.types import (
    Block,
    Fees,
    Log,
    Receipt,
    Transaction,
    parse_block,
    parse_fees,
    parse_receipt,
    parse_transaction,
)
from millpond.chains.pause import pause
from millpond.clock import Clock

T = TypeVar("T")

_PIN_STEPS = 8
"""How far below the head a block is looked for that the nodes agree on."""


def _as_it_is(value: Any) -> Any:
    return value


class Nodes:
    """Asks the nodes of one chain.

    With `agreed=True` an answer is one that `settings.quorum` nodes gave for the
    same block; use it for whatever decides about money. Without it, it is one
    node's word, and the next node's when that one fails.

    Args:
        endpoints: The preferred first.
        chain_id: What every node must serve (EIP-155).
        clock: Of the health checks.
        settings: Quorum, depths, time-outs, ranges.
        on_equivocation: Awaited when nodes contradict each other, before the error is raised.
    """

    def __init__(
        self,
        endpoints: Sequence[RpcEndpoint],
        *,
        chain_id: int,
        clock: Clock,
        settings: NodesSettings | None = None,
        on_equivocation: OnEquivocation | None = None,
    ) -> None:
        self.chain_id = chain_id
        self.settings = settings or NodesSettings()
        self.pool = NodePool(endpoints, chain_id, clock, self.settings, on_equivocation)
        self._clock = clock
        self._logs = LogReader(self.pool)

    async def close(self) -> None:
        """Close every node's connections."""
        await self.pool.close()

    def health(self) -> list[NodeHealth]:
        """What is known of each node, in the order of preference."""
        return [self.pool.health[endpoint.name] for endpoint in self.pool.endpoints]

    async def check(self) -> None:
        """Ask every node how it is, once, and compare a final block between them.

        Raises:
            EquivocationError: They contradict each other about it.
        """
        await self.pool.check()
        await self.pool.compare_deep()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch the nodes until `stop` is set; contradictions go to `on_equivocation`."""
        while not stop.is_set():
            # Told to `on_equivocation`; the reads that money depends on raise it too.
            with contextlib.suppress(EquivocationError, NodesDisagreeError):
                await self.check()
            await pause(self._clock, self.settings.interval_s, stop)

    async def read(
        self, method: str, params: Sequence[object] = (), parse: Callable[[Any], T] = _as_it_is
    ) -> T:
        """Call a method that changes nothing, on the first node that answers.

        Args:
            method: Of the JSON-RPC.
            params: By position.
            parse: Reads the result; where it raises, the next node is asked.

        Raises:
            RpcRejectedError: The nodes say no.
            RpcUnavailableError: None answered.
        """
        return await self.pool.first(method, self._ask(method, params, parse))

    async def agree(
        self, method: str, params: Sequence[object] = (), parse: Callable[[Any], T] = _as_it_is
    ) -> T:
        """Call a method whose answer cannot change, such as one pinned to a block hash.

        Args:
            method: Of the JSON-RPC.
            params: By position.
            parse: Reads the result; what it makes is held against the other nodes'.

        Raises:
            EquivocationError: Two nodes answer differently.
            NoQuorumError: Too few answer.
        """
        what = f"{method} {msgspec.json.encode(list(params)).decode()[:200]}"
        return await self.pool.agree(what, self._ask(method, params, parse), _never)

    def _ask(
        self, method: str, params: Sequence[object], parse: Callable[[Any], T]
    ) -> Callable[[RpcEndpoint], Awaitable[T]]:
        async def ask(endpoint: RpcEndpoint) -> T:
            return parse(await endpoint.call(method, params, timeout_s=self.settings.timeout_s))

        return ask

    # --- blocks ---

    async def head(self, *, agreed: bool = False) -> Block:
        """The newest block: of one node, or the newest that a quorum has and agrees on.

        It may be older than one given before: nodes differ, and go back.
        """
        if agreed:
            return await self.pin()
        block = await self.block("latest")
        if block is None:
            raise RpcProtocolError("a node has no newest block")
        return block

    async def pin(self, depth: int = 0) -> Block:
        """The newest block that a quorum has, less `depth`, to hang further questions on.

        Raises:
            NodesDisagreeError: Nodes stand on different branches longer than a few blocks.
            NoQuorumError: Too few answer.
        """
        numbers = await asyncio.gather(*(self._number(e) for e in self.pool.order()))
        heads = sorted((n for n in numbers if n is not None), reverse=True)
        if len(heads) < self.settings.quorum:
            raise NoQuorumError(f"{len(heads)} of {self.settings.quorum} nodes tell their head")
        number = max(0, heads[self.settings.quorum - 1] - depth)
        for step in range(_PIN_STEPS):
            try:
                block = await self.block(max(0, number - step), agreed=True)
            except NodesDisagreeError:
                continue
            if block is not None:
                return block
        raise NodesDisagreeError(f"nodes agree on no block from {number} downwards")

    async def block(self, ref: BlockRef, *, agreed: bool = False) -> Block | None:
        """A block by number, hash or tag; None if it is not known.

        Raises:
            EquivocationError: Final blocks of this number differ; only if `agreed`.
            NodesDisagreeError: Blocks of this number differ near the head; only if `agreed`.
        """
        by_hash = is_hash(ref)
        method = "eth_getBlockByHash" if by_hash else "eth_getBlockByNumber"
        parameter = ref if by_hash else block_parameter(ref)

        async def ask(endpoint: RpcEndpoint) -> Block | None:
            return _named(
                parse_block(await endpoint.call(method, [parameter, False])), ref, endpoint
            )

        what = f"block {ref}"
        if agreed:
            assert by_hash or isinstance(ref, int), "a quorum needs a block that has a name"
            return await self.pool.agree(what, ask, _parting_of_blocks)
        return await self.pool.first(what, ask, seek=True)

    async def blocks(self, numbers: Sequence[int], *, agreed: bool = False) -> list[Block | None]:
        """Several blocks by number, in the order asked for; None where not known."""

        async def ask(endpoint: RpcEndpoint) -> tuple[Block | None, ...]:
            answers = await endpoint.batch(
                [("eth_getBlockByNumber", [to_quantity(number), False]) for number in numbers]
            )
            found = []
            for number, answer in zip(numbers, answers, strict=True):
                if isinstance(answer, RpcError):
                    raise answer
                found.append(_named(parse_block(answer), number, endpoint))
            return tuple(found)

        what = f"{len(numbers)} blocks"
        if not numbers:
            return []
        if agreed:
            return list(await self.pool.agree(what, ask, _parting_of_block_lists))
        return list(await self.pool.first(what, ask))

    # --- logs and transactions ---

    async def logs(
        self,
        first: int,
        last: int,
        *,
        address: str | Sequence[str] = (),
        topics: Topics = (),
        agreed: bool = False,
    ) -> list[Log]:
        """All logs of the blocks `first` to `last`, both included, in chain order.

        For long ranges use `scan`, which does not hold all of them at once.
        """
        found: list[Log] = []
        async for part in self.scan(first, last, address=address, topics=topics, agreed=agreed):
            found += part.logs
        return found

    def scan(
        self,
        first: int,
        last: int,
        *,
        address: str | Sequence[str] = (),
        topics: Topics = (),
        agreed: bool = False,
    ) -> AsyncIterator[LogRange]:
        """The same in consecutive pieces, as long as the nodes are willing to serve.

        Raises:
            RpcUnknownBlockError: No node has `last` yet.
            EquivocationError: Nodes contradict each other; only if `agreed`.
        """
        wanted = LogFilter.of(address, topics)
        return self._logs.scan(first, last, wanted, agreed=agreed)

    @property
    def log_blocks(self) -> int:
        """How many blocks the nodes are asked about at once, as found out so far."""
        return self._logs.size.blocks

    async def logs_of_block(
        self,
        block_hash: str,
        *,
        address: str | Sequence[str] = (),
        topics: Topics = (),
        agreed: bool = False,
    ) -> list[Log]:
        """The logs of one block, named by its hash, in order."""
        wanted = LogFilter.of(address, topics)
        return list(await self._logs.of_block(block_hash, wanted, agreed=agreed))

    async def receipt(self, tx_hash: str, *, agreed: bool = False) -> Receipt | None:
        """What became of a transaction; None while no block has it."""

        async def ask(endpoint: RpcEndpoint) -> Receipt | None:
            found = parse_receipt(await endpoint.call("eth_getTransactionReceipt", [tx_hash]))
            if found is not None and found.tx_hash != tx_hash.lower():
                raise RpcProtocolError(f"{endpoint.name} gives another transaction's receipt")
            return found

        what = f"receipt of {tx_hash}"
        if agreed:
            return await self.pool.agree(what, ask, _parting_of_receipts)
        return await self.pool.first(what, ask, seek=True)

    async def transaction(self, tx_hash: str) -> Transaction | None:
        """A transaction in a block or in a node's pool; None if no node knows it."""

        async def ask(endpoint: RpcEndpoint) -> Transaction | None:
            found = parse_transaction(await endpoint.call("eth_getTransactionByHash", [tx_hash]))
            if found is not None and found.hash != tx_hash.lower():
                raise RpcProtocolError(f"{endpoint.name} gives another transaction")
            return found

        return await self.pool.first(f"transaction {tx_hash}", ask, seek=True)

    # --- state ---

    async def nonce(self, address: str, block: BlockRef = "latest", *, agreed: bool = False) -> int:
        """How many transactions an account has sent; `pending` counts a node's pool too."""
        return await self._state(
            "eth_getTransactionCount", [address], block, quantity, agreed=agreed
        )

    async def balance(
        self, address: str, block: BlockRef = "latest", *, agreed: bool = False
    ) -> int:
        """An account's wei."""
        return await self._state("eth_getBalance", [address], block, quantity, agreed=agreed)

    async def code(
        self, address: str, block: BlockRef = "latest", *, agreed: bool = False
    ) -> bytes:
        """The code at an address; empty if no contract stands there."""
        return await self._state("eth_getCode", [address], block, data, agreed=agreed)

    async def storage(
        self, address: str, slot: int, block: BlockRef = "latest", *, agreed: bool = False
    ) -> bytes:
        """One 32-byte word of a contract's storage."""
        params = [address, to_quantity(slot)]
        return await self._state("eth_getStorageAt", params, block, _word, agreed=agreed)

    async def call(
        self,
        to: str,
        calldata: bytes,
        block: BlockRef = "latest",
        *,
        sender: str | None = None,
        value: int = 0,
        agreed: bool = False,
    ) -> bytes:
        """What a call returns, without sending anything.

        Raises:
            RevertedError: With the reason.
            NoQuorumError: Too few answer; only if `agreed`.
        """
        params = [_call_object(to, calldata, sender, value)]
        return await self._state("eth_call", params, block, data, agreed=agreed)

    async def estimate_gas(
        self, to: str | None, calldata: bytes, *, sender: str, value: int = 0
    ) -> int:
        """Gas that a transaction needs on top of the newest block.

        Raises:
            RevertedError: It would revert.
            InsufficientFundsError: The sender cannot pay it.
        """
        call = _call_object(to, calldata, sender, value)
        return await self.read("eth_estimateGas", [call], quantity)

    async def fees(self) -> Fees:
        """What gas costs now; one node's word, so cap whatever is made of it."""
        try:
            advice = await self.read("eth_maxPriorityFeePerGas", [], quantity)
        except RpcMethodNotFoundError:
            advice = 0  # the node has none; what blocks have taken is enough
        history = [to_quantity(10), "latest", [50]]
        return await self.read("eth_feeHistory", history, lambda told: parse_fees(told, advice))

    async def send_raw(self, raw: bytes) -> SendResult:
        """Give a signed transaction to every node at once, and collect what each says.

        Repeating is harmless: it is the same transaction each time.
        """
        return await send_to(self.pool, raw)

    async def _state(
        self,
        method: str,
        params: Sequence[object],
        block: BlockRef,
        parse: Callable[[Any], T],
        *,
        agreed: bool,
    ) -> T:
        if not agreed:
            return await self.read(method, [*params, block_parameter(block)], parse)
        pinned = block_parameter(await self._hash_of(block))
        return await self.agree(method, [*params, pinned], parse)

    async def _hash_of(self, block: BlockRef) -> str:
        if isinstance(block, str) and is_hash(block):
            return block
        if block == "latest":
            return (await self.pin()).hash
        assert isinstance(block, int), "a quorum needs a block that has a name"
        found = await self.block(block, agreed=True)
        if found is None:
            raise RpcUnknownBlockError(
                f"no node has block {block}", rpc_code=0, method="eth_getBlockByNumber"
            )
        return found.hash

    async def _number(self, endpoint: RpcEndpoint) -> int | None:
        try:
            return await self.pool.ask(endpoint, self.pool.head_number)
        except RpcError:
            return None


def _named(block: Block | None, ref: BlockRef, endpoint: RpcEndpoint) -> Block | None:
    """The block, if it is the one that was asked for."""
    if block is not None and (
        (isinstance(ref, int) and block.number != ref)
        or (isinstance(ref, str) and is_hash(ref) and block.hash != ref.lower())
    ):
        raise RpcProtocolError(f"{endpoint.name} gives another block than {ref}")
    return block


def _call_object(to: str | None, calldata: bytes, sender: str | None, value: int) -> dict[str, str]:
    # `input` is the name of today, `data` the one that older nodes know.
    call = {"data": to_data(calldata)}
    if to is not None:
        call["to"] = to
    if sender is not None:
        call["from"] = sender
    if value:
        call["value"] = to_quantity(value)
    return call


def _word(value: Any) -> bytes:
    return data(value).rjust(32, b"\0")


def _never(_one: Any, _two: Any) -> None:
    """No fork explains two answers about one block hash."""
    return


def _parting_of_blocks(one: Block, two: Block) -> int | None:
    return None if one.hash == two.hash else min(one.number, two.number)


def _parting_of_block_lists(one: Sequence[Block | None], two: Sequence[Block | None]) -> int | None:
    for left, right in zip(one, two, strict=True):
        if left is not None and right is not None and left != right:
            return _parting_of_blocks(left, right)
    known = [block for block in (*one, *two) if block is not None]
    return max(block.number for block in known)  # one knows more blocks than the other


def _parting_of_receipts(one: Receipt, two: Receipt) -> int | None:
    if one.block_hash == two.block_hash:
        return None
    return min(one.block_number, two.block_number)
