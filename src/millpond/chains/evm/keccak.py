"""Keccak-256: our own in C where it was built, else the library's."""

from __future__ import annotations

import importlib
from collections.abc import Callable


def library_keccak(value: bytes) -> bytes:
    """The same by eth-hash, which is imported when first needed: it takes a while to load."""
    from eth_hash.auto import keccak as backend  # noqa: PLC0415 - see above

    hashed: bytes = backend(value)
    return hashed


def _chosen() -> Callable[[bytes], bytes]:
    try:
        built = importlib.import_module("millpond.chains.evm._keccak")
    except ImportError:
        return library_keccak
    made: Callable[[bytes], bytes] = built.keccak256
    return made


keccak: Callable[[bytes], bytes] = _chosen()
"""The 32-byte Keccak-256 hash of the yellow paper (not SHA3-256)."""
