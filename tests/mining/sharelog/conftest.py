"""The share log on each database it can live in."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgresql", "migrated"])
def sharelog_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh log: a file of its own, a database of its own, the pool's PostgreSQL database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shares.db"
        return
    server = request.getfixturevalue("postgres_server")
    migrated = request.param == "migrated"
    with asyncio.Runner() as runner:
        url = runner.run(server.create(migrated=migrated))
        yield url
        runner.run(server.drop(url))
