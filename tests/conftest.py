"""Real databases for every test: a fresh SQLite file, a fresh PostgreSQL database."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from millpond.store import Store
from millpond.store.migrate import migrate
from tests.support.evm_nodes import (
    anvil_node,
    devevm_node,
    evm_node,
    hardhat_node,
    running_devevm,
    running_hardhat,
)
from tests.support.postgres import PostgresServer, apart, running_postgres

__all__ = [
    "anvil_node",
    "devevm_node",
    "evm_node",
    "hardhat_node",
    "running_devevm",
    "running_hardhat",
]


_ORDINARY_DEPTH = 1_000


@pytest.fixture(autouse=True)
def ordinary_recursion_limit(request: pytest.FixtureRequest) -> Iterator[None]:
    """The limit that the product runs under, whatever a library of other tests has made of it.

    The embedded virtual machine raises it at import, for calls within calls; under a
    raised limit deeply nested JSON overflows the stack instead of being refused. Only
    tests that run contracts in this process need the raised one.
    """
    kept = sys.getrecursionlimit()
    if "contracts" not in request.path.parts:
        sys.setrecursionlimit(min(kept, _ORDINARY_DEPTH))
    yield
    sys.setrecursionlimit(kept)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server a session."""
    with running_postgres(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    apart(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a fresh, migrated database, once on each of the two."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "store.db")
        yield f"sqlite:///{tmp_path}/store.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = apart(server.create())
    yield url
    apart(server.drop(url))


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """A fresh, migrated store, once on each database."""
    opened = await Store.open(store_url)
    yield opened
    await opened.close()
