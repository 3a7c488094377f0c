"""Choosing coins and making change, as `fundrawtransaction` does."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import msgspec

from millpond.chains.bitcoin.address import parse_address
from millpond.chains.bitcoin.wire import Transaction, TxIn, TxOut
from millpond.chains.devchain.methods import DevRpcError, read_amount
from millpond.chains.devchain.signing import is_p2wpkh
from millpond.chains.devchain.wallets import Coin, DevWallet

FALLBACK_FEE_PER_KVB = 20_000
DUST_SAT = 546
_P2WPKH_INPUT_VBYTES = 68
_P2PKH_INPUT_VBYTES = 148


class FundOptions(msgspec.Struct, frozen=True):
    """Options of `fundrawtransaction` that are known here.

    Attributes:
        fee_per_kvb: Base units per 1,000 virtual bytes.
        bearers: Outputs that the fee is taken from.
        change_position: Where the change goes; None: at the end.
        change_address: Whom the change goes to; None: a fresh address.
        lock: Keep the chosen coins from other payments.
    """

    fee_per_kvb: int = FALLBACK_FEE_PER_KVB
    bearers: tuple[int, ...] = ()
    change_position: int | None = None
    change_address: str | None = None
    lock: bool = False

    @classmethod
    def read(cls, options: dict[str, Any], decimals: int) -> Self:
        """Read the RPC's object.

        Raises:
            DevRpcError: An option that is not known (-8), or a wrong value.
        """
        known = {
            "feeRate",
            "subtractFeeFromOutputs",
            "changePosition",
            "changeAddress",
            "lockUnspents",
        }
        unknown = sorted(set(options) - known)
        if unknown:
            raise DevRpcError(-3, f"Unexpected key {unknown[0]}")
        fee = FALLBACK_FEE_PER_KVB
        if "feeRate" in options:
            fee = read_amount(options["feeRate"], decimals)
        return cls(
            fee,
            tuple(options.get("subtractFeeFromOutputs", ())),
            options.get("changePosition"),
            options.get("changeAddress"),
            options.get("lockUnspents", False) is True,
        )


class Funded(NamedTuple):
    """A funded transaction, unsigned."""

    tx: Transaction
    fee: int
    change_position: int


def fund(wallet: DevWallet, tx: Transaction, options: FundOptions) -> Funded:
    """Add inputs and change.

    Raises:
        DevRpcError: Not enough money (-4), or outputs too small to bear the fee (-4).
    """
    if any(not 0 <= i < len(tx.outputs) for i in options.bearers):
        raise DevRpcError(-8, "Invalid parameter, vout index out of bounds")
    asked = sum(txout.value for txout in tx.outputs)
    chosen: list[Coin] = []
    have = 0
    for coin in wallet.spendable():
        if have >= asked + (0 if options.bearers else _fee(tx, chosen, options)):
            break
        chosen.append(coin)
        have += coin.utxo.value
    fee = _fee(tx, chosen, options)
    if have < asked + (0 if options.bearers else fee) or not chosen:
        raise DevRpcError(-4, "Insufficient funds")
    outputs = list(tx.outputs)
    change = have - asked - (0 if options.bearers else fee)
    _deduct(outputs, fee, options.bearers)
    position = -1
    if change >= DUST_SAT:
        position = len(outputs) if options.change_position is None else options.change_position
        outputs.insert(position, TxOut(change, _change_script(wallet, options)))
    else:
        fee += change
    inputs = tuple(TxIn(coin.outpoint, b"", 0xFFFFFFFE) for coin in chosen)
    return Funded(Transaction(tx.version, inputs, tuple(outputs), tx.lock_time), fee, position)


def _fee(tx: Transaction, coins: list[Coin], options: FundOptions) -> int:
    """Fee for the size with signatures and one change output."""
    vbytes = 11 + 31 + sum(9 + len(txout.script) for txout in tx.outputs)
    for coin in coins:
        vbytes += _P2WPKH_INPUT_VBYTES if is_p2wpkh(coin.utxo.script) else _P2PKH_INPUT_VBYTES
    return -(-vbytes * options.fee_per_kvb // 1000)


def _deduct(outputs: list[TxOut], fee: int, bearers: tuple[int, ...]) -> None:
    """Take the fee from its bearers in equal parts, the first bearing the remainder."""
    if not bearers:
        return
    part, rest = divmod(fee, len(bearers))
    for order, i in enumerate(bearers):
        left = outputs[i].value - part - (rest if order == 0 else 0)
        if left < DUST_SAT:
            raise DevRpcError(-4, "The transaction amount is too small to pay the fee")
        outputs[i] = TxOut(left, outputs[i].script)


def _change_script(wallet: DevWallet, options: FundOptions) -> bytes:
    address = options.change_address or wallet.new_address("bech32", change=True)
    return parse_address(address, wallet.coin).script_pubkey
