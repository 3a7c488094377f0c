"""Paying the queue of a vault (`Vault.process_queue`), when there is something to pay with.

The queue and its order are the contract's; the ledger follows by the events
`RedeemPaid` and `RedeemClaimable`. Doing it twice is harmless: the second
finds what the first has left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from millpond.alerts import Alerts, Severity
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.errors import RpcError
from millpond.chains.evm.tx import Call, Receipt, lane_of
from millpond.clock import Ids
from millpond.intents import Intent, Intents, IntentState
from millpond.intents.model import FINAL
from millpond.risk import Function, RiskEngine
from millpond.staking import checkpoints
from millpond.staking.paying import NOBODY, HotWallet, Paying
from millpond.staking.pools import PoolKind, StakingPool, list_pools
from millpond.staking.settings import StakingSettings
from millpond.store import Store, Tx

KIND = "staking-queue"
"""Kind of the intents."""

MOST = 200
"""Most requests of one call, as in the contract."""

REFUSED_ALERT = "staking_queue_refused"
ILLIQUID_ALERT = "staking_queue_illiquid"
ILLIQUID = "the vault has not enough at hand for the next request in the queue"

_OPEN = frozenset(IntentState) - FINAL


class QueuePayload(msgspec.Struct, frozen=True):
    """What the intent says: which vault's queue, and how many requests at most."""

    pool_id: str
    contract: str
    most: int

    def call(self) -> Call:
        """The contract's call."""
        data = Contract.named("Vault", self.contract).encode("process_queue", self.most)
        return Call(to=self.contract, data=data)


class QueueEffect:
    """The transaction that pays a vault's queue (`EvmEffect`); the events book what it did."""

    @property
    def kind(self) -> str:
        """`staking-queue`."""
        return KIND

    async def call(self, intent: Intent) -> Call:
        """`process_queue`."""
        return msgspec.convert(intent.payload, QueuePayload).call()

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Nothing follows it: the queue is on chain."""

    async def settle(self, tx: Tx, intent: Intent, receipt: Receipt) -> None:
        """Nothing: the indexer books what was paid, and the next run sees what was not."""

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        """Nothing was reserved."""


class VaultChain(Protocol):
    """What is asked of a chain (`millpond.chains.evm.nodes.Nodes`)."""

    async def call(
        self,
        to: str,
        calldata: bytes,
        block: int | str = "latest",
        *,
        sender: str | None = None,
        value: int = 0,
        agreed: bool = False,
    ) -> bytes:
        """What a contract answers."""


class QueueRun:
    """Has the queues of vaults paid; any number may run at once.

    Args:
        store: The database.
        intents: Where a payment becomes an intent.
        risk: Asked whether exits are held.
        chains: Nodes by chain id.
        wallets: The hot wallet of each chain.
        alerts: Told about shortages and what is refused.
        ids: Makes keys of intents.
        settings: Gas that a payee is reckoned with.
    """

    def __init__(
        self,
        store: Store,
        intents: Intents,
        risk: RiskEngine,
        chains: Mapping[int, VaultChain],
        wallets: Mapping[int, HotWallet],
        *,
        alerts: Alerts,
        ids: Ids,
        settings: StakingSettings | None = None,
    ) -> None:
        self._store = store
        self._intents = intents
        self._chains = chains
        self._wallets = wallets
        self._alerts = alerts
        self._ids = ids
        self._paying = Paying(
            store,
            risk,
            wallets,
            alerts,
            settings or StakingSettings(),
            function=Function.WITHDRAW,
            what="the queue",
            refused_alert=REFUSED_ALERT,
        )

    async def run_once(self) -> dict[str, str]:
        """Look at every vault once; by pool, why its queue waits (empty: it does not)."""
        async with self._store.read() as tx:
            pools = [pool for pool in await list_pools(tx) if pool.kind is PoolKind.VAULT]
        return {pool.pool_id: await self.run_pool(pool) for pool in pools}

    async def run_pool(self, pool: StakingPool) -> str:
        """Write one intent if the head of the queue can be paid."""
        if pool.chain_id not in self._chains:
            return "this process has no node of the pool's chain"
        try:
            waiting, payable = await self._payable(pool)
        except RpcError as error:
            return f"{NOBODY}: {error.message}"
        await self._show(pool, illiquid=bool(waiting) and not payable)
        if not payable:
            return ILLIQUID if waiting else ""
        payload = QueuePayload(pool.pool_id, pool.contract, min(waiting, MOST))

        async def trial() -> Call:
            return payload.call()

        waits = await self._paying.held_because(pool, payload.most, trial)
        return waits or await self._write(pool, payload)

    async def _payable(self, pool: StakingPool) -> tuple[int, bool]:
        """How many wait, and whether the first of them can be paid now."""
        head, tail = await self._ask(pool, "queue_head"), await self._ask(pool, "queue_tail")
        if head == tail:
            return 0, False
        _, _, assets, _, _ = await self._ask(pool, "requests", head)
        # What `process_queue` may pay: what is here of shares and queue, less what is deployed.
        claims = await self._ask(pool, "totalAssets") + await self._ask(pool, "queued_assets")
        liquid = claims - min(claims, await self._ask(pool, "deployed_assets"))
        return tail - head, assets <= liquid

    async def _ask(self, pool: StakingPool, function: str, *arguments: Any) -> Any:
        vault = Contract.named("Vault", pool.contract)
        data = vault.encode(function, *arguments)
        answer = await self._chains[pool.chain_id].call(pool.contract, data)
        return vault.decode_output(function, answer)

    async def _write(self, pool: StakingPool, payload: QueuePayload) -> str:
        """The intent, unless one of this vault is under way."""
        wallet = self._wallets[pool.chain_id]
        async with self._store.begin() as tx:
            # Its lock lets one process at a time look and write.
            await checkpoints.load(tx, [pool.pool_id], lock=True)
            open_now = await self._intents.listed(tx, kind=KIND, states=_OPEN, limit=1_000)
            if any(intent.payload["pool_id"] == pool.pool_id for intent in open_now):
                return ""
            await self._intents.create(
                tx,
                KIND,
                self._ids.new(),
                msgspec.to_builtins(payload),
                lane=lane_of(pool.chain_id, wallet.address),
            )
        return ""

    async def _show(self, pool: StakingPool, *, illiquid: bool) -> None:
        async with self._store.begin() as tx:
            if illiquid:
                await self._alerts.raise_(
                    tx, ILLIQUID_ALERT, pool.pool_id, Severity.WARNING, ILLIQUID
                )
            else:
                await self._alerts.clear(tx, ILLIQUID_ALERT, pool.pool_id)
