"""Compiled contracts for tests: the shipped artifacts, and what only tests need.

`MILLPOND_TEST_ARTIFACTS` names a directory that is looked into first, so that a run can try
the tests on changed contracts.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

from tools.contracts import ARTIFACTS, TEST_SOURCES, compile_source


@functools.lru_cache(maxsize=64)
def artifact(name: str) -> dict[str, Any]:
    """The artifact of a contract by name: shipped, or compiled from `contracts/test`."""
    for directory in (os.environ.get("MILLPOND_TEST_ARTIFACTS"), ARTIFACTS):
        if directory and (file := Path(directory) / f"{name}.json").exists():
            found: dict[str, Any] = json.loads(file.read_text())
            return found
    return compile_source(TEST_SOURCES / f"{name}.vy")
