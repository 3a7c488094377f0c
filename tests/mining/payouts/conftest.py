"""The daemons that payouts are tested against."""

from collections.abc import AsyncIterator

import pytest

from millpond.chains.bitcoin.wallet import Wallet
from tests.chains.conftest import devchain, litecoind, litecoind_mweb
from tests.chains.daemons import LiveDaemon

__all__ = ["devchain", "litecoind", "litecoind_mweb"]


@pytest.fixture(params=["devchain", "litecoind", "litecoind_mweb"])
def daemon(request: pytest.FixtureRequest) -> LiveDaemon:
    """Each daemon in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, LiveDaemon)
    return found


@pytest.fixture
async def pool_wallet_of(daemon: LiveDaemon) -> AsyncIterator[Wallet]:
    """The wallet that the daemon's blocks are mined to."""
    endpoint = daemon.endpoint(wallet="miner")
    wallet = Wallet(endpoint, daemon.coin)
    await wallet.open()
    yield wallet
    await wallet.close()
    await endpoint.close()
