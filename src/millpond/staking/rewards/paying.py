"""Paying claims: what waits goes into batches, each one transaction of `BatchPayout`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from millpond.alerts import Alerts
from millpond.chains.evm.tx import Call, lane_of
from millpond.clock import Ids
from millpond.intents import Intents
from millpond.risk import Function
from millpond.staking.accounts import derived_id
from millpond.staking.batches import BatchEffect, BatchKind, BatchPayload, payees_of
from millpond.staking.paying import REFUSED, HotWallet, Paying
from millpond.staking.pools import PoolKind, StakingPool, list_pools
from millpond.staking.rewards import claims as claim_rows
from millpond.staking.rewards.claims import Claim, Claims, ClaimState
from millpond.staking.settings import StakingSettings
from millpond.store import Store

BATCH = BatchKind(
    intent="staking-claims",
    what="claims",
    artifact="BatchPayout",
    function="pay",
    refused_alert="staking_claims_refused",
)


class ClaimEffect(BatchEffect[Claim]):
    """Makes the call of a batch of claims and follows its end.

    Args:
        claims: The claims.
        alerts: Told when a batch came to nothing.
    """

    def __init__(self, claims: Claims, alerts: Alerts) -> None:
        super().__init__(BATCH, claims, alerts)


class ClaimRun:
    """Puts pending claims into batches; any number may run at once.

    Args:
        store: The database.
        intents: Where a batch becomes an intent.
        claims: The claims.
        wallets: The hot wallet of each chain; pools of other chains wait.
        alerts: Told about shortages and what is refused.
        ids: Makes the batches' identifiers.
        settings: Payees of a batch, gas and so on.
    """

    def __init__(
        self,
        store: Store,
        intents: Intents,
        claims: Claims,
        wallets: Mapping[int, HotWallet],
        *,
        alerts: Alerts,
        ids: Ids,
        settings: StakingSettings | None = None,
    ) -> None:
        self._store = store
        self._intents = intents
        self._claims = claims
        self._wallets = wallets
        self._ids = ids
        self._settings = settings or StakingSettings()
        self._paying = Paying(
            store,
            claims.risk,
            wallets,
            alerts,
            self._settings,
            function=Function.CLAIM,
            what=BATCH.what,
            refused_alert=BATCH.refused_alert,
        )

    async def run_once(self) -> dict[str, str]:
        """Look at every direct pool once; answers why claims of a pool wait, empty if none."""
        async with self._store.read() as tx:
            pools = await list_pools(tx)
        due = [p for p in pools if p.kind is PoolKind.DIRECT and p.rewards_contract is not None]
        return {pool.pool_id: await self.run_pool(pool) for pool in due}

    async def run_pool(self, pool: StakingPool) -> str:
        """Write batches for one pool, up to a bounded number; why the rest waits."""
        for _ in range(self._settings.max_batches):
            size = await self._waiting(pool)
            if not size:
                break
            size, waits = await self._payable(pool, size)
            if waits:
                return waits
            await self._write_batch(pool, size)
        return ""

    async def _payable(self, pool: StakingPool, size: int) -> tuple[int, str]:
        """How many of the oldest claims the contract would pay in one batch, or why none.

        `BatchPayout` refuses a batch that it has not the funds for, so a claim too
        many would let all the others wait with it.
        """
        while waits := await self._held_because(pool, size):
            if size == 1 or not waits.startswith(REFUSED):
                return 0, waits
            size //= 2
        return size, ""

    async def _waiting(self, pool: StakingPool) -> int:
        limit = self._settings.max_payees
        async with self._store.read() as tx:
            return len(await claim_rows.pending(tx, pool.pool_id, limit=limit, lock=False))

    async def _held_because(self, pool: StakingPool, payees: int) -> str:
        return await self._paying.held_because(pool, payees, lambda: self._trial(pool, payees))

    async def _trial(self, pool: StakingPool, payees: int) -> Call | None:
        async with self._store.read() as tx:
            oldest = await claim_rows.pending(tx, pool.pool_id, limit=payees, lock=False)
        return BATCH.call(_payload(pool, "trial", oldest)) if oldest else None

    async def _write_batch(self, pool: StakingPool, size: int) -> None:
        """One batch: intent and payees in one transaction."""
        wallet = self._wallets[pool.chain_id]
        async with self._store.begin() as tx:
            chosen = await claim_rows.pending(tx, pool.pool_id, limit=size)
            if not chosen:
                return
            payload = _payload(pool, self._ids.new(), chosen)
            await self._intents.create(
                tx,
                BATCH.intent,
                payload.chain_key,
                msgspec.to_builtins(payload),
                lane=lane_of(pool.chain_id, wallet.address),
            )
            await self._claims.change(
                tx,
                chosen,
                state=ClaimState.PROCESSING,
                chain_key=payload.chain_key,
                reason="",
            )


def _payload(pool: StakingPool, name: str, chosen: list[Claim]) -> BatchPayload:
    assert pool.rewards_contract is not None, "only pools with rewards have claims"
    return BatchPayload(
        pool_id=pool.pool_id,
        contract=pool.rewards_contract,
        chain_key="0x" + derived_id("claims", pool.pool_id, name),
        payees=payees_of(chosen),
    )
