"""A wallet's transactions in words: categories, confirmations, conflicts."""

from __future__ import annotations

from typing import Any

from millpond.chains.bitcoin.address import address_of_script
from millpond.chains.bitcoin.amounts import from_sat
from millpond.chains.bitcoin.hashes import display
from millpond.chains.bitcoin.wire import Transaction
from millpond.chains.devchain.chain import Devchain
from millpond.chains.devchain.index import Node
from millpond.chains.devchain.wallets import DevWallet


class Entries:
    """What a wallet tells of its transactions at this moment."""

    def __init__(self, chain: Devchain, wallet: DevWallet) -> None:
        self._chain = chain
        self._wallet = wallet

    def summary(self, txid_le: bytes) -> dict[str, Any]:
        """Net amount, fee, place in the chain."""
        tx, _ = self._wallet.history[txid_le]
        debit = self._debit(tx)
        credit = sum(o.value for o in tx.outputs if o.script in self._wallet.keys)
        fee = debit - sum(o.value for o in tx.outputs) if self._is_ours(tx) else 0
        answer: dict[str, Any] = {"amount": self._amount(credit - debit + fee)}
        if fee:
            answer["fee"] = self._amount(-fee)
        return answer | self._place(txid_le)

    def details(self, txid_le: bytes) -> list[dict[str, Any]]:
        """One row for each payment out and in; change is neither."""
        tx, _ = self._wallet.history[txid_le]
        sending = self._debit(tx) > 0
        ours = self._is_ours(tx)
        fee = self._debit(tx) - sum(o.value for o in tx.outputs) if ours else 0
        rows: list[dict[str, Any]] = []
        for i, txout in enumerate(tx.outputs):
            mine = txout.script in self._wallet.keys
            if sending and txout.script in self._wallet.change_scripts:
                continue
            row: dict[str, Any] = {"vout": i, "label": ""}
            address = address_of_script(txout.script, self._chain.params.coin)
            if address is not None:
                row["address"] = address
            if sending:
                rows.append(
                    row
                    | {
                        "category": "send",
                        "amount": self._amount(-txout.value),
                        "fee": self._amount(-fee),
                        "abandoned": False,
                    }
                )
            if mine:
                rows.append(
                    row
                    | {
                        "category": self._category(tx, txid_le),
                        "amount": self._amount(txout.value),
                    }
                )
        return rows

    def since(self, node: Node | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows for what came after a block, and for what a reorganisation took out since."""
        fork = node
        gone: list[Node] = []
        while fork is not None and not self._chain.is_active(fork):
            gone.append(fork)
            fork = fork.parent
        floor = fork.height if fork is not None else -1
        found: list[dict[str, Any]] = []
        for txid in self._wallet.history:
            place = self._chain.find_transaction(txid)
            if place is None or place[0].height > floor:
                found += self._rows(txid)
        removed = [
            row
            for block in gone
            for txid in block.txids
            if txid in self._wallet.history
            for row in self._rows(txid)
        ]
        return found, removed

    def _rows(self, txid_le: bytes) -> list[dict[str, Any]]:
        place = self._place(txid_le)
        return [row | place for row in self.details(txid_le)]

    def _place(self, txid_le: bytes) -> dict[str, Any]:
        tx, time_s = self._wallet.history[txid_le]
        answer: dict[str, Any] = {
            "confirmations": self._confirmations(tx, txid_le),
            "txid": display(txid_le),
            "walletconflicts": self._conflicts(tx, txid_le),
            "time": time_s,
            "timereceived": time_s,
            "bip125-replaceable": "no",
        }
        found = self._chain.find_transaction(txid_le)
        if found is not None:
            node, position = found
            answer |= {
                "blockhash": node.hash,
                "blockheight": node.height,
                "blockindex": position,
                "blocktime": node.header.time,
            }
        if tx.is_coinbase:
            answer["generated"] = True
        return answer

    def _confirmations(self, tx: Transaction, txid_le: bytes) -> int:
        """Depth; negative is the depth of a conflict in the best chain."""
        found = self._chain.find_transaction(txid_le)
        if found is not None:
            return self._chain.tip.height - found[0].height + 1
        depths = [0]
        for txin in tx.inputs:
            rival = self._chain.coins.spender.get(txin.outpoint)
            place = self._chain.find_transaction(rival) if rival else None
            if place is not None:
                depths.append(self._chain.tip.height - place[0].height + 1)
        return -max(depths)

    def _conflicts(self, tx: Transaction, txid_le: bytes) -> list[str]:
        spent = {txin.outpoint for txin in tx.inputs if not txin.outpoint.is_null}
        return [
            display(other)
            for other, (known, _) in self._wallet.history.items()
            if other != txid_le and any(txin.outpoint in spent for txin in known.inputs)
        ]

    def _category(self, tx: Transaction, txid_le: bytes) -> str:
        if not tx.is_coinbase:
            return "receive"
        found = self._chain.find_transaction(txid_le)
        if found is None:
            return "orphan"
        depth = self._chain.tip.height - found[0].height + 1
        return "generate" if depth > self._chain.params.coin.maturity else "immature"

    def _debit(self, tx: Transaction) -> int:
        return sum(self._wallet.owned.get(txin.outpoint, 0) for txin in tx.inputs)

    def _is_ours(self, tx: Transaction) -> bool:
        return all(txin.outpoint in self._wallet.owned for txin in tx.inputs)

    def _amount(self, units: int) -> Any:
        return from_sat(units, self._chain.params.coin.decimals)
