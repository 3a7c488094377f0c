"""What the tests of the API share."""

import pytest

from millpond.store import Store
from tests.api.real_pool import RealPool


@pytest.fixture
async def pool(store: Store) -> RealPool:
    """A pool with a history, on each database."""
    return await (await RealPool.make(store)).with_history()
