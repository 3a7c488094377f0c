"""The periodic tasks of staking; each may be run by hand and bears being run again."""

from __future__ import annotations

import msgspec

from millpond.clock import Clock
from millpond.ops.config import Config
from millpond.ops.stakingrooms import StakingRooms
from millpond.risk import RiskEngine
from millpond.staking.info import record
from millpond.staking.pools import list_pools
from millpond.store import Store
from millpond.tasks import Task

_SWEEP_S = 300.0
_REWARDS_S = 60.0
_WITHDRAWALS_S = 60.0


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
        return ", ".join(f"{run.pool_id}: {_epochs(run.closed)}" for run in runs) or "no pools"

    async def withdrawals() -> str:
        results = await rooms.withdrawal_run.run_once()
        said = [
            f"{each.pool_id}: {each.payees} in {len(each.batches)} batches"
            + (f", {each.waits}" if each.waits else "")
            for each in results
        ]
        return ", ".join(said) or "no pools"

    async def prices() -> str:
        return msgspec.json.encode(await rooms.oracle.refresh_all()).decode()

    async def risk() -> str:
        return await _swept(rooms.store, rooms.risk)

    return [
        Task("staking-figures", min(60.0, config.staking.history_s), 5.0, figures),
        Task("staking-rewards", 10.0 if demo else _REWARDS_S, 1.0, rewards),
        Task("staking-withdrawals", 5.0 if demo else _WITHDRAWALS_S, 1.0, withdrawals),
        Task("oracle-refresh", config.oracle.refresh_s, 5.0, prices),
        Task("risk-sweep", _SWEEP_S, 5.0, risk),
    ]


def _epochs(closed: list[int]) -> str:
    if not closed:
        return "nothing to close"
    return f"closed {closed[0]}" + (f" to {closed[-1]}" if len(closed) > 1 else "")


async def _swept(store: Store, engine: RiskEngine) -> str:
    async with store.begin() as tx:
        return msgspec.json.encode(await engine.sweep(tx)).decode()
