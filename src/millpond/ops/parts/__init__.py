"""What each part of the pool does, put together from the rooms.

A part is an async function of a `PartContext` (`millpond.ops.part`).
"""

from __future__ import annotations

import importlib

from millpond.ops.part import Body

PARTS = ("devchain", "devevm", "edge", "worker", "chains", "api", "miner")


def body_of(name: str) -> Body:
    """The body of the part `name`; only what it needs is imported."""
    assert name in PARTS, f"{name} is no part"
    body: Body = importlib.import_module(f"millpond.ops.parts.{name}").run
    return body
