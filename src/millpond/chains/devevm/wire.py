"""Blocks, transactions, receipts and logs in the JSON form of the execution API."""

from __future__ import annotations

from typing import Any

from millpond.chains.devevm.storage import Log, StoredTx
from millpond.chains.devevm.transactions import DevTx


def quantity(number: int) -> str:
    """A number as 0x-hex without leading zeros."""
    return hex(number)


def data(value: bytes) -> str:
    """Bytes as 0x-hex."""
    return "0x" + value.hex()


def optional(value: bytes | None) -> str | None:
    """Bytes as 0x-hex, or null."""
    return None if value is None else data(value)


def block_form(header: Any, encoded: bytes, txs: list[Any]) -> dict[str, Any]:
    """A block; `txs` are hashes or whole transactions, as asked for."""
    return {
        "number": quantity(header.block_number),
        "hash": data(header.hash),
        "parentHash": data(header.parent_hash),
        "nonce": data(header.nonce),
        "mixHash": data(header.mix_hash),
        "sha3Uncles": data(header.uncles_hash),
        "logsBloom": data(header.bloom.to_bytes(256, "big")),
        "transactionsRoot": data(header.transaction_root),
        "stateRoot": data(header.state_root),
        "receiptsRoot": data(header.receipt_root),
        "withdrawalsRoot": data(header.withdrawals_root),
        "parentBeaconBlockRoot": data(header.parent_beacon_block_root),
        "requestsHash": data(header.requests_hash),
        "miner": data(header.coinbase),
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "extraData": data(header.extra_data),
        "size": quantity(len(encoded)),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "baseFeePerGas": quantity(header.base_fee_per_gas),
        "blobGasUsed": quantity(header.blob_gas_used),
        "excessBlobGas": quantity(header.excess_blob_gas),
        "timestamp": quantity(header.timestamp),
        "transactions": txs,
        "uncles": [],
        "withdrawals": [],
    }


def tx_form(tx: DevTx, stored: StoredTx | None, block_hash: bytes | None) -> dict[str, Any]:
    """A transaction, in a block or waiting."""
    price = tx.max_fee if stored is None else stored.receipt.gas_price
    form: dict[str, Any] = {
        "blockHash": optional(block_hash),
        "blockNumber": None if stored is None else quantity(stored.number),
        "transactionIndex": None if stored is None else quantity(stored.place),
        "hash": data(tx.hash),
        "type": quantity(tx.kind),
        "chainId": quantity(tx.evm.chain_id),
        "from": data(tx.sender),
        "to": optional(tx.to),
        "nonce": quantity(tx.nonce),
        "gas": quantity(tx.gas),
        "gasPrice": quantity(price),
        "value": quantity(tx.value),
        "input": data(tx.data),
        "r": quantity(tx.evm.r),
        "s": quantity(tx.evm.s),
    }
    if tx.kind == 0:
        return form | {"v": quantity(tx.evm.v)}
    form |= {
        "v": quantity(tx.evm.y_parity),
        "yParity": quantity(tx.evm.y_parity),
        "accessList": [
            {
                "address": data(address),
                "storageKeys": [data(slot.to_bytes(32, "big")) for slot in slots],
            }
            for address, slots in tx.evm.access_list
        ],
    }
    if tx.kind >= 2:
        form |= {
            "maxFeePerGas": quantity(tx.max_fee),
            "maxPriorityFeePerGas": quantity(tx.max_tip),
        }
    return form


def receipt_form(
    tx: DevTx, stored: StoredTx, block_hash: bytes, logs: list[dict[str, Any]]
) -> dict[str, Any]:
    """What became of a transaction."""
    receipt = stored.receipt
    return {
        "transactionHash": data(stored.hash),
        "transactionIndex": quantity(stored.place),
        "blockHash": data(block_hash),
        "blockNumber": quantity(stored.number),
        "type": quantity(tx.kind),
        "from": data(tx.sender),
        "to": optional(tx.to),
        "status": quantity(receipt.status),
        "gasUsed": quantity(receipt.gas_used),
        "cumulativeGasUsed": quantity(receipt.cumulative_gas),
        "effectiveGasPrice": quantity(receipt.gas_price),
        "contractAddress": optional(receipt.contract),
        "logsBloom": data(receipt.bloom),
        "logs": logs,
    }


def log_form(log: Log, block_hash: bytes, timestamp_s: int) -> dict[str, Any]:
    """A log."""
    return {
        "address": data(log.address),
        "topics": [data(topic) for topic in log.topics],
        "data": data(log.data),
        "blockNumber": quantity(log.number),
        "blockHash": data(block_hash),
        "blockTimestamp": quantity(timestamp_s),
        "transactionHash": data(log.tx_hash),
        "transactionIndex": quantity(log.tx_place),
        "logIndex": quantity(log.place),
        "removed": False,
    }
