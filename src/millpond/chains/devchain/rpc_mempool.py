"""RPC methods of a devchain that deal with single transactions: mempool, making, sending."""

from __future__ import annotations

from typing import Any

from millpond.chains.bitcoin.amounts import from_sat
from millpond.chains.bitcoin.hashes import display
from millpond.chains.bitcoin.wire import Outpoint, Transaction
from millpond.chains.devchain.chain import Devchain
from millpond.chains.devchain.methods import (
    DevRpcError,
    read_amount,
    read_hash,
    read_transaction,
)
from millpond.chains.devchain.transactions import decoded, script_words, unsigned_transaction

_DEFAULT_MAX_FEE_RATE = 10_000_000


class MempoolMethods:
    """The methods, each with the name and the answers that a real daemon has."""

    def __init__(self, chain: Devchain) -> None:
        self._chain = chain
        self._coin = chain.params.coin

    def getmempoolinfo(self) -> dict[str, Any]:
        """Size of the mempool."""
        entries = self._chain.mempool.entries.values()
        return {"loaded": True, "size": len(entries), "bytes": sum(e.vsize for e in entries)}

    def getrawmempool(self) -> list[str]:
        """Ids of the waiting transactions."""
        return [display(txid) for txid in self._chain.mempool.entries]

    def getmempoolentry(self, txid: str) -> dict[str, Any]:
        """One waiting transaction."""
        entry = self._chain.mempool.entries.get(read_hash(txid, "parameter 1"))
        if entry is None:
            raise DevRpcError(-5, "Transaction not in mempool")
        waiting = self._chain.mempool.entries
        depends = {i.outpoint.txid_le for i in entry.tx.inputs if i.outpoint.txid_le in waiting}
        return {
            "fees": {"base": from_sat(entry.fee)},
            "fee": from_sat(entry.fee),
            "vsize": entry.vsize,
            "weight": entry.tx.weight,
            "time": entry.time_s,
            "height": entry.height,
            "wtxid": display(entry.tx.wtxid_le),
            "depends": sorted(display(txid) for txid in depends),
        }

    def gettxout(self, txid: str, n: int, include_mempool: bool = True) -> Any:  # noqa: FBT001, FBT002
        """An unspent output, or null."""
        outpoint = Outpoint(read_hash(txid, "txid"), n)
        utxo = self._chain.output(outpoint, with_mempool=include_mempool)
        if utxo is None:
            return None
        waiting = outpoint.txid_le in self._chain.mempool.entries
        return {
            "bestblock": self._chain.tip.hash,
            "confirmations": 0 if waiting else self._chain.tip.height - utxo.height + 1,
            "value": from_sat(utxo.value, self._coin.decimals),
            "scriptPubKey": script_words(self._coin, utxo.script),
            "coinbase": utxo.coinbase,
        }

    def getrawtransaction(self, txid: str, verbose: bool = False) -> Any:  # noqa: FBT001, FBT002
        """A transaction of the mempool or of the best chain."""
        wanted = read_hash(txid, "parameter 1")
        entry = self._chain.mempool.entries.get(wanted)
        place = self._chain.find_transaction(wanted)
        if entry is not None:
            tx = entry.tx
        elif place is not None:
            tx = self._chain.block(place[0]).transactions[place[1]]
        else:
            raise DevRpcError(
                -5,
                "No such mempool or blockchain transaction. "
                "Use gettransaction for wallet transactions.",
            )
        raw = tx.serialise().hex()
        if not verbose:
            return raw
        found: dict[str, Any] = decoded(self._coin, tx) | {"hex": raw}
        if place is not None:
            node = place[0]
            found |= {
                "blockhash": node.hash,
                "confirmations": self._chain.tip.height - node.height + 1,
                "blocktime": node.header.time,
            }
        return found

    def decoderawtransaction(self, hexstring: str) -> dict[str, Any]:
        """A transaction in words."""
        return decoded(self._coin, read_transaction(hexstring))

    def createrawtransaction(
        self,
        inputs: list[Any],
        outputs: Any,
        locktime: int = 0,
    ) -> str:
        """An unsigned transaction."""
        return unsigned_transaction(self._coin, inputs, outputs, locktime).serialise().hex()

    def sendrawtransaction(self, hexstring: str, maxfeerate: Any = None) -> str:
        """Take a transaction into the mempool."""
        tx = read_transaction(hexstring, ". Make sure the tx has at least one input.")
        if not tx.inputs:
            raise DevRpcError(-22, "TX decode failed. Make sure the tx has at least one input.")
        txid = tx.txid_le
        if self._chain.find_transaction(txid) is not None:
            unspent = (
                Outpoint(txid, i) in self._chain.coins.unspent for i in range(len(tx.outputs))
            )
            if any(unspent):
                raise DevRpcError(-27, "Transaction already in block chain")
        if txid in self._chain.mempool.entries:
            return tx.txid
        limit = (
            _DEFAULT_MAX_FEE_RATE
            if maxfeerate is None
            else read_amount(maxfeerate, self._coin.decimals)
        )
        self._check_fee(tx, limit)
        reason = self._chain.accept_transaction(tx)
        if reason == "bad-txns-inputs-missingorspent":
            raise DevRpcError(-25, reason)
        if reason is not None:
            raise DevRpcError(-26, reason)
        return tx.txid

    def testmempoolaccept(self, rawtxs: list[Any]) -> list[dict[str, Any]]:
        """Would the mempool take it?"""
        if len(rawtxs) != 1:
            raise DevRpcError(-8, "Array must contain exactly one raw transaction for now")
        tx = read_transaction(rawtxs[0])
        if self._chain.find_transaction(tx.txid_le):
            reason: str | None = "txn-already-known"
        else:
            mempool = self._chain.mempool
            reason = mempool.accept(
                tx,
                height=self._chain.tip.height + 1,
                median_time=self._chain.tip.median_time,
                now_s=self._chain.now_s(),
            )
            if reason is None:
                mempool.remove(tx.txid_le, with_descendants=False)
        answer: dict[str, Any] = {"txid": tx.txid, "allowed": reason is None}
        return [answer if reason is None else answer | {"reject-reason": reason}]

    def estimatesmartfee(self, conf_target: int, estimate_mode: str = "") -> dict[str, Any]:
        """Nothing to learn from here, as on a quiet regtest."""
        del estimate_mode
        return {"errors": ["Insufficient data or no feerate found"], "blocks": conf_target}

    def _check_fee(self, tx: Transaction, limit_per_kvb: int) -> None:
        found = [self._chain.mempool.output(txin.outpoint) for txin in tx.inputs]
        if not limit_per_kvb or any(utxo is None for utxo in found):
            return
        fee = sum(utxo.value for utxo in found if utxo) - sum(o.value for o in tx.outputs)
        if fee > limit_per_kvb * tx.vsize // 1000:
            raise DevRpcError(
                -25, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"
            )
