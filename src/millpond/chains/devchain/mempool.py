"""Transactions that wait for a block."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from millpond.chains.bitcoin.wire import Outpoint, Transaction
from millpond.chains.devchain.checks import check_spends, check_transaction, is_final
from millpond.chains.devchain.index import Utxo

MAX_ENTRIES = 5_000
MIN_RELAY_FEE_PER_KVB = 1_000


class Entry(msgspec.Struct, frozen=True):
    """A waiting transaction and what it pays."""

    tx: Transaction
    txid_le: bytes
    fee: int
    vsize: int
    time_s: int
    height: int


class Mempool:
    """Waiting transactions in the order in which they came, parents first.

    Attributes:
        entries: By transaction id.
        spends: Which of them spends an output.
        changes: Counts every change, for long polls.
    """

    def __init__(self, unspent: Callable[[Outpoint], Utxo | None], maturity: int) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.spends: dict[Outpoint, bytes] = {}
        self.changes = 0
        self._unspent = unspent
        self._maturity = maturity

    def output(self, outpoint: Outpoint) -> Utxo | None:
        """A spendable output of the chain or of a waiting transaction; None if spent."""
        if outpoint in self.spends:
            return None
        entry = self.entries.get(outpoint.txid_le)
        if entry is not None and outpoint.index < len(entry.tx.outputs):
            txout = entry.tx.outputs[outpoint.index]
            return Utxo(txout.value, txout.script, entry.height, coinbase=False)
        return self._unspent(outpoint)

    def accept(self, tx: Transaction, *, height: int, median_time: int, now_s: int) -> str | None:
        """Take a transaction in, or say why not; `height` is that of the next block."""
        txid = tx.txid_le
        reason = self._refusal(tx, txid, height, median_time)
        if reason:
            return reason
        reason, fee = check_spends(tx, self.output, height, self._maturity, scripts=True)
        if reason:
            return reason
        vsize = tx.vsize
        if fee * 1000 < vsize * MIN_RELAY_FEE_PER_KVB:
            needed = vsize * MIN_RELAY_FEE_PER_KVB // 1000
            return f"min relay fee not met, {fee} < {needed}"
        self.entries[txid] = Entry(tx, txid, fee, vsize, now_s, height - 1)
        self.spends.update({txin.outpoint: txid for txin in tx.inputs})
        self.changes += 1
        return None

    def _refusal(self, tx: Transaction, txid: bytes, height: int, median_time: int) -> str | None:  # noqa: PLR0911 - one return a verdict
        reason = check_transaction(tx)
        if reason:
            return reason
        if tx.is_coinbase:
            return "coinbase"
        if not is_final(tx, height, median_time):
            return "non-final"
        if txid in self.entries:
            return "txn-already-in-mempool"
        if any(txin.outpoint in self.spends for txin in tx.inputs):
            return "txn-mempool-conflict"
        if len(self.entries) >= MAX_ENTRIES:
            return "mempool full"
        return None

    def remove(self, txid_le: bytes, *, with_descendants: bool) -> None:
        """Take a transaction out, and what spends it when that lost its ground."""
        stack = [txid_le]
        while stack:
            entry = self.entries.pop(stack.pop(), None)
            if entry is None:
                continue
            self.changes += 1
            for txin in entry.tx.inputs:
                self.spends.pop(txin.outpoint, None)
            if with_descendants:
                for i in range(len(entry.tx.outputs)):
                    child = self.spends.get(Outpoint(entry.txid_le, i))
                    if child is not None:
                        stack.append(child)

    def confirmed(self, transactions: Iterable[Transaction]) -> None:
        """Take out what a block has, and what it made impossible."""
        for tx in transactions:
            self.remove(tx.txid_le, with_descendants=False)
            for txin in tx.inputs:
                rival = self.spends.get(txin.outpoint)
                if rival is not None:
                    self.remove(rival, with_descendants=True)

    def clear(self) -> list[Entry]:
        """Empty it; returns what was there, parents first."""
        entries = list(self.entries.values())
        self.entries.clear()
        self.spends.clear()
        self.changes += 1
        return entries
