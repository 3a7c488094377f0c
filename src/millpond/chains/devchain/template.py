"""Block templates of a devchain (BIP 22, 23 and 145)."""

from __future__ import annotations

from typing import Any

from millpond.chains.bitcoin.hashes import display
from millpond.chains.bitcoin.wire import Transaction, target_of_bits
from millpond.chains.devchain.chain import Devchain
from millpond.chains.devchain.checks import (
    COMMITMENT_MARK,
    MAX_BLOCK_WEIGHT,
    next_bits,
    witness_commitment,
)
from millpond.chains.devchain.mempool import Entry

_RESERVED_WEIGHT = 8_000
_VERSION = 0x20000000


def longpoll_id(chain: Devchain) -> str:
    """Names the state that a template was made from."""
    return f"{chain.tip.hash}{chain.mempool.changes}"


def chosen_entries(chain: Devchain) -> list[Entry]:
    """Waiting transactions that fit a block, parents first, in the order they came."""
    chosen: list[Entry] = []
    taken: set[bytes] = set()
    weight = _RESERVED_WEIGHT
    for entry in chain.mempool.entries.values():
        parents = {txin.outpoint.txid_le for txin in entry.tx.inputs}
        if any(p in chain.mempool.entries and p not in taken for p in parents):
            continue
        if weight + entry.tx.weight > MAX_BLOCK_WEIGHT:
            continue
        weight += entry.tx.weight
        chosen.append(entry)
        taken.add(entry.txid_le)
    return chosen


def commitment_script(transactions: list[Transaction]) -> bytes:
    """The coinbase output that commits to the witnesses of `transactions`."""
    return COMMITMENT_MARK + witness_commitment([tx.wtxid_le for tx in transactions])


def block_template(chain: Devchain) -> dict[str, Any]:
    """What `getblocktemplate` answers."""
    tip = chain.tip
    entries = chosen_entries(chain)
    positions = {entry.txid_le: i + 1 for i, entry in enumerate(entries)}
    bits = next_bits(chain.params, tip)
    height = tip.height + 1
    return {
        "capabilities": ["proposal"],
        "version": _VERSION,
        "rules": ["csv", "!segwit"],
        "vbavailable": {},
        "vbrequired": 0,
        "previousblockhash": tip.hash,
        "transactions": [_entry(entry, positions) for entry in entries],
        "coinbaseaux": {},
        "coinbasevalue": chain.params.subsidy(height) + sum(entry.fee for entry in entries),
        "longpollid": longpoll_id(chain),
        "target": f"{target_of_bits(bits):064x}",
        "mintime": tip.median_time + 1,
        "mutable": ["time", "transactions", "prevblock"],
        "noncerange": "00000000ffffffff",
        "sigoplimit": 80_000,
        "sizelimit": MAX_BLOCK_WEIGHT,
        "weightlimit": MAX_BLOCK_WEIGHT,
        "curtime": max(chain.now_s(), tip.median_time + 1),
        "bits": f"{bits:08x}",
        "height": height,
        "default_witness_commitment": commitment_script([e.tx for e in entries]).hex(),
    }


def _entry(entry: Entry, positions: dict[bytes, int]) -> dict[str, Any]:
    tx = entry.tx
    parents = {txin.outpoint.txid_le for txin in tx.inputs}
    return {
        "data": tx.serialise().hex(),
        "txid": display(entry.txid_le),
        "hash": display(tx.wtxid_le),
        "depends": sorted(positions[parent] for parent in parents if parent in positions),
        "fee": entry.fee,
        "sigops": len(tx.inputs),
        "weight": tx.weight,
    }
