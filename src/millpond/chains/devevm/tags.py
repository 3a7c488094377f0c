"""Which block is meant: number, tag, hash, or the object of EIP-1898."""

from __future__ import annotations

from typing import Any

from millpond.chains.devevm.chain import Devevm
from millpond.chains.devevm.errors import invalid, refused
from millpond.chains.devevm.machine import read_header
from millpond.chains.devevm.methods import read_hash, read_quantity
from millpond.chains.devevm.storage import StoredBlock

_SAFE_BEHIND = 32
_FINALIZED_BEHIND = 64
_MAX_NUMBER = (1 << 63) - 1


def block_number(chain: Devevm, tag: Any) -> int:
    """Number that a tag stands for; it may be beyond the head.

    What waits is in no block here, so `pending` is the head.

    Raises:
        DevevmRpcError: No tag (-32602).
    """
    height = chain.height
    named = {
        "latest": height,
        "pending": height,
        "earliest": 0,
        "safe": max(0, height - _SAFE_BEHIND),
        "finalized": max(0, height - _FINALIZED_BEHIND),
    }
    if isinstance(tag, str) and tag in named:
        return named[tag]
    return min(read_quantity(tag, "argument: block number"), _MAX_NUMBER)


def find_block(chain: Devevm, tag: Any) -> StoredBlock | None:
    """The block that is meant; None: the chain has none such.

    Raises:
        DevevmRpcError: No tag (-32602).
    """
    if isinstance(tag, dict):
        if "blockHash" in tag:
            return chain.storage.block(read_hash(tag["blockHash"]))
        if "blockNumber" not in tag:
            raise invalid("invalid argument: block number or hash is missing")
        tag = tag["blockNumber"]
    if isinstance(tag, str) and len(tag) == 66:
        return chain.storage.block(read_hash(tag))
    return chain.storage.block(block_number(chain, tag))


def header_at(chain: Devevm, tag: Any) -> Any:
    """Header of the block whose state is meant.

    Raises:
        DevevmRpcError: There is no such block (-32000).
    """
    block = find_block(chain, tag)
    if block is None:
        raise refused("header not found")
    return chain.head if block.number == chain.height else read_header(block.header)
