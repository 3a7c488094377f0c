"""A chain on paper with an indexer beside it, and what must hold between the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from millpond.alerts import Alerts
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.money.ledger import Ledger
from millpond.risk import RiskEngine
from millpond.staking import accounts
from millpond.staking.booking import stake_total
from millpond.staking.checkpoints import load
from millpond.staking.indexer import Indexer
from millpond.staking.pools import StakingPool, create_pool
from millpond.staking.positions import list_stakers
from millpond.staking.settings import StakingSettings
from millpond.store import Store
from tests.staking.chain import PaperChain


@dataclass
class Rig:
    """Everything that follows one chain."""

    store: Store
    chain: PaperChain
    clock: ManualClock
    ids: Ids
    ledger: Ledger
    alerts: Alerts
    indexer: Indexer
    pools: list[StakingPool]
    risk: RiskEngine

    async def index(self) -> int:
        """Run until nothing is new; returns how many events were indexed."""
        count = 0
        for _ in range(50):
            (progress,) = await self.indexer.run_once()
            count += progress.events
            if progress.idle:
                return count
        raise AssertionError("the indexer comes to an end")

    async def check(self) -> None:
        """Books, positions and chain say the same at the confirmed depth."""
        async with self.store.read() as tx:
            assert await self.ledger.verify(tx) == []
            for pool in self.pools:
                deep = self.chain.minted[: len(self.chain.minted) - pool.confirmations + 1]
                balances = deep[-1].state[pool.pool_id].balances if deep else {}
                expected = {who: amount for who, amount in balances.items() if amount}
                found = {p.wallet: p.balance for p in await list_stakers(tx, pool.pool_id)}
                assert found == expected
                books = {}
                for who in self.chain.state[pool.pool_id].balances:
                    account = accounts.staked(pool.pool_id, who, pool.stake)
                    balance = (await self.ledger.balance(tx, account)).posted.units
                    if balance:
                        books[who] = balance
                assert books == expected
                total = (await self.ledger.balance(tx, stake_total(pool))).posted.units
                assert total == sum(expected.values())

    async def balance(self, account: Any) -> int:
        """Posted units of an account."""
        async with self.store.read() as tx:
            return (await self.ledger.balance(tx, account)).posted.units

    async def behind(self, pool_id: str) -> int:
        """Blocks between what is indexed and the head, as everybody is told."""
        async with self.store.read() as tx:
            return (await load(tx, [pool_id]))[pool_id].lag

    async def open_alerts(self) -> set[str]:
        """Kinds of alerts that are open."""
        async with self.store.read() as tx:
            return {alert.kind for alert in await self.alerts.open(tx)}


async def rig_for(
    store: Store,
    pools: Sequence[StakingPool],
    *,
    chain: PaperChain | None = None,
    settings: StakingSettings | None = None,
    risky: bool = False,
) -> Rig:
    """A rig with these pools, nothing indexed yet; `risky`: the risk engine counts along."""
    clock = ManualClock()
    ids = Ids(clock, SeededEntropy(7))
    ledger, alerts = Ledger(clock), Alerts(clock, ids)
    chain = chain or PaperChain(pools)
    async with store.begin() as tx:
        for pool in pools:
            await create_pool(tx, pool, clock)
    risk = RiskEngine(ledger, clock, ids)
    indexer = Indexer(
        store,
        {pools[0].chain_id: chain},
        ledger=ledger,
        alerts=alerts,
        clock=clock,
        settings=settings or StakingSettings(),
        risk=risk if risky else None,
    )
    return Rig(store, chain, clock, ids, ledger, alerts, indexer, list(pools), risk)
