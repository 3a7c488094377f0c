"""Between transactions and the JSON of the RPC."""

from __future__ import annotations

from typing import Any

from millpond.chains.bitcoin.address import address_of_script, parse_address
from millpond.chains.bitcoin.amounts import from_sat
from millpond.chains.bitcoin.errors import InvalidAddressError
from millpond.chains.bitcoin.hashes import display
from millpond.chains.bitcoin.wire import Outpoint, Transaction, TxIn, TxOut
from millpond.chains.coins import Coin
from millpond.chains.devchain.methods import DevRpcError, read_amount, read_hash


def unsigned_transaction(
    coin: Coin, inputs: list[Any], outputs: Any, lock_time: int
) -> Transaction:
    """What `createrawtransaction` makes.

    Raises:
        DevRpcError: Parameters that a real daemon refuses, with its numbers.
    """
    pairs = _pairs(outputs)
    addresses = [name for name, _ in pairs if name != "data"]
    for name in addresses:
        if addresses.count(name) > 1:
            raise DevRpcError(-8, f"Invalid parameter, duplicated address: {name}")
    return Transaction(
        2,
        tuple(_input(item, lock_time) for item in inputs),
        tuple(_output(coin, name, value) for name, value in pairs),
        lock_time,
    )


def script_words(coin: Coin, script: bytes) -> dict[str, Any]:
    """An output script as daemons show it."""
    address = address_of_script(script, coin)
    return {"hex": script.hex(), "addresses": [address] if address else []}


def decoded(coin: Coin, tx: Transaction) -> dict[str, Any]:
    """A transaction in words, as `decoderawtransaction` has it."""
    return {
        "txid": tx.txid,
        "hash": display(tx.wtxid_le),
        "version": tx.version,
        "size": len(tx.serialise()),
        "vsize": tx.vsize,
        "weight": tx.weight,
        "locktime": tx.lock_time,
        "vin": [_input_words(txin) for txin in tx.inputs],
        "vout": [
            {
                "value": from_sat(txout.value, coin.decimals),
                "n": i,
                "scriptPubKey": script_words(coin, txout.script),
            }
            for i, txout in enumerate(tx.outputs)
        ],
    }


def _input_words(txin: TxIn) -> dict[str, Any]:
    if txin.outpoint.is_null:
        found: dict[str, Any] = {"coinbase": txin.script_sig.hex()}
    else:
        found = {
            "txid": display(txin.outpoint.txid_le),
            "vout": txin.outpoint.index,
            "scriptSig": {"hex": txin.script_sig.hex()},
        }
    if txin.witness:
        found["txinwitness"] = [item.hex() for item in txin.witness]
    return found | {"sequence": txin.sequence}


def _pairs(outputs: Any) -> list[tuple[str, Any]]:
    if isinstance(outputs, dict):
        return list(outputs.items())
    if not isinstance(outputs, list):
        raise DevRpcError(-8, "Invalid parameter, output argument must be non-null")
    pairs: list[tuple[str, Any]] = []
    for item in outputs:
        if not isinstance(item, dict) or len(item) != 1:
            raise DevRpcError(-8, "Invalid parameter, key-value pair must contain exactly one key")
        pairs += item.items()
    return pairs


def _input(item: Any, lock_time: int) -> TxIn:
    if not isinstance(item, dict) or not isinstance(item.get("txid"), str):
        raise DevRpcError(-8, "Invalid parameter, missing txid key")
    vout = item.get("vout")
    if not isinstance(vout, int) or not 0 <= vout <= 0xFFFFFFFF:
        raise DevRpcError(-8, "Invalid parameter, missing vout key")
    default = 0xFFFFFFFE if lock_time else 0xFFFFFFFF
    sequence = item.get("sequence", default)
    if not isinstance(sequence, int) or not 0 <= sequence <= 0xFFFFFFFF:
        raise DevRpcError(-8, "Invalid parameter, sequence number is out of range")
    return TxIn(Outpoint(read_hash(item["txid"], "txid"), vout), b"", sequence)


def _output(coin: Coin, name: str, value: Any) -> TxOut:
    if name == "data":
        data = bytes.fromhex(value)
        return TxOut(0, b"\x6a" + bytes((len(data),)) + data)
    try:
        script = parse_address(name, coin).script_pubkey
    except InvalidAddressError:
        raise DevRpcError(-5, f"Invalid Devcoin address: {name}") from None
    return TxOut(read_amount(value, coin.decimals), script)
