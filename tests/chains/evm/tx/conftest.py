"""One anvil a session, gone back after each test, and a scene on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.tx import NodesAccess
from millpond.clock import ManualClock
from millpond.store import Store
from tests.chains.evm.tx.scene import Scene
from tests.support.evm_nodes import Anvil, Node


@pytest.fixture(scope="session")
def running_anvil() -> Iterator[Anvil]:
    with Anvil(manual=True) as node:
        yield node


@pytest.fixture
def node(running_anvil: Anvil) -> Iterator[Anvil]:
    before = running_anvil.snapshot()
    running_anvil.mine(3)
    yield running_anvil
    running_anvil.revert(before)


@pytest.fixture
async def access(node: Node) -> AsyncIterator[NodesAccess]:
    nodes = Nodes([RpcEndpoint(node.url)], chain_id=node.chain_id, clock=ManualClock())
    yield NodesAccess(nodes)
    await nodes.close()


@pytest.fixture
async def scene(store: Store, access: NodesAccess, node: Node) -> Scene:
    scene = Scene(store, access, node)
    await scene.fund()
    return scene
