"""A daemon's block template, read once and never trusted.

The document is that of `getblocktemplate` (BIP 22, BIP 23, BIP 145) with
Litecoin's `mweb` beside it. Whatever is missing, of the wrong type, absurdly
large or contradictory raises `InvalidTemplateError`; a daemon that lies can
make the pool say so, not crash. What the pool does not need stays untouched:
transactions are neither dropped nor moved, and their identities are the
`txid` that the daemon gives, never a hash of `data` (which is wrong for
anything with a witness or an extension block).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from millpond.chains.coins import Coin
from millpond.errors import InvalidInputError
from millpond.mining.difficulty import bits_to_target, target_to_difficulty

MAX_TRANSACTIONS = 100_000
MAX_BLOCK_BYTES = 8_000_000
MAX_EXTENSION_BYTES = 8_000_000
MAX_HEIGHT = 0x7FFFFFFF
MAX_COINBASE_VALUE = (1 << 63) - 1
MAX_FLAGS_BYTES = 80
MAX_RULES = 64
MAX_DIFFICULTY = (1 << 128) - 1
"""Of a network, fixed point: what the share log holds; 79 bits in the real world."""

_UINT32 = 0xFFFFFFFF
_COMMITMENT_HEADER = bytes.fromhex("6a24aa21a9ed")
_KNOWN_RULES = frozenset({"csv", "segwit", "taproot"})


class InvalidTemplateError(InvalidInputError):
    """A block template that no block can be made from."""

    code = "invalid_template"


class TemplateTransaction(msgspec.Struct, frozen=True, gc=False):
    """One transaction of a template, in the daemon's order.

    Attributes:
        data: Serialisation, witness and all, as it goes into the block.
        txid_le: Its identity in wire order.
        fee: What it pays, in base units; None if the daemon does not say.
    """

    data: bytes
    txid_le: bytes
    fee: int | None = None


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """What a daemon wants the next block to be.

    Attributes:
        coin: The coin that it is for.
        height: Height of the block to find.
        version: Header version as an unsigned 32-bit number.
        prev_hash: Hash of the block before, in wire order.
        bits: Compact network target.
        network_target: The same as a number.
        curtime: The daemon's time, unix seconds.
        mintime: Earliest header time allowed, unix seconds.
        maxtime: Latest header time allowed, or None.
        coinbase_value: Subsidy and fees, in base units.
        coinbase_flags: Bytes that the daemon wants in the coinbase's script.
        transactions: All but the coinbase.
        witness_commitment: Script of the commitment output (BIP 141), or None.
        extension_block: Serialised extension block (Litecoin's `mweb`), or None.
        long_poll_id: Token for a long poll, or None.
        rules: Names of active rules, without the mark `!`.
    """

    coin: Coin
    height: int
    version: int
    prev_hash: bytes
    bits: int
    network_target: int
    curtime: int
    mintime: int
    maxtime: int | None
    coinbase_value: int
    coinbase_flags: bytes
    transactions: tuple[TemplateTransaction, ...]
    witness_commitment: bytes | None
    extension_block: bytes | None
    long_poll_id: str | None
    rules: tuple[str, ...]

    @classmethod
    def from_gbt(cls, gbt: Mapping[str, Any], coin: Coin) -> Template:
        """Read the answer of `getblocktemplate`.

        Raises:
            InvalidTemplateError: It cannot be worked on.
        """
        if not isinstance(gbt, Mapping):
            raise InvalidTemplateError("the template is not an object")
        bits, target = _target(gbt, coin)
        curtime = _integer(gbt, "curtime", 0, _UINT32)
        mintime, maxtime = _times(gbt, curtime)
        return cls(
            coin=coin,
            height=_integer(gbt, "height", 1, MAX_HEIGHT),
            version=_integer(gbt, "version", -(1 << 31), _UINT32) & _UINT32,
            prev_hash=_hex(gbt, "previousblockhash", 32, 32)[::-1],
            bits=bits,
            network_target=target,
            curtime=curtime,
            mintime=mintime,
            maxtime=maxtime,
            coinbase_value=_integer(gbt, "coinbasevalue", 0, MAX_COINBASE_VALUE),
            coinbase_flags=_flags(gbt),
            transactions=_transactions(gbt),
            witness_commitment=_commitment(gbt),
            extension_block=_extension_block(gbt, coin),
            long_poll_id=_long_poll_id(gbt),
            rules=_rules(gbt, coin),
        )


def _integer(source: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = source.get(name)
    if value is None:
        raise InvalidTemplateError(f"the template has no {name}")
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidTemplateError(f"{name} of the template is not a whole number")
    if not low <= value <= high:
        raise InvalidTemplateError(f"{name} of the template lies outside {low}..{high}")
    return value


def _hex(source: Mapping[str, Any], name: str, low: int, high: int) -> bytes:
    """Bytes of a hexadecimal field of `low` to `high` bytes."""
    value = source.get(name)
    if value is None:
        raise InvalidTemplateError(f"the template has no {name}")
    if not isinstance(value, str):
        raise InvalidTemplateError(f"{name} of the template is not hexadecimal")
    if not 2 * low <= len(value) <= 2 * high:
        raise InvalidTemplateError(f"{name} of the template is not {low} to {high} bytes long")
    try:
        data = bytes.fromhex(value)
    except ValueError:
        raise InvalidTemplateError(f"{name} of the template is not hexadecimal") from None
    if len(data) * 2 != len(value):  # `fromhex` skips white space
        raise InvalidTemplateError(f"{name} of the template is not hexadecimal")
    return data


def _target(gbt: Mapping[str, Any], coin: Coin) -> tuple[int, int]:
    bits = int.from_bytes(_hex(gbt, "bits", 4, 4), "big")
    try:
        target = bits_to_target(bits)
    except ValueError:
        raise InvalidTemplateError("bits of the template is no target") from None
    if target == 0 or target_to_difficulty(target, coin.difficulty_1_target) > MAX_DIFFICULTY:
        raise InvalidTemplateError("bits of the template is a target that nothing meets")
    if gbt.get("target") is not None:
        stated = int.from_bytes(_hex(gbt, "target", 32, 32), "big")
        if stated != target:
            raise InvalidTemplateError("bits and target of the template contradict each other")
    return bits, target


def _times(gbt: Mapping[str, Any], curtime: int) -> tuple[int, int | None]:
    mintime = 0 if gbt.get("mintime") is None else _integer(gbt, "mintime", 0, _UINT32)
    maxtime = None if gbt.get("maxtime") is None else _integer(gbt, "maxtime", 0, _UINT32)
    if mintime > curtime:
        raise InvalidTemplateError("mintime of the template is later than its curtime")
    if maxtime is not None and maxtime < curtime:
        raise InvalidTemplateError("maxtime of the template is earlier than its curtime")
    return mintime, maxtime


def _flags(gbt: Mapping[str, Any]) -> bytes:
    """All of `coinbaseaux`, joined (BIP 22: each value goes into the script)."""
    aux = gbt.get("coinbaseaux")
    if aux is None:
        return b""
    if not isinstance(aux, Mapping):
        raise InvalidTemplateError("coinbaseaux of the template is not an object")
    if len(aux) > MAX_RULES:
        raise InvalidTemplateError("coinbaseaux of the template has too many entries")
    flags = b"".join(_hex(aux, name, 0, MAX_FLAGS_BYTES) for name in aux)
    if len(flags) > MAX_FLAGS_BYTES:
        raise InvalidTemplateError("coinbaseaux of the template is too long for a coinbase")
    return flags


def _transactions(gbt: Mapping[str, Any]) -> tuple[TemplateTransaction, ...]:
    entries = gbt.get("transactions")
    if not isinstance(entries, list):
        raise InvalidTemplateError("the template has no list of transactions")
    if len(entries) > MAX_TRANSACTIONS:
        raise InvalidTemplateError("the template has too many transactions")
    transactions = tuple(map(_transaction, entries))
    if sum(len(transaction.data) for transaction in transactions) > MAX_BLOCK_BYTES:
        raise InvalidTemplateError("the template's transactions are too large for a block")
    return transactions


def _transaction(entry: Any) -> TemplateTransaction:
    if not isinstance(entry, Mapping):
        raise InvalidTemplateError("a transaction of the template is not an object")
    fee = None
    if entry.get("fee") is not None:
        fee = _integer(entry, "fee", -MAX_COINBASE_VALUE, MAX_COINBASE_VALUE)
    return TemplateTransaction(
        _hex(entry, "data", 10, MAX_BLOCK_BYTES), _hex(entry, "txid", 32, 32)[::-1], fee
    )


def _commitment(gbt: Mapping[str, Any]) -> bytes | None:
    if gbt.get("default_witness_commitment") is None:
        return None
    script = _hex(gbt, "default_witness_commitment", 38, 200)
    if not script.startswith(_COMMITMENT_HEADER):
        raise InvalidTemplateError("default_witness_commitment of the template is none (BIP 141)")
    return script


def _extension_block(gbt: Mapping[str, Any], coin: Coin) -> bytes | None:
    if gbt.get("mweb") is None:
        return None
    if not coin.extension_block:
        raise InvalidTemplateError(f"the template has an extension block, {coin.name} has none")
    return _hex(gbt, "mweb", 1, MAX_EXTENSION_BYTES)


def _long_poll_id(gbt: Mapping[str, Any]) -> str | None:
    value = gbt.get("longpollid")
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > 1000:
        raise InvalidTemplateError("longpollid of the template is not a short string")
    return value


def _rules(gbt: Mapping[str, Any], coin: Coin) -> tuple[str, ...]:
    """Active rules; one marked `!` changes what a block is and must be known (BIP 9)."""
    rules = gbt.get("rules")
    if rules is None:
        return ()
    if not isinstance(rules, list) or len(rules) > MAX_RULES:
        raise InvalidTemplateError("rules of the template is not a short list")
    known = _KNOWN_RULES.union(coin.template_rules)
    names = []
    for rule in rules:
        if not isinstance(rule, str) or len(rule) > 100:
            raise InvalidTemplateError("a rule of the template is not a short string")
        name = rule.removeprefix("!")
        if rule.startswith("!") and name not in known:
            raise InvalidTemplateError(f"the template demands the unknown rule {name!r}")
        names.append(name)
    return tuple(names)
