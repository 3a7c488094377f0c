"""Databases and nodes in pairs, a proxy between, and a scene on them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.settings import NodesSettings
from millpond.chains.evm.tx import NodesAccess
from millpond.clock import ManualClock
from millpond.store import Store
from tests.chains.evm.tx.proxy import Proxy
from tests.chains.evm.tx.scene import Scene
from tests.support.evm_nodes import Anvil, Node
from tests.support.postgres import PostgresServer, apart


@pytest.fixture(scope="session")
def running_anvil() -> Iterator[Anvil]:
    with Anvil(manual=True) as node:
        yield node


GROUNDS = ("sqlite-anvil", "postgresql-hardhat")
EMBEDDED = "sqlite-devevm"


@pytest.fixture(params=GROUNDS)
def ground(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A database and a node."""
    database, _, node = request.param.partition("-")
    return database, node


@pytest.fixture
def store_url(
    ground: tuple[str, str], request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    if ground[0] == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "store.db")
        yield f"sqlite:///{tmp_path}/store.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = apart(server.create())
    yield url
    apart(server.drop(url))


@pytest.fixture
def node(ground: tuple[str, str], request: pytest.FixtureRequest) -> Iterator[Node]:
    """The node with four blocks, that mines only when it is told to."""
    if ground[1] != "anvil":
        node: Node = request.getfixturevalue(f"{ground[1]}_node")
        node.automine(False)
        node.mine(4)
        yield node
        return
    node = request.getfixturevalue("running_anvil")
    before = node.snapshot()
    node.mine(4)
    yield node
    node.rpc("anvil_dropAllTransactions")
    node.revert(before)


@pytest.fixture
async def proxy(node: Node) -> AsyncIterator[Proxy]:
    async with Proxy(node.url) as proxy:
        yield proxy


@pytest.fixture
async def nodes(proxy: Proxy, node: Node) -> AsyncIterator[Nodes]:
    # No circuit opens: the clock stands still unless a test moves it.
    settings = NodesSettings(fail_after=1_000_000)
    endpoint = RpcEndpoint(proxy.url)
    nodes = Nodes([endpoint], chain_id=node.chain_id, clock=ManualClock(), settings=settings)
    yield nodes
    await nodes.close()


@pytest.fixture
async def scene(store: Store, nodes: Nodes, proxy: Proxy, node: Node) -> Scene:
    scene = Scene(store, NodesAccess(nodes), node, proxy)
    await scene.fund()
    return scene
