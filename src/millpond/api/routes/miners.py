"""One address: figures, balances, payouts, receipts, proofs."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import PathParameter, QueryParameter

from millpond.api.core import Core, CoreDep
from millpond.api.models import (
    Balance,
    MinerDetail,
    Payout,
    Performance,
    Proof,
    Receipt,
    Worker,
)
from millpond.api.pagination import CursorText, Limit, Page
from millpond.api.routes.pools import BlockHash, Window
from millpond.errors import NotFoundError

Wallet = Annotated[
    str, PathParameter(min_length=1, max_length=128, description="An address of a pool's coin.")
]
PoolChoice = Annotated[
    str | None,
    QueryParameter(
        name="pool", max_length=64, description="A pool's id; by default the first that fits."
    ),
]
WorkerChoice = Annotated[
    str | None, QueryParameter(max_length=200, description="One worker, `wallet.worker_name`.")
]


def choose_pool(core: Core, wallet: str, pool_id: str | None) -> str:
    """The pool that a request about `wallet` means."""
    fitting = core.pools_of(wallet)
    if pool_id is None:
        return fitting[0]
    core.pool(pool_id)
    if pool_id not in fitting:
        raise NotFoundError("this pool's coin has no such address")
    return pool_id


async def miner_detail(core: Core, wallet: str) -> MinerDetail:
    """Everything about an address that is no list."""
    core.pools_of(wallet)
    async with core.store.read() as tx:
        return MinerDetail(
            wallet=wallet,
            pools=await core.reads.miner(tx, wallet),
            balances=await core.reads.balances(tx, wallet),
            settings=await core.reads.payout_settings(tx, wallet),
        )


@get("/api/v1/miners/{wallet:str}", tags=["miners"])
async def miner(core: CoreDep, wallet: Wallet) -> MinerDetail:
    """An address in every pool: figures, balances, payout settings."""
    return await miner_detail(core, wallet)


@get("/api/v1/miners/{wallet:str}/balances", tags=["miners"])
async def balances(core: CoreDep, wallet: Wallet) -> Page[Balance]:
    """What an address is owed, by coin."""
    core.pools_of(wallet)
    async with core.store.read() as tx:
        return Page(items=await core.reads.balances(tx, wallet))


@get("/api/v1/miners/{wallet:str}/balance/{coin:str}", tags=["miners"])
async def balance(
    core: CoreDep, wallet: Wallet, coin: Annotated[str, PathParameter(max_length=64)]
) -> Balance:
    """What an address is owed in one coin (name or ticker)."""
    core.pools_of(wallet)
    async with core.store.read() as tx:
        for item in await core.reads.balances(tx, wallet):
            if coin in (item.coin, item.asset):
                return item
    raise NotFoundError("no pool of that coin has this form of address")


@get("/api/v1/miners/{wallet:str}/payouts", tags=["miners"])
async def payouts(
    core: CoreDep, wallet: Wallet, limit: Limit = 50, cursor: CursorText = None
) -> Page[Payout]:
    """Payouts to an address, newest first."""
    core.pools_of(wallet)
    async with core.store.read() as tx:
        return await core.reads.payouts(tx, pool_id=None, wallet=wallet, limit=limit, cursor=cursor)


@get("/api/v1/miners/{wallet:str}/workers", tags=["miners"])
async def workers(
    core: CoreDep, wallet: Wallet, limit: Limit = 50, cursor: CursorText = None
) -> Page[Worker]:
    """An address's workers."""
    core.pools_of(wallet)
    async with core.store.read() as tx:
        return await core.reads.workers(tx, pool_id=None, wallet=wallet, limit=limit, cursor=cursor)


@get("/api/v1/miners/{wallet:str}/performance", tags=["miners"])
async def performance(
    core: CoreDep,
    wallet: Wallet,
    window: Window = "24h",
    worker: WorkerChoice = None,
    pool_id: PoolChoice = None,
) -> Performance:
    """An address's hashrate and shares over time, or one worker's."""
    chosen = choose_pool(core, wallet, pool_id)
    return await core.performance(chosen, wallet=wallet, worker=worker, window=window)


@get("/api/v1/miners/{wallet:str}/shares/receipts", tags=["miners"])
async def receipts(
    core: CoreDep,
    wallet: Wallet,
    limit: Limit = 50,
    cursor: CursorText = None,
    pool_id: PoolChoice = None,
) -> Page[Receipt]:
    """Groups of the share log that hold shares of this address, newest first."""
    chosen = choose_pool(core, wallet, pool_id)
    return await core.reads.receipts(pool_id=chosen, wallet=wallet, limit=limit, cursor=cursor)


@get("/api/v1/miners/{wallet:str}/proofs/{block:str}", tags=["miners"])
async def proof(core: CoreDep, wallet: Wallet, block: BlockHash) -> Proof:
    """Why an address was paid what it was paid for a block."""
    core.pools_of(wallet)
    async with core.store.read() as tx:
        found = await core.reads.block(tx, block.lower())
        result = found and await core.reads.proof(tx, wallet=wallet, block=found)
    if not result:
        raise NotFoundError("no allocation of such a block is known")
    return result


HANDLERS = [
    miner,
    balances,
    balance,
    payouts,
    workers,
    performance,
    receipts,
    proof,
]
