"""Finding a block by hashing, for `generatetoaddress` and for side branches."""

from __future__ import annotations

import asyncio
import struct

from millpond.chains.bitcoin.hashes import merkle_root
from millpond.chains.bitcoin.wire import (
    NULL_OUTPOINT,
    Block,
    Header,
    Transaction,
    TxIn,
    TxOut,
    push_height,
    target_of_bits,
)
from millpond.chains.devchain.chain import Devchain
from millpond.chains.devchain.checks import next_bits
from millpond.chains.devchain.index import Node
from millpond.chains.devchain.template import chosen_entries, commitment_script

_VERSION = 0x20000000
_BATCH = {"sha256d": 4_096, "scrypt": 16}


async def mine_block(
    chain: Devchain,
    script: bytes,
    *,
    parent: Node | None = None,
    transactions: list[Transaction] | None = None,
    extra: int = 0,
    max_tries: int = 1_000_000,
) -> Block | None:
    """Find a block that pays subsidy and fees to `script`.

    Args:
        chain: Where it goes.
        script: Whom it pays.
        parent: Block to build on; the tip by default.
        transactions: What goes in; by default what waits (on another parent than the tip: none).
        extra: Makes siblings with the same contents differ.
        max_tries: Hashes to try before giving up.

    Returns:
        The block, or None when none was found in `max_tries`.
    """
    above = parent or chain.tip
    fees = 0
    chosen = transactions or []
    if transactions is None and above is chain.tip:
        entries = chosen_entries(chain)
        chosen, fees = [entry.tx for entry in entries], sum(entry.fee for entry in entries)
    coinbase = _coinbase(chain, script, above.height + 1, fees, chosen, extra=extra)
    root = merkle_root([coinbase.txid_le, *(tx.txid_le for tx in chosen)])
    header = Header(
        _VERSION,
        above.hash_le,
        root,
        max(chain.now_s(), above.median_time + 1),
        next_bits(chain.params, above),
        0,
    )
    nonce = await _search(chain, header, max_tries)
    if nonce is None:
        return None
    found = Header(
        header.version,
        header.prev_hash_le,
        header.merkle_root_le,
        header.time,
        header.bits,
        nonce,
    )
    return Block(found, (coinbase, *chosen))


async def _search(chain: Devchain, header: Header, max_tries: int) -> int | None:
    target = target_of_bits(header.bits)
    head = header.serialise()[:76]
    batch = _BATCH[chain.params.coin.proof_of_work]
    for start in range(0, max_tries, batch):
        for nonce in range(start, min(start + batch, max_tries)):
            if chain.params.pow_hash(head + struct.pack("<I", nonce)) <= target:
                return nonce
        await asyncio.sleep(0)
    return None


def _coinbase(
    chain: Devchain,
    script: bytes,
    height: int,
    fees: int,
    transactions: list[Transaction],
    *,
    extra: int,
) -> Transaction:
    signature = push_height(height) + b"\x08" + extra.to_bytes(8, "little")
    return Transaction(
        2,
        (TxIn(NULL_OUTPOINT, signature, 0xFFFFFFFF, (bytes(32),)),),
        (
            TxOut(chain.params.subsidy(height) + fees, script),
            TxOut(0, commitment_script(transactions)),
        ),
    )
