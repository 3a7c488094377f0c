"""The rules of a devchain; every function decides and touches nothing.

A verdict is None or the reason that a Bitcoin-family daemon gives (BIP 22,
`validation.cpp`), in the same order of precedence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from millpond.chains.bitcoin.hashes import merkle_root, sha256d
from millpond.chains.bitcoin.wire import (
    Block,
    Header,
    Outpoint,
    Transaction,
    WireError,
    bits_of_target,
    push_height,
    target_of_bits,
)
from millpond.chains.devchain.index import Node, Utxo
from millpond.chains.devchain.params import DevParams
from millpond.chains.devchain.signing import SighashCache, check_input

MAX_BLOCK_WEIGHT = 4_000_000
MAX_MONEY = 84_000_000 * 10**8
MAX_FUTURE_S = 7_200
COMMITMENT_MARK = b"\x6a\x24\xaa\x21\xa9\xed"

UtxoLookup = Callable[[Outpoint], Utxo | None]


def next_bits(params: DevParams, parent: Node) -> int:
    """Compact target that the block after `parent` must have.

    Every `retarget_blocks` the target is scaled by how long the last window
    took, by a factor of four at most. The genesis block's time is not used:
    it lies long before anybody mined.
    """
    height, window = parent.height + 1, params.coin.retarget_blocks
    if not params.retarget or height % window or height < 3:
        return parent.header.bits
    first = parent.ancestor(max(height - window, 1))
    expected_s = params.block_time_s * (parent.height - first.height)
    if not expected_s:
        return parent.header.bits
    taken_s = parent.header.time - first.header.time
    taken_s = min(max(taken_s, expected_s // 4, 1), expected_s * 4)
    target = target_of_bits(parent.header.bits) * taken_s // expected_s
    return bits_of_target(min(max(target, 1), params.limit_target))


def check_work(params: DevParams, header: Header) -> str | None:
    """Proof of work against the header's own target."""
    try:
        target = target_of_bits(header.bits)
    except WireError:
        return "high-hash"
    if target > params.limit_target or params.pow_hash(header.serialise()) > target:
        return "high-hash"
    return None


def check_block(block: Block, txids: Sequence[bytes]) -> str | None:  # noqa: PLR0911 - one return a verdict
    """What can be said of a block alone."""
    if merkle_root(list(txids)) != block.header.merkle_root_le:
        return "bad-txnmrklroot"
    if len(set(txids)) != len(txids):
        return "bad-txns-duplicate"
    if block.weight > MAX_BLOCK_WEIGHT:
        return "bad-blk-length"
    if not block.transactions[0].is_coinbase:
        return "bad-cb-missing"
    if any(tx.is_coinbase for tx in block.transactions[1:]):
        return "bad-cb-multiple"
    for tx in block.transactions:
        reason = check_transaction(tx)
        if reason:
            return reason
    return None


def check_transaction(tx: Transaction) -> str | None:  # noqa: PLR0911 - one return a verdict
    """What can be said of a transaction alone."""
    if not tx.inputs:
        return "bad-txns-vin-empty"
    if not tx.outputs:
        return "bad-txns-vout-empty"
    if any(txout.value < 0 for txout in tx.outputs):
        return "bad-txns-vout-negative"
    if sum(txout.value for txout in tx.outputs) > MAX_MONEY:
        return "bad-txns-txouttotal-toolarge"
    if len({txin.outpoint for txin in tx.inputs}) != len(tx.inputs):
        return "bad-txns-inputs-duplicate"
    if tx.is_coinbase:
        return None if 2 <= len(tx.inputs[0].script_sig) <= 100 else "bad-cb-length"
    if any(txin.outpoint.is_null for txin in tx.inputs):
        return "bad-txns-prevout-null"
    return None


def check_header_in_place(
    params: DevParams, header: Header, parent: Node, now_s: int
) -> str | None:
    """A header against its parent and the time."""
    if header.bits != next_bits(params, parent):
        return "bad-diffbits"
    if header.time <= parent.median_time:
        return "time-too-old"
    if header.time > now_s + MAX_FUTURE_S:
        return "time-too-new"
    if header.version < 2:
        return f"bad-version(0x{header.version & 0xFFFFFFFF:08x})"
    return None


