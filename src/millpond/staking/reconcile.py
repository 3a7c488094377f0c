"""Holding books against contracts again and again: a difference is an alert and may trip a breaker."""

from __future__ import annotations

from collections.abc import Mapping

from millpond.alerts import Alerts, Severity
from millpond.money.ledger import Ledger
from millpond.money.report import Row, Verdict
from millpond.risk import RiskEngine, Scope
from millpond.staking.audit import audit_pool
from millpond.staking.following import ChainReader
from millpond.staking.pools import StakingPool, list_pools
from millpond.store import Store

ALERT = "staking_reconciliation"
_CHAIN_FIRST = {
    "principal_on_chain": True,
    "principal_tokens_on_chain": False,
    "reward_funds_on_chain": False,
    "reward_tokens_on_chain": False,
}
"""Checks whose figures are tokens, and whether the chain's figure is the expected one."""


class Reconciliation:
    """Compares, tells and trips; periodic.

    Args:
        store: The database.
        ledger: The ledger.
        chains: Nodes by chain id.
        alerts: Where a difference is raised.
        risk: Whose breaker may trip.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        chains: Mapping[int, ChainReader],
        alerts: Alerts,
        risk: RiskEngine,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._chains = chains
        self._alerts = alerts
        self._risk = risk

    async def run_once(self) -> list[Row]:
        """Compare all pools; returns the rows that do not agree."""
        async with self._store.read() as tx:
            pools = await list_pools(tx)
        found: list[Row] = []
        for pool in pools:
            # Rows may be about wallets, so whose they are is known only here.
            rows = await audit_pool(self._store, self._ledger, self._chains, pool)
            drifts = [row for row in rows if row.verdict is Verdict.DRIFT]
            await self._tell(pool, drifts)
            found += drifts
        return found

    async def _tell(self, pool: StakingPool, drifts: list[Row]) -> None:
        async with self._store.begin() as tx:
            if not drifts:
                await self._alerts.clear(tx, ALERT, pool.pool_id)
                return
            first = drifts[0]
            await self._alerts.raise_(
                tx,
                ALERT,
                pool.pool_id,
                Severity.CRITICAL,
                f"{first.check} of {first.subject}: {first.expected} expected, {first.found} found",
                {"checks": [row.check for row in drifts]},
            )
            for row in drifts:
                if row.check in _CHAIN_FIRST:
                    books, outside = _figures(row)
                    await self._risk.difference_found(
                        tx,
                        Scope.pool(pool.pool_id),
                        pool.asset.code,
                        books=books,
                        outside=outside,
                    )


def _figures(row: Row) -> tuple[int, int]:
    """What the books say and what the chain says."""
    expected, found = int(row.expected), int(row.found)
    return (found, expected) if _CHAIN_FIRST[row.check] else (expected, found)
