from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from millpond.store import Store
from tests.chains.evm.tx.rpc_access import RpcAccess
from tests.chains.evm.tx.scene import Scene
from tests.support.evm_nodes import Anvil


@pytest.fixture(scope="session")
def running_anvil() -> Iterator[Anvil]:
    with Anvil(manual=True) as node:
        yield node


@pytest.fixture
async def scene(store: Store, running_anvil: Anvil) -> AsyncIterator[Scene]:
    before = running_anvil.snapshot()
    async with aiohttp.ClientSession() as session:
        scene = Scene(store, RpcAccess(running_anvil.url, session), running_anvil)
        await scene.fund()
        yield scene
    running_anvil.revert(before)
