"""One signed transaction to all nodes, and what their answers amount to."""

from __future__ import annotations

import asyncio
from enum import StrEnum

import msgspec

from millpond.chains.evm.errors import (
    AlreadyKnownError,
    RevertedError,
    RpcError,
    RpcOutcomeUnknownError,
    RpcProtocolError,
    RpcRejectedError,
    RpcTimeoutError,
)
from millpond.chains.evm.hexes import hash32, to_data
from millpond.chains.evm.keccak import keccak
from millpond.chains.evm.pool import NodePool
from millpond.chains.evm.rpc import RpcEndpoint

_TRIES = 2


class SendVerdict(StrEnum):
    """What one node says of a transaction, or all of them together."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    UNREACHED = "unreached"


class NodeVerdict(msgspec.Struct, frozen=True):
    """One node's word.

    Attributes:
        endpoint: Name of the node.
        verdict: `KNOWN` is a transaction that it had already; `UNKNOWN` one that
            it may or may not have got; `UNREACHED` one that it did not get.
        error: What it said, unless accepted.
    """

    endpoint: str
    verdict: SendVerdict
    error: RpcError | None = None


class SendResult(msgspec.Struct, frozen=True):
    """What became of giving a transaction to all nodes.

    Attributes:
        tx_hash: Of the transaction, computed from its bytes.
        verdicts: One for each node.
    """

    tx_hash: str
    verdicts: tuple[NodeVerdict, ...]

    @property
    def verdict(self) -> SendVerdict:
        """The strongest word: one node that has it is enough; one that may have it is doubt."""
        given = {node.verdict for node in self.verdicts}
        for verdict in (
            SendVerdict.ACCEPTED,
            SendVerdict.KNOWN,
            SendVerdict.UNKNOWN,
            SendVerdict.REJECTED,
        ):
            if verdict in given:
                return verdict
        return SendVerdict.UNREACHED

    @property
    def accepted(self) -> bool:
        """A node has it."""
        return self.verdict in {SendVerdict.ACCEPTED, SendVerdict.KNOWN}

    @property
    def rejections(self) -> list[RpcRejectedError]:
        """Why nodes did not take it, in the order of preference."""
        return [
            node.error
            for node in self.verdicts
            if node.verdict is SendVerdict.REJECTED and isinstance(node.error, RpcRejectedError)
        ]

    @property
    def rejection(self) -> RpcRejectedError | None:
        """The preferred node's reason, if no node has or may have the transaction."""
        return self.rejections[0] if self.verdict is SendVerdict.REJECTED else None


async def send_to(pool: NodePool, raw: bytes) -> SendResult:
    """Give `raw` to every node of the pool, whatever its health."""
    tx_hash = to_data(keccak(raw))
    verdicts = await asyncio.gather(*(_send(pool, e, raw, tx_hash) for e in pool.endpoints))
    return SendResult(tx_hash, tuple(verdicts))


async def _send(pool: NodePool, endpoint: RpcEndpoint, raw: bytes, tx_hash: str) -> NodeVerdict:
    async def ask(node: RpcEndpoint) -> None:
        answer = await node.call(
            "eth_sendRawTransaction", [to_data(raw)], timeout_s=pool.settings.timeout_s
        )
        if hash32(answer) != tx_hash:
            raise RpcProtocolError(f"{node.name} names another transaction")

    doubt: RpcError | None = None
    for _ in range(_TRIES):
        try:
            await pool.ask(endpoint, ask)
        except RpcError as error:
            verdict = _verdict(error)
            if verdict is not SendVerdict.UNKNOWN:
                # After a lost answer "nonce too low" may be about this very transaction.
                settled = doubt is None or verdict is SendVerdict.KNOWN
                return NodeVerdict(
                    endpoint.name, verdict if settled else SendVerdict.UNKNOWN, doubt or error
                )
            doubt = error
            if not isinstance(error, RpcOutcomeUnknownError) or isinstance(error, RpcTimeoutError):
                break
        else:
            return NodeVerdict(endpoint.name, SendVerdict.ACCEPTED)
    return NodeVerdict(endpoint.name, SendVerdict.UNKNOWN, doubt)


def _verdict(error: RpcError) -> SendVerdict:
    match error:
        case AlreadyKnownError():
            return SendVerdict.KNOWN
        case RevertedError():
            # hardhat mines what reverts, and says so as if it had refused it.
            return SendVerdict.UNKNOWN
        case RpcRejectedError():
            return SendVerdict.REJECTED
        case RpcOutcomeUnknownError():
            return SendVerdict.UNKNOWN
    return SendVerdict.UNREACHED
