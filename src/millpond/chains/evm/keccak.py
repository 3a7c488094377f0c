"""Keccak-256, imported when first needed: the backend takes a while to load."""

from __future__ import annotations


def keccak(value: bytes) -> bytes:
    """The 32-byte Keccak-256 hash of the yellow paper (not SHA3-256)."""
    from eth_hash.auto import keccak as backend  # noqa: PLC0415 - see the module

    hashed: bytes = backend(value)
    return hashed