def check_block_in_place(block: Block, height: int, median_time: int) -> str | None:
    """A block's contents against its height: lock times, BIP 34, BIP 141."""
    for tx in block.transactions:
        if not is_final(tx, height, median_time):
            return "bad-txns-nonfinal"
    if not block.transactions[0].inputs[0].script_sig.startswith(push_height(height)):
        return "bad-cb-height"
    return _check_commitment(block)


def is_final(tx: Transaction, height: int, median_time: int) -> bool:
    """Tell whether a lock time lets a transaction into the block at `height` (BIP 113)."""
    limit = height if tx.lock_time < 500_000_000 else median_time
    return tx.lock_time < limit or all(txin.sequence == 0xFFFFFFFF for txin in tx.inputs)


def commitment_index(coinbase: Transaction) -> int | None:
    """Position of the coinbase's witness commitment: the last of its form (BIP 141)."""
    for i in range(len(coinbase.outputs) - 1, -1, -1):
        script = coinbase.outputs[i].script
        if len(script) >= 38 and script[:6] == COMMITMENT_MARK:
            return i
    return None


def witness_commitment(wtxids: Sequence[bytes], nonce: bytes = bytes(32)) -> bytes:
    """Commitment over the witness ids behind the coinbase's, which counts as zero."""
    return sha256d(merkle_root([bytes(32), *wtxids]) + nonce)


def _check_commitment(block: Block) -> str | None:
    coinbase = block.transactions[0]
    position = commitment_index(coinbase)
    if position is None:
        spoiled = any(tx.has_witness for tx in block.transactions)
        return "unexpected-witness" if spoiled else None
    witness = coinbase.inputs[0].witness
    if len(witness) != 1 or len(witness[0]) != 32:
        return "bad-witness-nonce-size"
    wtxids = [tx.wtxid_le for tx in block.transactions[1:]]
    if coinbase.outputs[position].script[6:38] != witness_commitment(wtxids, witness[0]):
        return "bad-witness-merkle-match"
    return None


def check_spends(
    tx: Transaction, look_up: UtxoLookup, height: int, maturity: int, *, scripts: bool
) -> tuple[str | None, int]:
    """A transaction against the coins that it spends; returns reason and fee."""
    found: list[Utxo] = []
    for txin in tx.inputs:
        utxo = look_up(txin.outpoint)
        if utxo is None:
            return "bad-txns-inputs-missingorspent", 0
        if utxo.coinbase and height - utxo.height < maturity:
            return "bad-txns-premature-spend-of-coinbase", 0
        found.append(utxo)
    fee = sum(utxo.value for utxo in found) - sum(txout.value for txout in tx.outputs)
    if fee < 0:
        return "bad-txns-in-belowout", 0
    if scripts:
        cache = SighashCache(tx)
        for i, utxo in enumerate(found):
            reason = check_input(cache, i, utxo.script, utxo.value)
            if reason:
                return f"mandatory-script-verify-flag-failed ({reason})", 0
    return None, fee


def check_connect(
    params: DevParams,
    block: Block,
    txids: Sequence[bytes],
    height: int,
    unspent: Mapping[Outpoint, Utxo],
    *,
    scripts: bool = True,
) -> str | None:
    """A whole block against the coins that are there before it."""
    made: dict[Outpoint, Utxo] = {}
    gone: set[Outpoint] = set()

    def look_up(outpoint: Outpoint) -> Utxo | None:
        if outpoint in gone:
            return None
        return made.get(outpoint) or unspent.get(outpoint)

    fees = 0
    for tx, txid in zip(block.transactions, txids, strict=True):
        if not tx.is_coinbase:
            reason, fee = check_spends(tx, look_up, height, params.coin.maturity, scripts=scripts)
            if reason:
                return reason
            fees += fee
            gone.update(txin.outpoint for txin in tx.inputs)
        for i, txout in enumerate(tx.outputs):
            utxo = Utxo(txout.value, txout.script, height, tx.is_coinbase)
            made[Outpoint(txid, i)] = utxo
    reward = sum(txout.value for txout in block.transactions[0].outputs)
    return "bad-cb-amount" if reward > params.subsidy(height) + fees else None
