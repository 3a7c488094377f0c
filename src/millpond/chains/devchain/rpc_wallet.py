"""RPC methods of a devchain's wallets."""

from __future__ import annotations

import base64
from typing import Any

from millpond.chains.bitcoin.address import address_of_script, parse_address
from millpond.chains.bitcoin.amounts import from_sat
from millpond.chains.bitcoin.errors import InvalidAddressError
from millpond.chains.bitcoin.hashes import display
from millpond.chains.bitcoin.message import sign_message, verify_message
from millpond.chains.bitcoin.wire import Transaction
from millpond.chains.devchain.chain import Devchain
from millpond.chains.devchain.funding import FundOptions, fund
from millpond.chains.devchain.history import Entries
from millpond.chains.devchain.methods import DevRpcError, read_hash, read_transaction
from millpond.chains.devchain.signing import p2pkh_script
from millpond.chains.devchain.transactions import unsigned_transaction
from millpond.chains.devchain.wallets import DevWallet, WalletBook

_KINDS = {"": "bech32", "bech32": "bech32", "legacy": "legacy"}


class WalletAdmin:
    """Making and loading wallets, and what needs none."""

    def __init__(self, chain: Devchain, book: WalletBook) -> None:
        self._chain = chain
        self._book = book

    def listwallets(self) -> list[str]:
        """Names of the loaded wallets."""
        return list(self._book.loaded)

    def createwallet(self, wallet_name: str) -> dict[str, str]:
        """Make a wallet and load it."""
        if wallet_name in self._book.all:
            raise DevRpcError(-4, "Wallet file verification failed. Database already exists.")
        self._book.create(wallet_name)
        return {"name": wallet_name, "warning": ""}

    def loadwallet(self, filename: str) -> dict[str, str]:
        """Load a wallet."""
        wallet = self._book.all.get(filename)
        if wallet is None:
            raise DevRpcError(-18, "Wallet file verification failed. Path does not exist.")
        if filename in self._book.loaded:
            raise DevRpcError(-4, "Wallet file verification failed. Data file is already loaded.")
        self._book.loaded[filename] = wallet
        return {"name": filename, "warning": ""}

    def unloadwallet(self, wallet_name: str) -> None:
        """Put a wallet away."""
        if wallet_name not in self._book.loaded:
            raise DevRpcError(-18, "Requested wallet does not exist or is not loaded")
        del self._book.loaded[wallet_name]

    def verifymessage(self, address: str, signature: str, message: str) -> bool:
        """Check a signed message."""
        coin = self._chain.params.coin
        try:
            parsed = parse_address(address, coin)
        except InvalidAddressError:
            raise DevRpcError(-3, "Invalid address") from None
        if parsed.kind != "p2pkh":
            raise DevRpcError(-3, "Address does not refer to key")
        try:
            base64.b64decode(signature, validate=True)
        except ValueError:
            raise DevRpcError(-5, "Malformed base64 encoding") from None
        return verify_message(coin, address, message, signature)


