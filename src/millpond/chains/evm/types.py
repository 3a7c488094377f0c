"""What nodes tell, read from their JSON and held to its shape."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from millpond.chains.evm.address import checksum
from millpond.chains.evm.errors import InvalidAddressError, RpcProtocolError
from millpond.chains.evm.hexes import bounded, data, hash32, quantity

# What no chain reaches, and what fits into the columns where it is kept.
_MAX_NUMBER: Final = 2**53
_MAX_TIME_S: Final = 253_402_300_799
_MAX_PLACE: Final = 2**31 - 1
_MAX_GAS: Final = 2**63 - 1


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A block's header, as far as Millpond needs it.

    Attributes:
        timestamp_s: Unix seconds, set by the block's proposer.
        base_fee: Wei per gas (EIP-1559); 0 on chains without.
        logs_bloom: 256 bytes that no log's address and topics are missing from.
        transactions: Their hashes, in order.
    """

    number: int
    hash: str
    parent_hash: str
    timestamp_s: int
    base_fee: int
    gas_limit: int
    gas_used: int
    logs_bloom: bytes
    transactions: tuple[str, ...]


class Log(msgspec.Struct, frozen=True, gc=False):
    """A log, in chain order sorted by `(block_number, log_index)`.

    Attributes:
        address: Of the contract that wrote it, EIP-55.
        topics: 0x-hex, lower case; the first is the event's.
        log_index: Position in the block.
        removed: True if the node says that a reorg took it back.
    """

    address: str
    topics: tuple[str, ...]
    data: bytes
    block_number: int
    block_hash: str
    tx_hash: str
    tx_index: int
    log_index: int
    removed: bool = False


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a transaction in a block.

    Attributes:
        status: 1 if it did what it should, 0 if it reverted.
        effective_gas_price: Wei per gas that was paid.
        contract_address: Of the contract that it created, if it did.
    """

    tx_hash: str
    tx_index: int
    block_number: int
    block_hash: str
    sender: str
    to: str | None
    status: int
    gas_used: int
    effective_gas_price: int
    contract_address: str | None
    logs: tuple[Log, ...]


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that a node knows.

    Attributes:
        block_number: None while it waits in the pool.
        max_fee: Wei per gas; of an older type, its gas price.
        max_priority_fee: Wei per gas; of an older type, its gas price.
    """

    hash: str
    sender: str
    to: str | None
    nonce: int
    value: int
    gas: int
    max_fee: int
    max_priority_fee: int
    input: bytes
    block_number: int | None
    block_hash: str | None


class Fees(msgspec.Struct, frozen=True, kw_only=True):
    """What gas costs, in wei per gas.

    Attributes:
        base_fee: Of the newest block.
        next_base_fee: Of the block after it, as the node computes it.
        priority_fee: A tip that blocks of late have taken; the node's advice at least.
    """

    base_fee: int
    next_base_fee: int
    priority_fee: int


