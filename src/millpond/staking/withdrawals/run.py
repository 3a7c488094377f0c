"""The withdrawal worker: what waits goes into batches, if it can be paid now."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import insert

from millpond.alerts import Alerts, Severity
from millpond.chains.evm.tx import Call, lane_of
from millpond.clock import Clock, Ids
from millpond.intents import Intent, Intents
from millpond.risk import Function, RiskEngine
from millpond.staking import metrics
from millpond.staking.accounts import derived_id
from millpond.staking.batches import BatchPayload, payees_of
from millpond.staking.paying import HotWallet, Paying
from millpond.staking.pools import PoolKind, StakingPool, list_pools
from millpond.staking.settings import StakingSettings
from millpond.staking.withdrawals import rows
from millpond.staking.withdrawals.effect import BATCH
from millpond.staking.withdrawals.model import Withdrawal, WithdrawalState
from millpond.staking.withdrawals.tables import batch_table
from millpond.store import Store, Tx

OLD_ALERT = "staking_withdrawal_old"


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did for one pool.

    Attributes:
        pool_id: The pool.
        batches: Intents that were written.
        payees: Withdrawals in them.
        waits: Why the rest waits; empty if nothing has to.
    """

    pool_id: str
    batches: tuple[Intent, ...] = ()
    payees: int = 0
    waits: str = ""


class WithdrawalRun:
    """Puts pending withdrawals into batches; any number may run at once.

    Args:
        store: The database.
        intents: Where a batch becomes an intent.
        risk: Asked whether exits are held.
        wallets: The hot wallet of each chain; pools of other chains wait.
        alerts: Told about shortages and what is refused.
        clock: Time.
        ids: Makes the batches' identifiers.
        settings: Payees of a batch, gas and so on.
    """

    def __init__(
        self,
        store: Store,
        intents: Intents,
        risk: RiskEngine,
        wallets: Mapping[int, HotWallet],
        *,
        alerts: Alerts,
        clock: Clock,
        ids: Ids,
        settings: StakingSettings | None = None,
    ) -> None:
        self._store = store
        self._intents = intents
        self._wallets = wallets
        self._alerts = alerts
        self._clock = clock
        self._ids = ids
        self._settings = settings or StakingSettings()
        self._paying = Paying(
            store,
            risk,
            wallets,
            alerts,
            self._settings,
            function=Function.WITHDRAW,
            what=BATCH.what,
            refused_alert=BATCH.refused_alert,
        )

    async def run_once(self) -> list[RunResult]:
        """Look at every direct pool once; nothing fails because something is short."""
        async with self._store.read() as tx:
            pools = [pool for pool in await list_pools(tx) if pool.kind is PoolKind.DIRECT]
        return [await self.run_pool(pool) for pool in pools]

    async def run_pool(self, pool: StakingPool) -> RunResult:
        """Write batches for one pool, up to a bounded number."""
        batches: list[Intent] = []
        payees, waits = 0, ""
        for _ in range(self._settings.max_batches):
            async with self._store.read() as tx:
                count = (await rows.counts(tx, pool.pool_id)).get(WithdrawalState.PENDING, 0)
            if not count:
                break
            payees_now = min(count, self._settings.max_payees)
            waits = await self._paying.held_because(pool, payees_now, lambda: self._trial(pool))
            if waits:
                break
            intent, size = await self._write_batch(pool)
            if intent is None:
                break
            batches.append(intent)
            payees += size
        await self._watch_age(pool)
        return RunResult(pool_id=pool.pool_id, batches=tuple(batches), payees=payees, waits=waits)

    async def _trial(self, pool: StakingPool) -> Call | None:
        """A batch of the oldest one, to be tried."""
        async with self._store.read() as tx:
            oldest = await rows.pending(tx, pool.pool_id, limit=1, lock=False)
        return BATCH.call(_payload(pool, "trial", oldest)) if oldest else None

    async def _write_batch(self, pool: StakingPool) -> tuple[Intent | None, int]:
        """One batch: rows, intent and payees in one transaction."""
        wallet = self._wallets[pool.chain_id]
        async with self._store.begin() as tx:
            chosen = await rows.pending(tx, pool.pool_id, limit=self._settings.max_payees)
            if not chosen:
                return None, 0
            batch_id = self._ids.new()
            payload = _payload(pool, batch_id, chosen)
            intent = await self._intents.create(
                tx,
                BATCH.intent,
                batch_id,
                msgspec.to_builtins(payload),
                lane=lane_of(pool.chain_id, wallet.address),
            )
            await self._insert(tx, batch_id, intent, payload, chosen)
        return intent, len(chosen)

    async def _insert(
        self,
        tx: Tx,
        batch_id: str,
        intent: Intent,
        payload: BatchPayload,
        chosen: list[Withdrawal],
    ) -> None:
        now_ms = self._clock.now_ms()
        await tx.execute(
            insert(batch_table).values(
                id=batch_id,
                pool_id=payload.pool_id,
                intent_id=intent.id,
                chain_key=payload.chain_key,
                payees=len(chosen),
                amount=sum(withdrawal.amount for withdrawal in chosen),
                created_ms=now_ms,
            )
        )
        await rows.change(
            tx,
            chosen,
            now_ms=now_ms,
            state=WithdrawalState.PROCESSING,
            batch_id=batch_id,
            reason="",
        )

    async def _watch_age(self, pool: StakingPool) -> None:
        """Show how long the oldest has waited, and say so when it is too long."""
        async with self._store.begin() as tx:
            since_ms = await rows.oldest_open_ms(tx, pool.pool_id)
            age_s = 0 if since_ms is None else (self._clock.now_ms() - since_ms) // 1000
            if age_s > self._settings.old_withdrawal_s:
                await self._alerts.raise_(
                    tx,
                    OLD_ALERT,
                    pool.pool_id,
                    Severity.WARNING,
                    f"the oldest withdrawal has waited for {age_s} s",
                    {"age_s": age_s},
                )
            else:
                await self._alerts.clear(tx, OLD_ALERT, pool.pool_id)
        metrics.OLDEST_WITHDRAWAL.labels(pool.pool_id).set(age_s)


def _payload(pool: StakingPool, batch_id: str, chosen: list[Withdrawal]) -> BatchPayload:
    return BatchPayload(
        pool_id=pool.pool_id,
        contract=pool.contract,
        chain_key="0x" + derived_id("batch", pool.pool_id, batch_id),
        payees=payees_of(chosen),
    )
