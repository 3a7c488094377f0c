"""The EVM chains that the configuration names, ready for use."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from millpond.alerts import Alerts
from millpond.chains.evm.alerting import SilenceWatch, alert_of_contradictions
from millpond.chains.evm.keystore import KeystoreSigner, keystore_address, read_password
from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.operations import Operation, OperationEffect, Operations, OperationState
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.signers import KeySigner, Signer
from millpond.chains.evm.tx import (
    EvmTransactionHandler,
    Keeper,
    NodesAccess,
    Transactions,
    lanes_of_chain,
)
from millpond.chains.evm.tx.handler import WAITS
from millpond.clock import Clock, Ids
from millpond.errors import InvalidInputError, MillpondError
from millpond.intents import Intents, Runner
from millpond.intents.faults import Faults
from millpond.ops.config import Config
from millpond.ops.config.evm import DEVEVM, EvmChainSettings
from millpond.ops.database import open_database
from millpond.ops.system import SystemClock, SystemEntropy
from millpond.store import Store

_POLL_S = 0.2


class OperationWaitError(MillpondError):
    """An operation is not over in the time that was given to it; it goes on by itself."""

    code = "evm_operation_waits"
    http_status = 409


def chain_named(config: Config, name: str | None) -> EvmChainSettings:
    """The chain of that name; without one, the only one.

    Raises:
        InvalidInputError: There is none, or there are several to choose from.
    """
    chains = config.the_chains
    known = ", ".join(chain.name for chain in chains)
    if name is None and len(chains) == 1:
        return chains[0]
    found = [chain for chain in chains if chain.name == name]
    if found:
        return found[0]
    if not chains:
        raise InvalidInputError("no EVM chain is configured; name one in [[evm]]")
    if name is None:
        raise InvalidInputError(f"which chain? name one of {known} with --chain")
    raise InvalidInputError(f"no chain is named {name}; known are {known}")


def open_signers(chain: EvmChainSettings) -> tuple[Signer, ...]:
    """The keys of a chain; those of the embedded one are known to everybody.

    Raises:
        KeystoreError: A key file cannot be opened.
    """
    if chain.name == DEVEVM and not chain.keys:
        from millpond.chains.devevm.params import DEV_KEYS  # noqa: PLC0415 - py-evm stays out

        return tuple(KeySigner(bytes.fromhex(key)) for key in DEV_KEYS)
    return tuple(
        KeystoreSigner.open(
            Path(key.file).expanduser(),
            password=read_password(key.unlock),
            address=key.address or None,
        )
        for key in chain.keys
    )


def signer_address(chain: EvmChainSettings) -> str | None:
    """The address of a chain's first key, without opening the key; None if nobody can tell."""
    if chain.name == DEVEVM and not chain.keys:
        return open_signers(chain)[0].address
    if not chain.keys:
        return None
    return chain.keys[0].address or keystore_address(Path(chain.keys[0].file).expanduser())


def open_nodes(chain: EvmChainSettings, store: Store, alerts: Alerts, clock: Clock) -> Nodes:
    """The nodes of a chain; close them after use. A contradiction is an alert."""
    return Nodes(
        [RpcEndpoint(url, timeout_s=chain.nodes.timeout_s) for url in chain.urls],
        chain_id=chain.chain_id,
        clock=clock,
        settings=chain.nodes,
        on_equivocation=alert_of_contradictions(store, alerts),
    )


@dataclass(frozen=True, slots=True)
class EvmRoom:
    """One chain with what acts on it; see `open_room`."""

    settings: EvmChainSettings
    nodes: Nodes
    signers: tuple[Signer, ...]
    transactions: Transactions
    keeper: Keeper
    silence: SilenceWatch

    @property
    def chain_id(self) -> int:
        """Which chain."""
        return self.settings.chain_id

    @property
    def first_signer(self) -> str:
        """The address that is used where no other is named.

        Raises:
            InvalidInputError: This machine has no key of the chain.
        """
        if not self.signers:
            raise InvalidInputError(f"this machine has no key for {self.settings.name}")
        return self.signers[0].address


@contextlib.asynccontextmanager
async def open_room(
    chain: EvmChainSettings,
    intents: Intents,
    alerts: Alerts,
    clock: Clock,
    *,
    signers: Sequence[Signer] | None = None,
    faults: Faults | None = None,
) -> AsyncIterator[EvmRoom]:
    """Open a chain; without `signers` with the keys that the configuration names."""
    keys = open_signers(chain) if signers is None else tuple(signers)
    nodes = open_nodes(chain, intents.store, alerts, clock)
    transactions = Transactions(intents, NodesAccess(nodes), keys, chain.tx, alerts, faults=faults)
    try:
        silence = SilenceWatch(nodes, intents.store, alerts, clock)
        yield EvmRoom(chain, nodes, keys, transactions, Keeper(transactions), silence)
    finally:
        await nodes.close()


@dataclass(frozen=True, slots=True)
class EvmDesk:
    """What a command does on chains by hand; see `open_evm_desk`."""

    config: Config
    store: Store
    intents: Intents
    alerts: Alerts
    clock: SystemClock
    room: EvmRoom
    operations: Operations
    say: Callable[[str], None] | None = None

    async def follow(self, key: str, *, timeout_s: float = 600.0) -> Operation:
        """Work on transactions until the operation of a key is over.

        Raises:
            OperationWaitError: It takes too long, or waits for a person.
        """
        handler = EvmTransactionHandler(
            self.room.transactions, OperationEffect(self.clock, self.store)
        )
        name = f"desk-{self.intents.ids.new()}"
        runner = Runner(self.intents, [handler], name, lanes=lanes_of_chain(self.room.chain_id))
        reason = ""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    async with self.store.read() as tx:
                        operation = await self.operations.get(tx, key)
                        intent = await self.intents.get(tx, operation.intent_id)
                    if operation.state is not OperationState.UNDER_WAY:
                        return operation
                    if intent.reason != reason and intent.reason.startswith(WAITS):
                        self._tell(f"waiting  {intent.reason} ({operation.signer})")
                    reason = intent.reason
                    if intent.state == "frozen":
                        raise OperationWaitError(f"{operation.what} waits for a person: {reason}")
                    if not await runner.run_once():
                        await self.clock.sleep(_POLL_S)
        except TimeoutError:
            raise OperationWaitError(f"not over after {timeout_s:.0f} s: {reason}") from None

    def _tell(self, line: str) -> None:
        if self.say is not None:
            self.say(line)


@contextlib.asynccontextmanager
async def open_evm_desk(
    config: Config, chain: str | None = None, *, say: Callable[[str], None] | None = None
) -> AsyncIterator[EvmDesk]:
    """Open the database and one chain; `say` is told why an operation waits.

    Raises:
        InvalidInputError: The database has no tables yet, or the chain is not configured.
    """
    settings = chain_named(config, chain)
    clock, entropy = SystemClock(), SystemEntropy()
    ids = Ids(clock, entropy)
    async with open_database(config, pool_size=2) as store:
        intents = Intents(store, clock, ids, entropy)
        alerts = Alerts(clock, ids)
        async with open_room(settings, intents, alerts, clock) as room:
            yield EvmDesk(config, store, intents, alerts, clock, room, Operations(intents), say=say)


def rooms_by_chain(rooms: Iterable[EvmRoom]) -> dict[int, EvmRoom]:
    """The rooms by chain id."""
    return {room.chain_id: room for room in rooms}