class WalletMethods:
    """The methods of one wallet, each with the name and answers of a real daemon."""

    def __init__(self, chain: Devchain) -> None:
        self._chain = chain
        self._coin = chain.params.coin

    def getwalletinfo(self, wallet: DevWallet) -> dict[str, Any]:
        """Name and counts."""
        return {"walletname": wallet.name, "txcount": len(wallet.history)}

    def getnewaddress(self, wallet: DevWallet, label: str = "", address_type: str = "") -> str:
        """A fresh address to be paid at."""
        del label
        return wallet.new_address(_kind(address_type))

    def getrawchangeaddress(self, wallet: DevWallet, address_type: str = "") -> str:
        """A fresh address for change."""
        return wallet.new_address(_kind(address_type), change=True)

    def getaddressinfo(self, wallet: DevWallet, address: str) -> dict[str, Any]:
        """What the wallet knows of an address."""
        try:
            parsed = parse_address(address, self._coin)
        except InvalidAddressError:
            raise DevRpcError(-5, "Invalid address") from None
        script = parsed.script_pubkey
        answer: dict[str, Any] = {
            "address": parsed.text,
            "scriptPubKey": script.hex(),
            "ismine": script in wallet.keys,
            "iswitness": parsed.witness_version is not None,
            "ischange": script in wallet.change_scripts,
        }
        if script in wallet.keys:
            answer["pubkey"] = wallet.keys[script].public_key.format().hex()
        return answer

    def getbalances(self, wallet: DevWallet) -> dict[str, Any]:
        """Spendable, pending and immature money."""
        trusted = pending = immature = 0
        for coin in wallet.coins():
            if not wallet.is_mature(coin):
                immature += coin.utxo.value
            elif wallet.is_trusted(coin):
                trusted += coin.utxo.value
            else:
                pending += coin.utxo.value
        return {
            "mine": {
                "trusted": self._amount(trusted),
                "untrusted_pending": self._amount(pending),
                "immature": self._amount(immature),
            }
        }

    def getbalance(self, wallet: DevWallet, dummy: str = "*", minconf: int = 0) -> Any:
        """Spendable money."""
        del dummy
        return self._amount(
            sum(
                coin.utxo.value
                for coin in wallet.coins()
                if wallet.is_mature(coin)
                and wallet.is_trusted(coin)
                and coin.confirmations >= minconf
            )
        )

    def listunspent(
        self,
        wallet: DevWallet,
        minconf: int = 1,
        maxconf: int = 9_999_999,
        addresses: list[Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Outputs that can be spent."""
        rows = []
        for coin in wallet.coins():
            address = address_of_script(coin.utxo.script, self._coin)
            if not minconf <= coin.confirmations <= maxconf or not wallet.is_mature(coin):
                continue
            if coin.outpoint in wallet.locked or (addresses and address not in addresses):
                continue
            rows.append(
                {
                    "txid": display(coin.outpoint.txid_le),
                    "vout": coin.outpoint.index,
                    "address": address,
                    "scriptPubKey": coin.utxo.script.hex(),
                    "amount": self._amount(coin.utxo.value),
                    "confirmations": coin.confirmations,
                    "spendable": True,
                    "solvable": True,
                    "safe": wallet.is_trusted(coin),
                }
            )
        return rows

    def listlockunspent(self, wallet: DevWallet) -> list[dict[str, Any]]:
        """Outputs that are kept from payments."""
        return [
            {"txid": display(outpoint.txid_le), "vout": outpoint.index}
            for outpoint in sorted(wallet.locked)
        ]

    def fundrawtransaction(
        self, wallet: DevWallet, hexstring: str, options: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Add inputs and change so that a transaction pays for itself."""
        wanted = FundOptions.read(options or {}, self._coin.decimals)
        funded = fund(wallet, read_transaction(hexstring), wanted)
        if wanted.lock:
            wallet.locked.update(txin.outpoint for txin in funded.tx.inputs)
        return {
            "hex": funded.tx.serialise().hex(),
            "fee": self._amount(funded.fee),
            "changepos": funded.change_position,
        }

    def signrawtransactionwithwallet(self, wallet: DevWallet, hexstring: str) -> dict[str, Any]:
        """Sign what the wallet has keys for."""
        tx, complete = wallet.sign(read_transaction(hexstring))
        answer: dict[str, Any] = {"hex": tx.serialise().hex(), "complete": complete}
        if not complete:
            answer["errors"] = [{"error": "Input not found or already spent, or not our key"}]
        return answer

    def sendtoaddress(self, wallet: DevWallet, address: str, amount: Any) -> str:
        """Pay one address, the wallet bearing the fee."""
        empty = unsigned_transaction(self._coin, [], [{address: amount}], 0)
        funded = fund(wallet, empty, FundOptions())
        return self._send(wallet, funded.tx)

    def gettransaction(self, wallet: DevWallet, txid: str) -> dict[str, Any]:
        """A transaction as the wallet sees it."""
        wanted = read_hash(txid, "txid")
        known = wallet.history.get(wanted)
        if known is None:
            raise DevRpcError(-5, "Invalid or non-wallet transaction id")
        entries = Entries(self._chain, wallet)
        return entries.summary(wanted) | {
            "details": entries.details(wanted),
            "hex": known.tx.serialise().hex(),
        }

    def listsinceblock(
        self,
        wallet: DevWallet,
        blockhash: str = "",
        target_confirmations: int = 1,
        include_watchonly: bool = False,  # noqa: FBT001, FBT002 - by position on the wire
        include_removed: bool = True,  # noqa: FBT001, FBT002 - by position on the wire
    ) -> dict[str, Any]:
        """What happened to the wallet after a block."""
        del include_watchonly
        since = None
        if blockhash:
            since = self._chain.nodes.get(read_hash(blockhash, "blockhash"))
            if since is None:
                raise DevRpcError(-5, "Block not found")
        if target_confirmations < 1:
            raise DevRpcError(-8, "Invalid parameter")
        entries = Entries(self._chain, wallet)
        found, removed = entries.since(since)
        last = max(self._chain.tip.height + 1 - target_confirmations, 0)
        return {
            "transactions": found,
            "removed": removed if include_removed else [],
            "lastblock": self._chain.active[last].hash,
        }

    def signmessage(self, wallet: DevWallet, address: str, message: str) -> str:
        """Sign a message with the key of a legacy address."""
        try:
            parsed = parse_address(address, self._coin)
        except InvalidAddressError:
            raise DevRpcError(-3, "Invalid address") from None
        if parsed.kind != "p2pkh":
            raise DevRpcError(-3, "Address does not refer to key")
        key = wallet.keys.get(p2pkh_script(parsed.program))
        if key is None:
            raise DevRpcError(-4, "Private key not available")
        return sign_message(self._coin, key, message)

    def _send(self, wallet: DevWallet, tx: Transaction) -> str:
        signed, complete = wallet.sign(tx)
        assert complete, "a wallet can sign what it has funded"
        reason = self._chain.accept_transaction(signed)
        if reason is not None:
            raise DevRpcError(-6, reason)
        return signed.txid

    def _amount(self, units: int) -> Any:
        return from_sat(units, self._coin.decimals)


def _kind(address_type: str) -> str:
    kind = _KINDS.get(address_type)
    if kind is None:
        raise DevRpcError(-5, f"Unknown address type '{address_type}'")
    return kind
