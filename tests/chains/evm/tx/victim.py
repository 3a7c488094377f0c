"""A worker and a keeper in a process of their own, made to be killed."""

from __future__ import annotations

import asyncio
import contextlib

from millpond.alerts import Alerts
from millpond.chains.evm.keccak import keccak
from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.signers import KeySigner
from millpond.chains.evm.tx import (
    EvmTransactionHandler,
    Keeper,
    NodesAccess,
    Transactions,
    TxSettings,
)
from millpond.clock import Ids
from millpond.errors import UnavailableError
from millpond.intents import Intents, Runner
from millpond.intents.faults import Faults
from millpond.money.ledger import Ledger
from millpond.ops.system import SystemClock, SystemEntropy
from millpond.store import Store
from tests.chains.evm.tx.deaths import Death
from tests.chains.evm.tx.scene import Gifts
from tests.support.evm_nodes import CHAIN_ID

SETTINGS = TxSettings(
    confirmations=3,
    poll_s=0.05,
    patience_s=0.6,
    bump_after_s=0.4,
    lease_s=4,
)


def signer_named(name: str) -> KeySigner:
    """A key of its own for every part of a test."""
    return KeySigner(keccak(f"millpond test {name}".encode()))


def intents_of(store: Store) -> Intents:
    clock, entropy = SystemClock(), SystemEntropy()
    return Intents(store, clock, Ids(clock, entropy), entropy)


def work(
    url: str, node_url: str, name: str, signers: list[str], death: tuple[str | None, float, int]
) -> None:
    """Be a worker until killed."""
    asyncio.run(_work(url, node_url, name, signers, Death(*death)))


def parts(
    store: Store, node_url: str, signers: list[str], faults: Faults | None = None
) -> tuple[Transactions, EvmTransactionHandler]:
    """What a process puts together that signs for `signers`."""
    clock, intents = SystemClock(), intents_of(store)
    nodes = Nodes([RpcEndpoint(node_url)], chain_id=CHAIN_ID, clock=clock)
    transactions = Transactions(
        intents,
        NodesAccess(nodes),
        [signer_named(signer) for signer in signers],
        SETTINGS,
        Alerts(clock, intents.ids),
        faults=faults,
    )
    return transactions, EvmTransactionHandler(transactions, Gifts(Ledger(clock)))


async def _work(url: str, node_url: str, name: str, signers: list[str], death: Death) -> None:
    store = await Store.open(url, pool_size=2)
    transactions, handler = parts(store, node_url, signers, death)
    runner = Runner(transactions.intents, [handler], name, faults=death)
    keeper = Keeper(transactions)
    await asyncio.gather(runner.run(asyncio.Event(), idle_s=0.02), _keep(keeper))


async def _keep(keeper: Keeper) -> None:
    while True:
        with contextlib.suppress(UnavailableError):
            await keeper.run_once()
        await asyncio.sleep(0.1)
