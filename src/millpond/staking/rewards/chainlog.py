"""What a chain says about a pool's rewards: logs and block times, from a node or a file.

A recorded log is a JSON file with the logs as `eth_getLogs` gives them, so that it
can be made with any tool and checked anywhere. Deciding from it is pure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Protocol

import msgspec

from millpond.chains.evm.address import ZERO_ADDRESS
from millpond.chains.evm.contracts import artifact
from millpond.chains.evm.errors import AbiError, RpcProtocolError
from millpond.chains.evm.events import Event, EventTable
from millpond.chains.evm.types import Block, Log, parse_logs
from millpond.errors import InvalidInputError, UnavailableError
from millpond.staking.rewards.engine import Change
from millpond.staking.rewards.statement import Funding, PoolPart

LOG_FORMAT = "millpond-log/1"

_AT_ONCE = 16
"""Blocks asked for at the same time."""


class InvalidLogError(InvalidInputError):
    """A file is no recorded log, or one that does not hang together."""

    code = "invalid_chain_log"


class BlockGoneError(UnavailableError):
    """A block whose log was read is not there any more; a reorg may be under way."""

    code = "chain_log_block_gone"


class ChainLog(msgspec.Struct, frozen=True, kw_only=True):
    """Logs of a pool's contracts, in the chain's order, up to a block.

    Attributes:
        chain_id: EIP-155 chain id.
        head_number: The last block that was looked at.
        head_time_s: Its timestamp.
        times: Timestamp of each block that has a log.
        logs: The logs.
    """

    chain_id: int
    head_number: int
    head_time_s: int
    times: dict[int, int]
    logs: list[Log]


class Posted(msgspec.Struct, frozen=True):
    """An epoch's root as the chain has it."""

    number: int
    root: str
    total: int
    statement_hash: str


class Told(msgspec.Struct, frozen=True):
    """What the events of a pool say.

    Attributes:
        changes: Every position change, in the chain's order.
        fundings: Every funding, in the chain's order.
        posted: The roots that are on chain, by epoch number.
    """

    changes: list[Change]
    fundings: list[Funding]
    posted: dict[int, Posted]


class Reader(Protocol):
    """What is needed of `millpond.chains.evm.nodes.Nodes`."""

    async def logs(self, first: int, last: int, *, address: str | Sequence[str] = ()) -> list[Log]:
        """Logs of a range of blocks, in order."""

    async def block(self, ref: Any) -> Block | None:
        """A block by number, hash or tag."""


