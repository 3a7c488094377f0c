"""Daemons that a module's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chains.daemons import (
    BIP34_HEIGHT,
    MWEB_HEIGHT,
    DevchainDaemon,
    LitecoinDaemon,
    LiveDaemon,
)


@pytest.fixture(scope="session")
def litecoind() -> Iterator[LitecoinDaemon]:
    """litecoind in regtest before its extension block, with mature coins."""
    with LitecoinDaemon() as daemon:
        daemon.fund()
        yield daemon


@pytest.fixture(scope="session")
def litecoind_mweb() -> Iterator[LitecoinDaemon]:
    """litecoind in regtest with its extension block active."""
    with LitecoinDaemon() as daemon:
        daemon.mine_to(MWEB_HEIGHT + 8)
        yield daemon


@pytest.fixture(scope="session")
def litecoind_bip34(litecoind_mweb: LitecoinDaemon) -> LitecoinDaemon:
    """litecoind with its extension block, and at the height where BIP 34 holds."""
    litecoind_mweb.mine_to(BIP34_HEIGHT)
    return litecoind_mweb


@pytest.fixture(scope="session")
def devchain() -> Iterator[DevchainDaemon]:
    """The embedded chain (sha256d) with mature coins."""
    with DevchainDaemon() as daemon:
        daemon.fund()
        yield daemon


@pytest.fixture(scope="session")
def devchain_scrypt() -> Iterator[DevchainDaemon]:
    """The embedded chain with scrypt."""
    with DevchainDaemon("devcoin-scrypt") as daemon:
        daemon.fund()
        yield daemon


@pytest.fixture(params=["devchain", "devchain_scrypt", "litecoind", "litecoind_mweb"])
def daemon(request: pytest.FixtureRequest) -> LiveDaemon:
    """Each daemon in turn: what is true of one is true of all."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, LiveDaemon)
    return found
