"""Wallets of a devchain: keys from a seed, and the transactions that concern them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from coincurve import PrivateKey

from millpond.chains.bitcoin.address import encode_p2pkh, encode_segwit
from millpond.chains.bitcoin.hashes import hash160
from millpond.chains.bitcoin.wire import Outpoint, Transaction, TxIn
from millpond.chains.devchain.chain import Devchain, Watcher
from millpond.chains.devchain.index import Utxo
from millpond.chains.devchain.signing import (
    SighashCache,
    p2pkh_script,
    p2wpkh_script,
    sign_input,
)
from millpond.chains.devchain.storage import Kind
from millpond.clock import Entropy


class WalletTx(NamedTuple):
    """A transaction that pays to or from a wallet, and when it was first seen."""

    tx: Transaction
    time_s: int


class Coin(NamedTuple):
    """An output that a wallet can sign for."""

    outpoint: Outpoint
    utxo: Utxo
    confirmations: int


class DevWallet:
    """One wallet.

    Attributes:
        keys: Private key by output script.
        change_scripts: Scripts of addresses made for change.
        history: Every transaction that concerns the wallet, oldest first.
    """

    def __init__(self, name: str, seed: bytes, chain: Devchain) -> None:
        self.name = name
        self.coin = chain.params.coin
        self.keys: dict[bytes, PrivateKey] = {}
        self.change_scripts: set[bytes] = set()
        self.history: dict[bytes, WalletTx] = {}
        self.owned: dict[Outpoint, int] = {}
        self.locked: set[Outpoint] = set()
        self._seed = seed
        self._chain = chain
        self._next = 0

    def new_address(self, kind: str, *, change: bool = False) -> str:
        """Make the next key's address: `bech32` or `legacy`."""
        self._chain.storage.append(
            Kind.WALLET,
            msgspec.json.encode({"wallet": self.name, "kind": kind, "change": change}),
        )
        return self.derive(kind, change=change)

    def derive(self, kind: str, *, change: bool) -> str:
        """The next key's address, without writing it down."""
        material = self._seed + self._next.to_bytes(4, "big")
        self._next += 1
        key = PrivateKey(hmac.digest(b"millpond devchain key", material, hashlib.sha256))
        key_hash = hash160(key.public_key.format())
        coin = self._chain.params.coin
        if kind == "legacy":
            script, address = p2pkh_script(key_hash), encode_p2pkh(key_hash, coin)
        else:
            script, address = p2wpkh_script(key_hash), encode_segwit(0, key_hash, coin)
        self.keys[script] = key
        if change:
            self.change_scripts.add(script)
        return address

    def saw(self, tx: Transaction, txid_le: bytes, time_s: int) -> None:
        """Remember a transaction if it concerns the wallet."""
        concerns = any(txin.outpoint in self.owned for txin in tx.inputs)
        for i, txout in enumerate(tx.outputs):
            if txout.script in self.keys:
                concerns = True
                self.owned[Outpoint(txid_le, i)] = txout.value
        if concerns and txid_le not in self.history:
            self.history[txid_le] = WalletTx(tx, time_s)

    def coins(self) -> Iterator[Coin]:
        """Everything of the wallet that nobody has spent, unconfirmed included."""
        chain = self._chain
        height = chain.tip.height
        for script in self.keys:
            for outpoint in chain.coins.by_script.get(script, ()):
                if outpoint not in chain.mempool.spends:
                    utxo = chain.coins.unspent[outpoint]
                    yield Coin(outpoint, utxo, height - utxo.height + 1)
        for entry in chain.mempool.entries.values():
            for i, txout in enumerate(entry.tx.outputs):
                outpoint = Outpoint(entry.txid_le, i)
                if txout.script in self.keys and outpoint not in chain.mempool.spends:
                    yield Coin(outpoint, Utxo(txout.value, txout.script, height, False), 0)

    def is_mature(self, coin: Coin) -> bool:
        """Tell whether the next block may spend it; the wallet waits one block more."""
        return not coin.utxo.coinbase or coin.confirmations > self._chain.params.coin.maturity

    def is_trusted(self, coin: Coin) -> bool:
        """Confirmed, or change of the wallet's own payment."""
        if coin.confirmations > 0:
            return True
        entry = self._chain.mempool.entries[coin.outpoint.txid_le]
        return all(txin.outpoint in self.owned for txin in entry.tx.inputs)

    def spendable(self) -> list[Coin]:
        """What a payment may draw on, the largest first."""
        coins = [
            coin
            for coin in self.coins()
            if self.is_mature(coin) and self.is_trusted(coin) and coin.outpoint not in self.locked
        ]
        return sorted(coins, key=lambda c: (c.confirmations == 0, -c.utxo.value, c.outpoint))

    def sign(self, tx: Transaction) -> tuple[Transaction, bool]:
        """Sign what the wallet has keys for; True if nothing is missing."""
        cache = SighashCache(tx)
        inputs: list[TxIn] = []
        complete = True
        for i, txin in enumerate(tx.inputs):
            # A coin spent by a waiting transaction can be signed for again.
            utxo = self._chain.coins.unspent.get(txin.outpoint) or self._chain.mempool.output(
                txin.outpoint
            )
            key = self.keys.get(utxo.script) if utxo else None
            signed = sign_input(cache, i, key, utxo.script, utxo.value) if key and utxo else None
            complete = complete and signed is not None
            inputs.append(signed or txin)
        return Transaction(tx.version, tuple(inputs), tx.outputs, tx.lock_time), complete


class WalletBook(Watcher):
    """All wallets of a devchain; those in `loaded` can be used."""

    def __init__(self, chain: Devchain, entropy: Entropy) -> None:
        self.all: dict[str, DevWallet] = {}
        self.loaded: dict[str, DevWallet] = {}
        self._chain = chain
        self._entropy = entropy
        chain.watchers.append(self)

    def create(self, name: str) -> DevWallet:
        """Make a wallet with a fresh seed and load it."""
        assert name not in self.all, "a wallet is created once"
        seed = self._entropy.token(32)
        record = {"wallet": name, "seed": seed.hex()}
        self._chain.storage.append(Kind.WALLET, msgspec.json.encode(record))
        wallet = self.all[name] = self.loaded[name] = DevWallet(name, seed, self._chain)
        return wallet

    def restore(self, record: dict[str, Any]) -> None:
        """Read a record of the log back."""
        name = record["wallet"]
        if "seed" in record:
            self.all[name] = DevWallet(name, bytes.fromhex(record["seed"]), self._chain)
        else:
            self.all[name].derive(record["kind"], change=record["change"])

    def transaction_seen(self, tx: Transaction, txid_le: bytes, time_s: int) -> None:
        """Show a transaction to every wallet."""
        for wallet in self.all.values():
            wallet.saw(tx, txid_le, time_s)
