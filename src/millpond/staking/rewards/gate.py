"""Pauses and breakers that hold rewards back (`cycle.Gate`)."""

from __future__ import annotations

from millpond.risk import Function, RiskEngine
from millpond.staking.pools import StakingPool
from millpond.staking.withdrawals.model import PRODUCT
from millpond.store import Tx


class RiskGate:
    """Asks the risk engine.

    Args:
        risk: The engine.
    """

    def __init__(self, risk: RiskEngine) -> None:
        self._risk = risk

    async def held_because(self, tx: Tx, pool: StakingPool) -> str | None:
        """Say why no epoch of the pool may be closed now; None: it may."""
        hold = await self._risk.held(
            tx,
            Function.REWARDS,
            product=PRODUCT,
            pool_id=pool.pool_id,
            asset=pool.asset.code,
        )
        return None if hold is None else f"rewards are held: {hold.reason}"
