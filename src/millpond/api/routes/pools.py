"""Statistics, pools and blocks: open to all."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import get
from litestar.params import FromQuery, PathParameter, QueryParameter

from millpond.api.core import CoreDep
from millpond.api.models import Block, Miner, Payout, Performance, Pool, Reject, Stats
from millpond.api.pagination import CursorText, Limit, Page
from millpond.api.staking.models import StakingPool
from millpond.errors import NotFoundError

PoolId = Annotated[str, PathParameter(min_length=1, max_length=64, description="A pool's id.")]
Product = Annotated[
    Literal["mining", "staking"] | None, QueryParameter(description="Pools of one product only.")
]
Window = FromQuery[Literal["1h", "24h", "7d", "30d"]]
BlockHash = Annotated[str, PathParameter(pattern="^[0-9a-fA-F]{64}$", description="Block hash.")]


@get("/api/v1/stats", tags=["pools"])
async def stats(core: CoreDep) -> Stats:
    """Miners, workers, shares of 24 hours, hashrate of 10 minutes, network target."""
    return (await core.poller.snapshot()).stats


@get("/api/v1/pools", tags=["pools"])
async def pools(core: CoreDep, product: Product = None) -> Page[Pool | StakingPool]:
    """Every pool with its terms and figures: those of mining, then those of staking."""
    items: list[Pool | StakingPool] = []
    if product != "staking":
        items += (await core.poller.snapshot()).pools
    if product != "mining":
        items += await core.staking.pools()
    return Page(items=items)


@get("/api/v1/pools/{pool_id:str}", tags=["pools"])
async def pool(core: CoreDep, pool_id: PoolId) -> Pool | StakingPool:
    """One pool of either product."""
    mining = pool_id in core.deps.coins
    items = (await core.poller.snapshot()).pools if mining else await core.staking.pools()
    for item in items:
        if item.id == pool_id:
            return item
    raise NotFoundError("there is no such pool")


@get("/api/v1/pools/{pool_id:str}/blocks", tags=["pools"])
async def pool_blocks(
    core: CoreDep, pool_id: PoolId, limit: Limit = 50, cursor: CursorText = None
) -> Page[Block]:
    """A pool's blocks, newest first."""
    core.pool(pool_id)
    async with core.store.read() as tx:
        return await core.reads.blocks(tx, pool_id=pool_id, limit=limit, cursor=cursor)


@get("/api/v1/pools/{pool_id:str}/miners", tags=["pools"])
async def pool_miners(
    core: CoreDep, pool_id: PoolId, limit: Limit = 50, cursor: CursorText = None
) -> Page[Miner]:
    """A pool's miners, most work of 24 hours first."""
    core.pool(pool_id)
    async with core.store.read() as tx:
        return await core.reads.miners(tx, pool_id=pool_id, limit=limit, cursor=cursor)


@get("/api/v1/pools/{pool_id:str}/performance", tags=["pools"])
async def pool_performance(core: CoreDep, pool_id: PoolId, window: Window = "24h") -> Performance:
    """A pool's hashrate and shares over time."""
    core.pool(pool_id)
    return await core.performance(pool_id, window=window)


@get("/api/v1/pools/{pool_id:str}/payments", tags=["pools"])
async def pool_payments(
    core: CoreDep, pool_id: PoolId, limit: Limit = 50, cursor: CursorText = None
) -> Page[Payout]:
    """A pool's payouts, newest first."""
    core.pool(pool_id)
    async with core.store.read() as tx:
        return await core.reads.payouts(
            tx, pool_id=pool_id, wallet=None, limit=limit, cursor=cursor
        )


@get("/api/v1/pools/{pool_id:str}/rejects", tags=["pools"])
async def pool_rejects(core: CoreDep, pool_id: PoolId) -> Page[Reject]:
    """Shares refused in 24 hours by reason."""
    core.pool(pool_id)
    async with core.store.read() as tx:
        return Page(items=await core.reads.rejects(tx, pool_id=pool_id, wallet=None))


@get("/api/v1/blocks/{block_hash:str}", tags=["pools"])
async def block(core: CoreDep, block_hash: BlockHash) -> Block:
    """One block that a pool found."""
    async with core.store.read() as tx:
        found = await core.reads.block(tx, block_hash.lower())
    if found is None:
        raise NotFoundError("no pool here found a block of that hash")
    return found


HANDLERS = [
    stats,
    pools,
    pool,
    pool_blocks,
    pool_miners,
    pool_performance,
    pool_payments,
    pool_rejects,
    block,
]
