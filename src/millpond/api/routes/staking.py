"""Staking pools as everybody may see them."""

from __future__ import annotations

from typing import Annotated, cast

from litestar import Response, get
from litestar.params import FromQuery, PathParameter

from millpond.api.core import CoreDep
from millpond.api.pagination import CursorText, Limit, Page
from millpond.api.routes.pools import PoolId
from millpond.api.staking import models
from millpond.api.staking.reads import HistoryWindow
from millpond.staking.rewards.statement import Statement

AssetCode = Annotated[
    str, PathParameter(min_length=1, max_length=32, description="A token, such as `btcd`.")
]
WalletAddress = Annotated[
    str, PathParameter(min_length=1, max_length=64, description="An EVM address.")
]
EpochNumber = Annotated[
    int, PathParameter(ge=0, le=2**62, description="A closed epoch, as `/epochs` names it.")
]


@get("/api/v1/pool/{asset:str}/info/{pool_id:str}", tags=["staking"])
async def info(core: CoreDep, asset: AssetCode, pool_id: PoolId) -> models.StakingPool:
    """TVL, APR, APY and stakers of a pool of this token."""
    return await core.staking.info(asset, pool_id)


@get("/api/v1/pool/{asset:str}/user/{wallet:str}", tags=["staking"])
async def user(core: CoreDep, asset: AssetCode, wallet: WalletAddress) -> models.StakingUser:
    """What a wallet has staked and earned, as the chain and the statements say."""
    return await core.staking.user(asset, wallet)


@get("/api/v1/pools/{pool_id:str}/risk", tags=["staking"])
async def risk(core: CoreDep, pool_id: PoolId) -> models.PoolRisk:
    """Limits of a staking pool with their use, pauses, and breakers that tripped."""
    return await core.staking.risk(pool_id)


@get("/api/v1/pools/{pool_id:str}/history", tags=["staking"])
async def history(
    core: CoreDep, pool_id: PoolId, window: FromQuery[HistoryWindow] = "7d"
) -> models.StakingHistory:
    """TVL, stakers, APR and APY of a staking pool over time."""
    return await core.staking.history(pool_id, window)


@get("/api/v1/pools/{pool_id:str}/events", tags=["staking"])
async def events(
    core: CoreDep, pool_id: PoolId, limit: Limit = 50, cursor: CursorText = None
) -> Page[models.PoolEvent]:
    """What happened in a staking pool's contracts, newest first."""
    return await core.staking.events(pool_id, limit=limit, cursor=cursor)


@get("/api/v1/pools/{pool_id:str}/epochs", tags=["staking"])
async def epochs(
    core: CoreDep, pool_id: PoolId, limit: Limit = 50, cursor: CursorText = None
) -> Page[models.Epoch]:
    """Closed epochs of a staking pool, newest first."""
    return await core.staking.epochs(pool_id, limit=limit, cursor=cursor)


@get("/api/v1/pools/{pool_id:str}/epochs/{epoch:int}", tags=["staking"])
async def epoch(core: CoreDep, pool_id: PoolId, epoch: EpochNumber) -> models.Epoch:
    """One closed epoch."""
    return await core.staking.epoch(pool_id, epoch)


@get(
    "/api/v1/pools/{pool_id:str}/epochs/{epoch:int}/statement",
    tags=["staking"],
    media_type="application/json",
)
async def statement(core: CoreDep, pool_id: PoolId, epoch: EpochNumber) -> Response[Statement]:
    """The statement of an epoch, byte for byte as its hash names it."""
    document, name = await core.staking.statement(pool_id, epoch)
    return Response(
        cast("Statement", document),
        media_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="{pool_id}-epoch-{epoch}.json"',
            "Millpond-Statement-Hash": name,
        },
    )


@get("/api/v1/pools/{pool_id:str}/proof/{wallet:str}", tags=["staking"])
async def proof(core: CoreDep, pool_id: PoolId, wallet: WalletAddress) -> models.RewardProof:
    """What proves a wallet's rewards against the last root."""
    return await core.staking.proof(pool_id, wallet)


HANDLERS = [info, user, risk, history, events, epochs, epoch, statement, proof]
