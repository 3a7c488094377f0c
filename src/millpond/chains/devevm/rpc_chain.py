"""RPC methods about blocks, transactions and logs."""

from __future__ import annotations

from typing import Any

from millpond.chains.devevm import wire
from millpond.chains.devevm.chain import Devevm
from millpond.chains.devevm.errors import DevevmRpcError, invalid, refused
from millpond.chains.devevm.machine import read_header
from millpond.chains.devevm.methods import read_address, read_bytes, read_hash, rpc
from millpond.chains.devevm.storage import Log, StoredBlock, StoredTx
from millpond.chains.devevm.tags import block_number, find_block
from millpond.chains.devevm.transactions import reread

_MAX_VALUES = 1_000
_MAX_TOPICS = 4


class ChainMethods:
    """What is in the chain."""

    def __init__(self, chain: Devevm, version: str) -> None:
        self._chain = chain
        self._version = version

    @rpc("eth_chainId")
    def chain_id(self) -> str:
        """EIP-155 identity."""
        return wire.quantity(self._chain.params.chain_id)

    @rpc("net_version")
    def net_version(self) -> str:
        """The same, decimal."""
        return str(self._chain.params.chain_id)

    @rpc("web3_clientVersion")
    def client_version(self) -> str:
        """Who answers."""
        return f"millpond-devevm/{self._version}"

    @rpc("eth_syncing")
    def syncing(self) -> bool:
        """It never is."""
        return False

    @rpc("eth_blockNumber")
    def block_number(self) -> str:
        """Number of the head."""
        return wire.quantity(self._chain.height)

    @rpc("eth_getBlockByNumber")
    def block_by_number(self, tag: Any, full: bool = False) -> Any:  # noqa: FBT001, FBT002 - by position
        """A block by number or tag; null if there is none."""
        return self._block(self._chain.storage.block(block_number(self._chain, tag)), full=full)

    @rpc("eth_getBlockByHash")
    def block_by_hash(self, block_hash: Any, full: bool = False) -> Any:  # noqa: FBT001, FBT002 - by position
        """A block of the canonical chain by hash; null if there is none."""
        return self._block(self._chain.storage.block(read_hash(block_hash)), full=full)

    @rpc("eth_getTransactionByHash")
    def transaction(self, tx_hash: Any) -> Any:
        """A transaction in a block or waiting; null if there is none."""
        wanted = read_hash(tx_hash)
        stored = self._chain.storage.tx(wanted)
        if stored is not None:
            return self._tx(stored, self._hash_of(stored.number))
        waiting = self._chain.mempool.get(wanted)
        return None if waiting is None else wire.tx_form(waiting, None, None)

    @rpc("debug_getRawTransaction", "eth_getRawTransactionByHash")
    def raw_transaction(self, tx_hash: Any) -> str | None:
        """A transaction as it was signed; null if there is none."""
        wanted = read_hash(tx_hash)
        waiting = self._chain.mempool.get(wanted)
        if waiting is not None:
            return wire.data(waiting.raw)
        stored = self._chain.storage.tx(wanted)
        return None if stored is None else wire.data(stored.raw)

    @rpc("eth_getTransactionReceipt")
    def receipt(self, tx_hash: Any) -> Any:
        """What became of a transaction; null if it is in no block."""
        stored = self._chain.storage.tx(read_hash(tx_hash))
        if stored is None:
            return None
        block = self._stored(stored.number)
        return self._receipt(stored, block, read_header(block.header).timestamp)

    @rpc("eth_getBlockReceipts")
    def block_receipts(self, tag: Any) -> Any:
        """Receipts of a block in their order; null if there is none."""
        block = find_block(self._chain, tag)
        if block is None:
            return None
        time_s = read_header(block.header).timestamp
        txs = self._chain.storage.txs(block.number)
        return [self._receipt(stored, block, time_s) for stored in txs]

    @rpc("eth_getLogs")
    def logs(self, question: Any) -> list[dict[str, Any]]:
        """Logs by block range or block hash, contracts and topics."""
        if not isinstance(question, dict):
            raise invalid("invalid argument 0: not an object")
        first, last = self._range(question)
        found = self._chain.storage.logs(
            first,
            last,
            _addresses(question.get("address")),
            _topics(question.get("topics")),
            limit=self._chain.params.max_logs + 1,
        )
        if len(found) > self._chain.params.max_logs:
            most = self._chain.params.max_logs
            raise DevevmRpcError(-32_005, f"query returned more than {most} results")
        return self._log_forms(found)

    def _range(self, question: dict[str, Any]) -> tuple[int, int]:
        if question.get("blockHash") is not None:
            if question.get("fromBlock") is not None or question.get("toBlock") is not None:
                raise invalid(
                    "invalid argument 0: cannot specify both BlockHash and FromBlock/ToBlock"
                )
            block = self._chain.storage.block(read_hash(question["blockHash"]))
            if block is None:
                raise refused("unknown block")
            return block.number, block.number
        first = block_number(self._chain, question.get("fromBlock") or "latest")
        last = block_number(self._chain, question.get("toBlock") or "latest")
        if first > last:
            raise invalid("invalid block range params")
        last = min(last, self._chain.height)
        most = self._chain.params.max_log_range
        if last - first >= most:
            raise invalid(f"exceed maximum block range: {most}")
        return first, last

    def _log_forms(self, logs: list[Log]) -> list[dict[str, Any]]:
        blocks: dict[int, tuple[bytes, int]] = {}
        for number in {log.number for log in logs}:
            block = self._stored(number)
            blocks[number] = block.hash, read_header(block.header).timestamp
        return [wire.log_form(log, *blocks[log.number]) for log in logs]

    def _block(self, block: StoredBlock | None, *, full: bool) -> Any:
        if block is None:
            return None
        stored = self._chain.storage.txs(block.number)
        txs: list[Any] = [
            self._tx(one, block.hash) if full else wire.data(one.hash) for one in stored
        ]
        return wire.block_form(read_header(block.header), block.header, txs)

    def _tx(self, stored: StoredTx, block_hash: bytes) -> dict[str, Any]:
        tx = reread(stored.raw, self._chain.params.chain_id)
        return wire.tx_form(tx, stored, block_hash)

    def _receipt(self, stored: StoredTx, block: StoredBlock, time_s: int) -> dict[str, Any]:
        tx = reread(stored.raw, self._chain.params.chain_id)
        logs = self._chain.storage.logs_of(stored)
        forms = [wire.log_form(log, block.hash, time_s) for log in logs]
        return wire.receipt_form(tx, stored, block.hash, forms)

    def _stored(self, number: int) -> StoredBlock:
        block = self._chain.storage.block(number)
        assert block is not None, "what is in the chain has a block"
        return block

    def _hash_of(self, number: int) -> bytes:
        return self._stored(number).hash


def _addresses(given: Any) -> tuple[bytes, ...]:
    if given is None:
        return ()
    many = given if isinstance(given, list) else [given]
    if len(many) > _MAX_VALUES:
        raise invalid(f"invalid argument 0: more than {_MAX_VALUES} addresses")
    return tuple(read_address(one) for one in many)


def _topics(given: Any) -> tuple[tuple[bytes, ...], ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > _MAX_TOPICS:
        raise invalid("exceed max topics")
    found = []
    for place in given:
        many = place if isinstance(place, list) else [place]
        if len(many) > _MAX_VALUES:
            raise invalid("exceed max topics")
        # A null among the accepted ones accepts all.
        anything = place is None or None in many
        found.append(() if anything else tuple(read_bytes(one, "topic", 32) for one in many))
    return tuple(found)
