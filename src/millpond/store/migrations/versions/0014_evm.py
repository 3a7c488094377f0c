"""Signers, nonces, attempts and proposals on EVM chains."""

from __future__ import annotations

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Nothing yet."""
