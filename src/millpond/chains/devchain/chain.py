"""The state of a devchain: block tree, coins, mempool. Most work wins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from millpond.chains.bitcoin.wire import (
    NULL_OUTPOINT,
    Block,
    Header,
    Outpoint,
    Transaction,
    TxIn,
    TxOut,
    parse_block,
    parse_transaction,
    push_height,
)
from millpond.chains.devchain import checks
from millpond.chains.devchain.index import CoinSet, Node, Utxo, work_of_bits
from millpond.chains.devchain.mempool import Mempool
from millpond.chains.devchain.params import DevParams
from millpond.chains.devchain.storage import DevchainStorageError, Kind, Storage
from millpond.clock import Clock

_REFUSED_KEPT = 1_000


class Watcher:
    """What a wallet wants to be told of; the base does nothing."""

    def transaction_seen(self, tx: Transaction, txid_le: bytes, time_s: int) -> None:
        """A transaction came into the mempool or into a block."""

    def restore(self, record: dict[str, Any]) -> None:
        """A wallet record was read back from the log."""


class Devchain:
    """A chain of blocks with everything that is known of it.

    Not a network node: whatever is given to `submit` and `accept_transaction`
    is all there is. Every change is in the log before the call returns.

    Args:
        params: The rules.
        clock: Block times and time limits come from it.
        storage: Where the log is; None keeps everything in memory.
    """

    def __init__(self, params: DevParams, clock: Clock, storage: Storage | None = None) -> None:
        self.params = params
        self.clock = clock
        self.storage = storage or Storage(None)
        self.coins = CoinSet()
        self.nodes: dict[bytes, Node] = {}
        self.active: list[Node] = []
        self.tx_blocks: dict[bytes, list[Node]] = {}
        self.mempool = Mempool(self.coins.unspent.get, params.coin.maturity)
        self.watchers: list[Watcher] = []
        self.on_tip: list[Callable[[Node], None]] = []
        self._places: dict[bytes, int] = {}
        self._refused: dict[bytes, None] = {}
        self._arrivals = 0
        self._genesis = _genesis(params)
        self._newest = (b"", self._genesis)
        self._insert(self._genesis, None, len(self._genesis.serialise()))

    @property
    def tip(self) -> Node:
        """The best block."""
        return self.active[-1]

    def now_s(self) -> int:
        """Seconds since the epoch."""
        return self.clock.now_ms() // 1000

    def load(self) -> None:
        """Read the log back. What was fully checked before is not checked again in full.

        Raises:
            DevchainStorageError: The log was written under other rules.
        """
        waiting: list[tuple[Transaction, int]] = []
        first = True
        for kind, body, place in self.storage.replay():
            if first and not (kind is Kind.PARAMS and self.params.same_rules(body)):
                raise DevchainStorageError("the data directory holds a chain of other rules")
            first = False
            self._replay(kind, body, place, waiting)
        if first:
            self.storage.append(Kind.PARAMS, msgspec.json.encode(self.params))
        for tx, time_s in waiting:
            if tx.txid_le not in self.tx_blocks:
                self._to_mempool(tx, time_s)

    def _replay(
        self, kind: Kind, body: bytes, place: int, waiting: list[tuple[Transaction, int]]
    ) -> None:
        if kind is Kind.BLOCK:
            self._take(parse_block(body[8:]), place, len(body) - 8, trusted=True)
        elif kind is Kind.TRANSACTION:
            tx, time_s = parse_transaction(body[8:]), int.from_bytes(body[:8], "little")
            self._announce(tx, time_s)
            waiting.append((tx, time_s))
        elif kind is Kind.WALLET:
            for watcher in self.watchers:
                watcher.restore(msgspec.json.decode(body))
        elif kind is Kind.MARK:
            self._apply_mark(body[1:], valid=body[:1] == b"\x01")

    def block(self, node: Node) -> Block:
        """The block at a place of the tree."""
        if node.parent is None:
            return self._genesis
        if self._newest[0] == node.hash_le:
            return self._newest[1]
        return parse_block(self.storage.read(self._places[node.hash_le])[8:])

    def raw_block(self, node: Node) -> bytes:
        """The block's bytes."""
        return self.block(node).serialise()

    def is_active(self, node: Node) -> bool:
        """Tell whether a block is in the best chain."""
        return node.height < len(self.active) and self.active[node.height] is node

    def find_transaction(self, txid_le: bytes) -> tuple[Node, int] | None:
        """Block of the best chain that has a transaction, and its position there."""
        for node in self.tx_blocks.get(txid_le, ()):
            if self.is_active(node):
                return node, node.txids.index(txid_le)
        return None

    def submit(self, block: Block) -> str | None:  # noqa: PLR0911 - one return a verdict
        """Take a block; None is acceptance, else the reason as of BIP 22."""
        if block.header.hash_le in self._refused:
            return "duplicate-invalid"
        known = self.nodes.get(block.header.hash_le)
        if known is not None:
            return "duplicate-invalid" if known.invalid else "duplicate"
        txids = tuple(tx.txid_le for tx in block.transactions)
        reason = checks.check_work(self.params, block.header) or checks.check_block(block, txids)
        if reason:
            return reason
        parent = self.nodes.get(block.header.prev_hash_le)
        if parent is None:
            return "prev-blk-not-found"
        if parent.invalid:
            return "bad-prevblk"
        reason = checks.check_header_in_place(
            self.params, block.header, parent, self.now_s()
        ) or checks.check_block_in_place(block, parent.height + 1, parent.median_time)
        if reason:
            return reason
        if parent is self.tip:
            # Not to be in the log if it does not connect.
            reason = self._check_connect(block, txids, parent.height + 1)
            if reason:
                self._refuse(block.header.hash_le)
                return reason
        arrived = self.now_s().to_bytes(8, "little")
        raw = block.serialise()
        place = self.storage.append(Kind.BLOCK, arrived + raw)
        node = self._take(block, place, len(raw))
        if node.invalid:
            return "invalid-in-reorganisation"
        return None if self.is_active(node) else "inconclusive"

    def accept_transaction(self, tx: Transaction) -> str | None:
        """Take a transaction into the mempool; None is acceptance."""
        time_s = self.now_s()
        reason = self._to_mempool(tx, time_s)
        if reason is None:
            body = time_s.to_bytes(8, "little") + tx.serialise()
            self.storage.append(Kind.TRANSACTION, body)
            self._announce(tx, time_s)
        return reason

    def mark(self, node: Node, *, valid: bool) -> None:
        """`invalidateblock` and `reconsiderblock`."""
        assert node.parent is not None, "the genesis block stays"
        self.storage.append(Kind.MARK, (b"\x01" if valid else b"\x00") + node.hash_le)
        self._apply_mark(node.hash_le, valid=valid)

    def _apply_mark(self, hash_le: bytes, *, valid: bool) -> None:
        node = self.nodes[hash_le]
        for each in node.descendants():
            each.invalid = not valid
        if valid:
            ancestor: Node | None = node.parent
            while ancestor is not None and ancestor.invalid:
                ancestor.invalid = False
                ancestor = ancestor.parent
        self._settle()

    def _refuse(self, hash_le: bytes) -> None:
        self._refused[hash_le] = None
        if len(self._refused) > _REFUSED_KEPT:
            del self._refused[next(iter(self._refused))]

    def _check_connect(self, block: Block, txids: tuple[bytes, ...], height: int) -> str | None:
        return checks.check_connect(self.params, block, txids, height, self.coins.unspent)

    def _to_mempool(self, tx: Transaction, time_s: int) -> str | None:
        return self.mempool.accept(
            tx,
            height=self.tip.height + 1,
            median_time=self.tip.median_time,
            now_s=time_s,
        )

    def _announce(self, tx: Transaction, time_s: int) -> None:
        txid = tx.txid_le
        for watcher in self.watchers:
            watcher.transaction_seen(tx, txid, time_s)

    def _take(self, block: Block, place: int, size: int, *, trusted: bool = False) -> Node:
        node = self._insert(block, place, size)
        self._newest = (node.hash_le, block)
        better = not node.invalid and node.work > self.tip.work
        if better and not self._move_to(node, trusted=trusted):
            self._settle()
        return node

    def _insert(self, block: Block, place: int | None, size: int) -> Node:
        header, hash_le = block.header, block.header.hash_le
        parent = self.nodes.get(header.prev_hash_le)
        node = Node(
            hash_le=hash_le,
            header=header,
            height=parent.height + 1 if parent else 0,
            parent=parent,
            work=(parent.work if parent else 0) + work_of_bits(header.bits),
            arrival=self._arrivals,
            size=size,
            invalid=parent.invalid if parent else False,
            txids=tuple(tx.txid_le for tx in block.transactions),
        )
        self._arrivals += 1
        self.nodes[hash_le] = node
        for txid in node.txids:
            self.tx_blocks.setdefault(txid, []).append(node)
        if parent is None:
            self.active.append(node)
        else:
            assert place is not None, "every block but the genesis block is in the log"
            self._places[hash_le] = place
            parent.children.append(node)
        return node

    def _best(self) -> Node:
        """Most work; the first seen among equals."""
        candidates = (node for node in self.nodes.values() if not node.invalid)
        return max(candidates, key=lambda node: (node.work, -node.arrival))

    def _settle(self) -> None:
        """Move until the best valid branch is the active one."""
        while (best := self._best()) is not self.tip:
            self._move_to(best)

    def _move_to(self, node: Node, *, trusted: bool = False) -> bool:
        """Make `node` the tip, however far back the branches part.

        A block that does not connect is marked invalid with all that stands
        on it; the tip is then the last one that did, and the answer False.
        """
        before = self.tip
        branch: list[Node] = []
        fork = node
        while not self.is_active(fork):
            branch.append(fork)
            assert fork.parent is not None, "every branch leaves the best chain somewhere"
            fork = fork.parent
        back: list[Transaction] = []
        while self.tip is not fork:
            back = self._disconnect() + back
        for step in reversed(branch):
            if not self._connect(step, trusted=trusted):
                break
        if back or self.tip.height <= before.height:
            self._refill(back)
        if self.tip is not before:
            for callback in self.on_tip:
                callback(self.tip)
        return self.tip is node

    def _connect(self, node: Node, *, trusted: bool) -> bool:
        block = self.block(node)
        reason = checks.check_connect(
            self.params,
            block,
            node.txids,
            node.height,
            self.coins.unspent,
            scripts=not (trusted or node.connected),
        )
        if reason:
            if not trusted:
                # Signatures are not looked at again when the log is read back.
                self.storage.append(Kind.MARK, b"\x00" + node.hash_le)
            for each in node.descendants():
                each.invalid = True
            return False
        node.spent = self.coins.connect(block, node.txids, node.height)
        node.connected = True
        self.active.append(node)
        self.mempool.confirmed(block.transactions)
        for tx, txid in zip(block.transactions, node.txids, strict=True):
            for watcher in self.watchers:
                watcher.transaction_seen(tx, txid, node.header.time)
        return True

    def _disconnect(self) -> list[Transaction]:
        node = self.active.pop()
        block = self.block(node)
        self.coins.disconnect(block, node.txids, node.spent)
        return list(block.transactions[1:])

    def _refill(self, back: list[Transaction]) -> None:
        """After a reorganisation: put what still holds into the mempool, parents first."""
        entries = self.mempool.clear()
        waiting = [(tx, self.now_s()) for tx in back]
        waiting += [(entry.tx, entry.time_s) for entry in entries]
        progress = True
        while progress and waiting:
            left = []
            for tx, time_s in waiting:
                if tx.txid_le in self.mempool.entries or self.find_transaction(tx.txid_le):
                    continue
                if self._to_mempool(tx, time_s) is not None:
                    left.append((tx, time_s))
            progress = len(left) < len(waiting)
            waiting = left

    def output(self, outpoint: Outpoint, *, with_mempool: bool) -> Utxo | None:
        """An unspent output."""
        if with_mempool:
            return self.mempool.output(outpoint)
        return self.coins.unspent.get(outpoint)


def _genesis(params: DevParams) -> Block:
    note = f"millpond devchain {params.coin.name}".encode()
    coinbase = Transaction(
        1,
        (TxIn(NULL_OUTPOINT, push_height(0) + bytes((len(note),)) + note, 0xFFFFFFFF),),
        (TxOut(params.subsidy_sat, b"\x6a"),),
    )
    header = Header(1, bytes(32), coinbase.txid_le, params.genesis_time_s, params.initial_bits, 0)
    return Block(header, (coinbase,))
