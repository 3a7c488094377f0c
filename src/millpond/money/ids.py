"""Identities of transfers that follow from what the transfers are for."""

from __future__ import annotations

import hashlib


def derived_id(kind: str, *parts: str | int) -> str:
    """A transfer id made of its cause.

    The same cause always derives the same id, so that booking twice is
    answered with the first booking. 32 bytes of SHA-256 as hexadecimal.
    """
    text = "\x1f".join((kind, *map(str, parts)))
    return hashlib.sha256(text.encode()).hexdigest()
