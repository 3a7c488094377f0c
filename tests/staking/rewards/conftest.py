"""A store for tests that are about what comes out of it, not about the database."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from millpond.store import Store


@pytest.fixture
async def sqlite_store(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Store]:
    """A fresh, migrated SQLite store."""
    shutil.copy(sqlite_template, tmp_path / "one.db")
    opened = await Store.open(f"sqlite:///{tmp_path}/one.db")
    yield opened
    await opened.close()
