"""Nodes behind fronts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.pool import Equivocation
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.settings import NodesSettings
from millpond.clock import ManualClock
from tests.chains.evm.front import Front
from tests.support.evm_nodes import CHAIN_ID, Anvil, anvil


class Town:
    """Three fronts, `a` `b` `c`, before one chain, and what Millpond makes of them."""

    def __init__(self, node: Anvil, fronts: list[Front], clock: ManualClock) -> None:
        self.node = node
        self.fronts = fronts
        self.a, self.b, self.c = fronts
        self.clock = clock
        self.told: list[Equivocation] = []
        self.open: list[Nodes] = []

    def nodes(self, *, quorum: int = 2, count: int = 3, **settings) -> Nodes:
        endpoints = [
            RpcEndpoint(front.url, name=name, timeout_s=5)
            for name, front in zip("abc", self.fronts[:count], strict=False)
        ]

        async def tell(equivocation) -> None:
            self.told.append(equivocation)

        made = Nodes(
            endpoints,
            chain_id=CHAIN_ID,
            clock=self.clock,
            settings=NodesSettings(quorum=quorum, **settings),
            on_equivocation=tell,
        )
        self.open.append(made)
        return made


@pytest.fixture(scope="session")
def running_anvil() -> Iterator[Anvil]:
    """One anvil a session for tests that go back to where they began."""
    with anvil() as node:
        yield node


@pytest.fixture
def chain(running_anvil: Anvil) -> Iterator[Anvil]:
    """An anvil as if freshly started."""
    before = running_anvil.snapshot()
    yield running_anvil
    running_anvil.automine(True)
    running_anvil.revert(before)


@pytest.fixture
async def town(anvil_node: Anvil) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        fronts = [await stack.enter_async_context(Front(anvil_node.url)) for _ in range(3)]
        made = Town(anvil_node, fronts, ManualClock())
        yield made
        for nodes in made.open:
            await nodes.close()


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A front with nothing behind it."""
    async with Front() as made:
        yield made
