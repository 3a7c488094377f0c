"""What the tests of the API share."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from millpond.api.settings import ApiSettings
from millpond.store import Store
from tests.api.real_pool import RealPool
from tests.api.staked import Platform

UNHURRIED = ApiSettings(port=0, requests_per_minute=100_000)


@pytest.fixture
async def pool(store: Store) -> RealPool:
    """A pool with a history, on each database."""
    return await (await RealPool.make(store)).with_history()


@pytest.fixture
async def either(store: Store) -> Platform:
    """Staking pools with a history, on each database."""
    return await (await Platform.make(store, UNHURRIED)).with_history()


@pytest.fixture
async def platform(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Platform]:
    """The same, for what is not about the database."""
    shutil.copy(sqlite_template, tmp_path / "one.db")
    store = await Store.open(f"sqlite:///{tmp_path}/one.db")
    yield await (await Platform.make(store, UNHURRIED)).with_history()
    await store.close()


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """Of somebody on this machine, at `platform`."""
    async with platform.client() as opened:
        yield opened
