"""Letting a pool that stands still be followed again; for people with the right to."""

from __future__ import annotations

import msgspec

from millpond.alerts import Alerts
from millpond.staking import checkpoints
from millpond.staking.errors import PoolStandingError
from millpond.staking.pools import get_pool
from millpond.store import Tx
from millpond.trail import Trail

STOPPED_ALERT = "staking_pool_stopped"


async def restart(
    tx: Tx, pool_id: str, *, actor: str, reason: str, alerts: Alerts, trail: Trail
) -> str:
    """Have the indexer go on with a pool where it stopped; it stops again if nothing changed.

    Returns:
        Why it stood still.

    Raises:
        PoolNotFoundError: There is no such pool.
        PoolStandingError: It does not stand still.
    """
    await get_pool(tx, pool_id)
    found = (await checkpoints.load(tx, [pool_id], lock=True)).get(pool_id)
    if found is None or not found.stopped:
        raise PoolStandingError("the pool does not stand still", pool=pool_id)
    await checkpoints.save(tx, msgspec.structs.replace(found, stopped=""))
    await alerts.clear(tx, STOPPED_ALERT, pool_id)
    await trail.record(
        tx,
        actor,
        "staking.restart",
        f"pool:{pool_id}",
        before={"stopped": found.stopped},
        after={"stopped": ""},
        reason=reason,
    )
    return found.stopped
