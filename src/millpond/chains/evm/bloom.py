"""The logs bloom of a block header (yellow paper, 4.4.3): what is certainly not in a block."""

from __future__ import annotations

from functools import lru_cache

from millpond.chains.evm.address import to_bytes
from millpond.chains.evm.keccak import keccak
from millpond.chains.evm.logs import LogFilter

BLOOM_BITS = 2048


@lru_cache(maxsize=4096)
def mask(item: bytes) -> int:
    """The three bits of an address (20 bytes) or topic (32 bytes), as a number."""
    hashed = keccak(item)
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(hashed[at : at + 2], "big") % BLOOM_BITS)
    return bits


def may_contain(logs_bloom: bytes, wanted: LogFilter) -> bool:
    """Whether a block may hold a wanted log; False is certain, True is not."""
    bloom = int.from_bytes(logs_bloom, "big")
    addresses = [mask(to_bytes(address)) for address in wanted.addresses]
    if addresses and not any(bits & bloom == bits for bits in addresses):
        return False
    for part in wanted.topics:
        if part is not None:
            topics = [mask(bytes.fromhex(topic[2:])) for topic in part]
            if not any(bits & bloom == bits for bits in topics):
                return False
    return True
