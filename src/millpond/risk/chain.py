"""Limits that stand in contracts: read outside of any transaction, kept as rows.

A decision never waits for a chain: it looks at what was read last. What
cannot be read stays as it was, is said to be stale, and raises an alert.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from millpond.alerts import Alerts, Severity
from millpond.clock import Clock
from millpond.errors import MillpondError
from millpond.risk import rows
from millpond.risk.model import Function, Limits, Scope
from millpond.store import Store


class ChainReading(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool's contracts say.

    Attributes:
        asset: Code of the pool's asset.
        limits: Their parameters, base units; None where the contract has no such limit.
        paused: Functions that are paused there.
        block: At which block it was read.
    """

    asset: str
    limits: Limits
    paused: frozenset[Function]
    block: int


class ChainLimits(Protocol):
    """Reads the on-chain parameters of pools."""

    async def read(self, pool_id: str) -> ChainReading:
        """Ask the contracts of one pool.

        Raises:
            MillpondError: They do not answer, or contradict each other.
        """


class ChainCache:
    """Keeps what contracts say as rows that every process decides by.

    Args:
        store: The database.
        clock: Time.
        alerts: Where a contract that cannot be read is shown.
        source: Reads the contracts.
    """

    def __init__(self, store: Store, clock: Clock, alerts: Alerts, source: ChainLimits) -> None:
        self._store = store
        self._clock = clock
        self._alerts = alerts
        self._source = source

    async def refresh(self, pool_ids: Iterable[str]) -> list[str]:
        """Read the contracts of these pools; periodic.

        Returns:
            Those that could not be read.
        """
        failed = []
        for pool_id in pool_ids:
            try:
                reading = await self._source.read(pool_id)
            except MillpondError as error:
                failed.append(pool_id)
                await self._missed(pool_id, error)
            else:
                await self._keep(pool_id, reading)
        return failed

    async def _keep(self, pool_id: str, reading: ChainReading) -> None:
        """Write a reading, unless a later block was read meanwhile by another process."""
        scope = Scope.pool(pool_id)
        async with self._store.begin() as tx:
            known = await rows.limit_rows(tx, [scope], reading.asset)
            latest = next((row.block for row in known if row.source == rows.READ), None)
            if latest is not None and latest > reading.block:
                return
            row = rows.LimitRow(
                scope=scope,
                asset=reading.asset,
                source=rows.READ,
                limits=reading.limits,
                paused=reading.paused,
                block=reading.block,
                updated_ms=self._clock.now_ms(),
            )
            await rows.put_limits(tx, row)
            await self._alerts.clear(tx, "risk_chain_limits", scope.path)

    async def _missed(self, pool_id: str, error: MillpondError) -> None:
        scope = Scope.pool(pool_id)
        text = f"limits of the contract cannot be read: {error.message}"
        async with self._store.begin() as tx:
            await self._alerts.raise_(tx, "risk_chain_limits", scope.path, Severity.WARNING, text)