async def record(reader: Reader, pool: PoolPart) -> ChainLog:
    """Ask a node for everything about a pool's rewards.

    Raises:
        BlockGoneError: A block was taken back while it was read.
    """
    head = await reader.block("latest")
    if head is None:
        raise BlockGoneError("the node names no newest block")
    addresses = [pool.contract, pool.rewards_contract]
    logs = await reader.logs(pool.start_block, head.number, address=addresses)
    wanted = {log.block_number: log.block_hash for log in logs}
    times: dict[int, int] = {}
    numbers = sorted(wanted)
    for start in range(0, len(numbers), _AT_ONCE):
        part = numbers[start : start + _AT_ONCE]
        for block in await asyncio.gather(*(reader.block(wanted[n]) for n in part)):
            if block is None:
                raise BlockGoneError("a block was taken back while it was read; try again")
            times[block.number] = block.timestamp_s
    return ChainLog(
        chain_id=pool.chain_id,
        head_number=head.number,
        head_time_s=head.timestamp_s,
        times=times,
        logs=logs,
    )


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of a recorded log."""

    format: str
    chain_id: int
    head_number: int
    head_time_s: int
    times: dict[str, int]
    logs: list[dict[str, Any]]


def write_log(log: ChainLog) -> bytes:
    """A log as a file."""
    logs = [
        {
            "address": one.address,
            "topics": list(one.topics),
            "data": "0x" + one.data.hex(),
            "blockNumber": hex(one.block_number),
            "blockHash": one.block_hash,
            "transactionHash": one.tx_hash,
            "transactionIndex": hex(one.tx_index),
            "logIndex": hex(one.log_index),
        }
        for one in log.logs
    ]
    file = _File(
        format=LOG_FORMAT,
        chain_id=log.chain_id,
        head_number=log.head_number,
        head_time_s=log.head_time_s,
        times={str(number): at_s for number, at_s in log.times.items()},
        logs=logs,
    )
    return msgspec.json.encode(file, order="sorted")


def read_log(document: bytes) -> ChainLog:
    """Read a recorded log.

    Raises:
        InvalidLogError: It is none, or a log's block has no time.
    """
    try:
        file = msgspec.json.decode(document, type=_File)
        logs = parse_logs(file.logs)
        times = {int(number): at_s for number, at_s in file.times.items()}
    except (msgspec.DecodeError, ValueError, RpcProtocolError) as error:
        raise InvalidLogError(f"that is no recorded log: {error}"[:300]) from None
    if file.format != LOG_FORMAT:
        raise InvalidLogError(f"that is no {LOG_FORMAT} file")
    if any(log.block_number not in times for log in logs):
        raise InvalidLogError("a block that has a log has no time")
    return ChainLog(
        chain_id=file.chain_id,
        head_number=file.head_number,
        head_time_s=file.head_time_s,
        times=times,
        logs=logs,
    )


def told(pool: PoolPart, log: ChainLog) -> Told:
    """What the events of a pool's two contracts say; others are passed over.

    Raises:
        InvalidLogError: An event whose bytes do not fit.
    """
    balances: dict[str, int] = {}
    result = Told([], [], {})
    for one in log.logs:
        if one.block_number < pool.start_block:
            continue
        at_s = log.times[one.block_number]
        try:
            event = _decoded(pool, one)
        except AbiError as error:
            raise InvalidLogError(f"an event does not fit its contract: {error.message}") from None
        if event is not None:
            _take(event, at_s, balances, result)
    return result


def _decoded(pool: PoolPart, log: Log) -> Event | None:
    stake, funds = _CONTRACTS.get(pool.kind, _CONTRACTS["direct"])
    if log.address == pool.contract:
        return _table(stake).decode(log)
    if log.address == pool.rewards_contract:
        return _table(funds).decode(log)
    return None


_CONTRACTS = {"direct": ("StakingPool", "BatchPayout"), "vault": ("Vault", "RewardDistributor")}


@cache
def _table(name: str) -> EventTable:
    return EventTable(artifact(name).abi)


def _take(event: Event, at_s: int, balances: dict[str, int], result: Told) -> None:
    args = event.args
    match event.name:
        case "Deposited" | "Withdrawn":
            result.changes.append(Change(at_s, args["user"], args["balance"]))
        case "Transfer":
            result.changes.extend(_moved(args, at_s, balances))
        case "Funded" | "Defunded":
            result.fundings.append(_funding(event, at_s))
        case "EpochPosted":
            posted = Posted(
                args["epoch"],
                "0x" + args["root"].hex(),
                args["total"],
                "0x" + args["statement_hash"].hex(),
            )
            result.posted[posted.number] = posted
        case "EpochRevoked":
            result.posted.pop(args["epoch"], None)
        case _:
            pass


def _moved(args: dict[str, Any], at_s: int, balances: dict[str, int]) -> Iterable[Change]:
    """Shares move by `Transfer` alone; made and burnt ones come from and go to zero."""
    sender, receiver, amount = args["sender"], args["receiver"], args["amount"]
    if sender == receiver or not amount:
        return
    for wallet, signed in ((sender, -amount), (receiver, amount)):
        if wallet != ZERO_ADDRESS:
            balances[wallet] = balances.get(wallet, 0) + signed
            if balances[wallet] < 0:
                raise InvalidLogError("the log lacks events: a wallet gave shares it has not")
            yield Change(at_s, wallet, balances[wallet])


def _funding(event: Event, at_s: int) -> Funding:
    sign = 1 if event.name == "Funded" else -1
    return Funding(
        at_s=at_s,
        amount=str(sign * event.args["amount"]),
        tx_hash=event.log.tx_hash,
        log_index=event.log.log_index,
    )
