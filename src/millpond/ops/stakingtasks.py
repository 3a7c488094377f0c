"""The periodic tasks of staking; each may be run by hand and bears being run again."""

from __future__ import annotations

import msgspec

from millpond.clock import Clock
from millpond.ops.config import Config
from millpond.ops.stakingrooms import StakingRooms
from millpond.staking.info import record
from millpond.staking.pools import list_pools
from millpond.staking.rewards.rows import clear_snapshots
from millpond.tasks import Task

_RISK_S = 300.0
_REWARDS_S = 60.0
_PAYMENTS_S = 60.0
_CLEAN_UP_S = 3_600.0


def staking_tasks(config: Config, rooms: StakingRooms, clock: Clock) -> list[Task]:
    """Pool figures, rewards, withdrawals, prices, risk, clean-up."""
    demo = config.uses_devevm

    async def figures() -> str:
        async with rooms.store.begin() as tx:
            pools = await list_pools(tx)
            for pool in pools:
                await record(tx, rooms.ledger, pool, clock, config.staking)
        return f"{len(pools)} pools"

    async def rewards() -> str:
        runs = await rooms.rewards.run_all()
        said = [f"{run.pool_id}: {run.waits or _epochs(run.closed)}" for run in runs]
        async with rooms.store.begin() as tx:
            for pool in await list_pools(tx):
                await rooms.posting.post_missing(tx, pool)
        return ", ".join(said) or "no pools"

    async def payments() -> str:
        said = [
            f"{each.pool_id}: {each.payees} sent" + (f", {each.waits}" if each.waits else "")
            for each in await rooms.withdrawal_run.run_once()
        ]
        claims = await rooms.claim_run.run_once()
        queues = await rooms.queue_run.run_once()
        said += [f"queue of {pool_id}: {waits}" for pool_id, waits in queues.items() if waits]
        said += [f"rewards of {pool_id}: {waits}" for pool_id, waits in claims.items() if waits]
        return ", ".join(said) or "no pools"

    async def prices() -> str:
        return msgspec.json.encode(await rooms.oracle.refresh_all()).decode()

    async def risk() -> str:
        async with rooms.store.read() as tx:
            pools = [pool.pool_id for pool in await list_pools(tx)]
        failed = await rooms.limits.refresh(pools)
        drifts = await rooms.reconciliation.run_once()
        unread = f", limits of {', '.join(failed)} could not be read" if failed else ""
        return f"{len(pools)} pools, {len(drifts)} differences{unread}"

    async def clean_up() -> str:
        async with rooms.store.begin() as tx:
            swept = await rooms.risk.sweep(tx)
            gone = await rooms.alerts.prune(tx)
            await rooms.alerts.observe(tx)
        cleared = await _clear_snapshots(config, rooms, clock)
        told = msgspec.json.encode(swept).decode()
        return f"{told}, {gone} old alerts, {cleared} epochs cleared"

    return [
        Task("staking-figures", min(60.0, config.staking.history_s), 5.0, figures),
        Task("staking-rewards", 10.0 if demo else _REWARDS_S, 1.0, rewards),
        Task("staking-payments", 5.0 if demo else _PAYMENTS_S, 1.0, payments),
        Task("oracle-refresh", config.oracle.refresh_s, 5.0, prices),
        Task("risk-checks", 30.0 if demo else _RISK_S, 5.0, risk),
        Task("clean-up", _CLEAN_UP_S, 60.0, clean_up),
    ]


async def _clear_snapshots(config: Config, rooms: StakingRooms, clock: Clock) -> int:
    """Drop the lines of old epochs of every pool; answers of how many epochs."""
    if not config.staking.snapshots_days:
        return 0
    before_s = clock.now_ms() // 1000 - config.staking.snapshots_days * 86_400
    async with rooms.store.read() as tx:
        pools = await list_pools(tx)
    cleared = 0
    for pool in pools:
        async with rooms.store.begin() as tx:
            cleared += await clear_snapshots(tx, pool.pool_id, before_s=before_s)
    return cleared


def _epochs(closed: list[int]) -> str:
    if not closed:
        return "nothing to close"
    return f"closed {closed[0]}" + (f" to {closed[-1]}" if len(closed) > 1 else "")