def parse_block(value: Any) -> Block | None:
    """Read a block; None for null.

    Raises:
        RpcProtocolError: It is no block.
    """
    if value is None:
        return None
    try:
        return Block(
            number=_number(value["number"]),
            hash=hash32(value["hash"]),
            parent_hash=hash32(value["parentHash"]),
            timestamp_s=bounded(value["timestamp"], _MAX_TIME_S, "time before the year 10000"),
            base_fee=quantity(value.get("baseFeePerGas") or "0x0"),
            gas_limit=bounded(value["gasLimit"], _MAX_GAS, "amount of gas"),
            gas_used=bounded(value["gasUsed"], _MAX_GAS, "amount of gas"),
            logs_bloom=_bloom(value["logsBloom"]),
            transactions=tuple(_tx_hash(item) for item in value["transactions"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RpcProtocolError(f"this is no block: {error!r}") from None


def parse_log(value: Any) -> Log:
    """Read a log.

    Raises:
        RpcProtocolError: It is no log.
    """
    try:
        return Log(
            _address(value["address"]),
            tuple([hash32(topic) for topic in value["topics"]]),
            data(value["data"]),
            _number(value["blockNumber"]),
            hash32(value["blockHash"]),
            hash32(value["transactionHash"]),
            _place(value["transactionIndex"]),
            _place(value["logIndex"]),
            value.get("removed", False) is True,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RpcProtocolError(f"this is no log: {error!r}") from None


def parse_logs(value: Any) -> list[Log]:
    """Read the answer of `eth_getLogs`, in chain order; without the removed.

    Raises:
        RpcProtocolError: It is no list of logs, or names one twice.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise RpcProtocolError("this is no list of logs")
    logs = [log for log in map(parse_log, value) if not log.removed]
    logs.sort(key=_chain_order)
    for one, two in pairwise(logs):
        if _chain_order(one) == _chain_order(two):
            raise RpcProtocolError(
                f"two logs have the place {one.log_index} in block {one.block_number}"
            )
    return logs


def parse_receipt(value: Any) -> Receipt | None:
    """Read a receipt; None for null, and for one of a transaction not yet in a block.

    Raises:
        RpcProtocolError: It is no receipt.
    """
    try:
        if value is None or value["blockHash"] is None:
            return None
        return Receipt(
            tx_hash=hash32(value["transactionHash"]),
            tx_index=_place(value["transactionIndex"]),
            block_number=_number(value["blockNumber"]),
            block_hash=hash32(value["blockHash"]),
            sender=_address(value["from"]),
            to=_optional_address(value.get("to")),
            status=_status(value["status"]),
            gas_used=bounded(value["gasUsed"], _MAX_GAS, "amount of gas"),
            effective_gas_price=quantity(value.get("effectiveGasPrice") or "0x0"),
            contract_address=_optional_address(value.get("contractAddress")),
            logs=tuple(parse_logs(value["logs"])),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RpcProtocolError(f"this is no receipt: {error!r}") from None


def parse_transaction(value: Any) -> Transaction | None:
    """Read a transaction; None for null.

    Raises:
        RpcProtocolError: It is no transaction.
    """
    if value is None:
        return None
    try:
        price = value.get("gasPrice") or "0x0"
        mined = value.get("blockHash") is not None
        return Transaction(
            hash=hash32(value["hash"]),
            sender=_address(value["from"]),
            to=_optional_address(value.get("to")),
            nonce=quantity(value["nonce"]),
            value=quantity(value["value"]),
            gas=quantity(value["gas"]),
            max_fee=quantity(value.get("maxFeePerGas") or price),
            max_priority_fee=quantity(value.get("maxPriorityFeePerGas") or price),
            input=data(value["input"]),
            block_number=_number(value["blockNumber"]) if mined else None,
            block_hash=hash32(value["blockHash"]) if mined else None,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RpcProtocolError(f"this is no transaction: {error!r}") from None


def _chain_order(log: Log) -> tuple[int, int]:
    return log.block_number, log.log_index


def _number(value: Any) -> int:
    return bounded(value, _MAX_NUMBER, "number of a block")


def _place(value: Any) -> int:
    return bounded(value, _MAX_PLACE, "place in a block")


def _tx_hash(item: Any) -> str:
    return hash32(item["hash"] if isinstance(item, dict) else item)


def _bloom(value: Any) -> bytes:
    bloom = data(value)
    if len(bloom) != 256:
        raise RpcProtocolError("a logs bloom has 256 bytes")
    return bloom


def _status(value: Any) -> int:
    status = quantity(value)
    if status > 1:
        raise RpcProtocolError("a receipt's status is 0 or 1")
    return status


def _address(value: Any) -> str:
    try:
        # A node's letters carry no checksum that anybody has typed.
        return checksum(value.lower())
    except (InvalidAddressError, AttributeError):
        raise RpcProtocolError(f"{str(value)[:80]!r} is not an address") from None


def _optional_address(value: Any) -> str | None:
    return None if value is None else _address(value)


def parse_fees(history: Any, advice: int) -> Fees:
    """Read `eth_feeHistory` (one percentile of rewards), beside a node's advice for the tip.

    Raises:
        RpcProtocolError: It is no fee history.
    """
    try:
        base_fees = [quantity(item) for item in history["baseFeePerGas"]]
        rewards = sorted(quantity(row[0]) for row in history.get("reward") or ())
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise RpcProtocolError(f"this is no fee history: {error!r}") from None
    if len(base_fees) < 2:
        raise RpcProtocolError("a fee history has the newest block and the next")
    usual = rewards[len(rewards) // 2] if rewards else 0
    return Fees(
        base_fee=base_fees[-2], next_base_fee=base_fees[-1], priority_fee=max(usual, advice)
    )
