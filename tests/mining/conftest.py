"""What the tests of the mining rooms share."""

import pytest

from millpond.clock import ManualClock
from millpond.store import Store
from tests.mining.share_log import HandLog


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def hand_log(store: Store) -> HandLog:
    return await HandLog.make(store)
