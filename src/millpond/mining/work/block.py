"""The bytes of a block that a share solved."""

from __future__ import annotations

from millpond.chains.bitcoin.wire import compact
from millpond.mining.work.job import Job
from millpond.mining.work.pow import sha256d

_MARKER_AND_FLAG = b"\x00\x01"
_WITNESS = b"\x01\x20" + bytes(32)
"""One witness item of 32 zero bytes: the reserved value (BIP 141).

It belongs to `default_witness_commitment`, which daemons compute with it.
"""
_EXTENSION_BLOCK_PRESENT = b"\x01"


def block_hash(header: bytes) -> str:
    """Name of the block as daemons print it: sha256d, whatever the proof of work."""
    return sha256d(header)[::-1].hex()


def with_witness(coinbase: bytes) -> bytes:
    """Add marker, flag and the reserved value to a coinbase of one input (BIP 144)."""
    assert len(coinbase) > 60, "a coinbase has an input and an output"
    return coinbase[:4] + _MARKER_AND_FLAG + coinbase[4:-4] + _WITNESS + coinbase[-4:]


def assemble_block(job: Job, coinbase: bytes, header: bytes) -> bytes:
    """Serialise a block: header, transactions and, where there is one, extension block.

    Args:
        job: What was solved.
        coinbase: `job.coinbase(extranonce1, extranonce2)` of the share.
        header: The 80 bytes of the share's header.
    """
    assert len(header) == 80, "a header is 80 bytes"
    template = job.template
    first = with_witness(coinbase) if template.witness_commitment is not None else coinbase
    parts = [header, compact(len(template.transactions) + 1), first]
    parts.extend([transaction.data for transaction in template.transactions])
    if template.extension_block is not None:
        parts += [_EXTENSION_BLOCK_PRESENT, template.extension_block]
    return b"".join(parts)
