"""The tree of blocks, and what the coins of the best branch are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import msgspec

from millpond.chains.bitcoin.hashes import display
from millpond.chains.bitcoin.wire import Block, Header, Outpoint, target_of_bits


class Utxo(msgspec.Struct, frozen=True):
    """An unspent output and where it comes from."""

    value: int
    script: bytes
    height: int
    coinbase: bool


@dataclass(slots=True, eq=False)
class Node:
    """A block's place in the tree.

    Attributes:
        work: Expected hashes from the genesis block to here.
        arrival: Order in which blocks came; the first seen wins a tie.
        invalid: Failed to connect, was invalidated, or stands on such a block.
        connected: Was part of the best chain at least once: fully checked.
        txids: Ids of its transactions, in order.
        spent: What it spent when it was connected, for the way back.
    """

    hash_le: bytes
    header: Header
    height: int
    parent: Self | None
    work: int
    arrival: int
    size: int
    invalid: bool = False
    connected: bool = False
    txids: tuple[bytes, ...] = ()
    spent: list[tuple[Outpoint, Utxo]] = field(default_factory=list)
    children: list[Self] = field(default_factory=list)

    @property
    def hash(self) -> str:
        """The block's hash as daemons print it."""
        return display(self.hash_le)

    @property
    def median_time(self) -> int:
        """Median of the times of this and the ten blocks before."""
        times: list[int] = []
        node: Node | None = self
        while node is not None and len(times) < 11:
            times.append(node.header.time)
            node = node.parent
        return sorted(times)[len(times) // 2]

    def ancestor(self, height: int) -> Node:
        """The block at `height` on the way to this one."""
        assert 0 <= height <= self.height, "an ancestor is not higher than its descendant"
        node: Node = self
        while node.height > height:
            assert node.parent is not None, "only the genesis block has no parent"
            node = node.parent
        return node

    def descendants(self) -> Iterator[Node]:
        """This block and everything built on it."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(node.children)


def work_of_bits(bits: int) -> int:
    """Expected number of hashes for a block of these bits."""
    return (1 << 256) // (target_of_bits(bits) + 1)


class CoinSet:
    """Unspent outputs of the best chain, and who spent the others."""

    def __init__(self) -> None:
        self.unspent: dict[Outpoint, Utxo] = {}
        self.by_script: dict[bytes, dict[Outpoint, None]] = {}
        self.spender: dict[Outpoint, bytes] = {}

    def add(self, outpoint: Outpoint, utxo: Utxo) -> None:
        """Take an output up, unless it can never be spent."""
        if utxo.script[:1] == b"\x6a":
            return
        self.unspent[outpoint] = utxo
        self.by_script.setdefault(utxo.script, {})[outpoint] = None

    def remove(self, outpoint: Outpoint) -> Utxo | None:
        """Take an output out."""
        utxo = self.unspent.pop(outpoint, None)
        if utxo is not None:
            of_script = self.by_script[utxo.script]
            del of_script[outpoint]
            if not of_script:
                del self.by_script[utxo.script]
        return utxo

    def connect(
        self, block: Block, txids: tuple[bytes, ...], height: int
    ) -> list[tuple[Outpoint, Utxo]]:
        """Apply a block that was checked; returns what it spent."""
        spent: list[tuple[Outpoint, Utxo]] = []
        for tx, txid in zip(block.transactions, txids, strict=True):
            if not tx.is_coinbase:
                for txin in tx.inputs:
                    utxo = self.remove(txin.outpoint)
                    assert utxo is not None, "a checked block spends what is there"
                    spent.append((txin.outpoint, utxo))
                    self.spender[txin.outpoint] = txid
            for i, txout in enumerate(tx.outputs):
                self.add(Outpoint(txid, i), Utxo(txout.value, txout.script, height, tx.is_coinbase))
        return spent

    def disconnect(
        self, block: Block, txids: tuple[bytes, ...], spent: list[tuple[Outpoint, Utxo]]
    ) -> None:
        """Take a block back."""
        for tx, txid in zip(block.transactions, txids, strict=True):
            for i in range(len(tx.outputs)):
                self.remove(Outpoint(txid, i))
        made = set(txids)
        for outpoint, utxo in spent:
            self.spender.pop(outpoint, None)
            if outpoint.txid_le not in made:
                self.add(outpoint, utxo)
