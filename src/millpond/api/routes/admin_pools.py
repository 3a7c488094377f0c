"""The operator's acts on staking pools."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response, get, post, put
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Meta

from millpond.api.core import CoreDep
from millpond.api.oversight import models as oversight_models
from millpond.api.pagination import CursorText, Limit, Page
from millpond.api.routes.account import Decimal, Text128
from millpond.api.routes.operator import ActorDep, DeedDep, Reason
from millpond.api.routes.pools import PoolId
from millpond.api.staking import models
from millpond.api.staking.admin import NewPool, PoolTakenError
from millpond.risk import Function, Scope
from millpond.staking.pools import PoolKind
from millpond.staking.withdrawals.model import WithdrawalState
from millpond.store import Tx

Address = Annotated[str, Meta(min_length=42, max_length=42)]
OrderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Seconds = Annotated[int, Meta(ge=1, le=366 * 86_400)]


class PoolRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Take a pool into service whose contracts stand on a chain.

    Attributes:
        token: The ERC-20 to stake.
        contract: `StakingPool` or `Vault`.
        rewards_contract: `BatchPayout` of a direct pool, `RewardDistributor` of a vault.
        start_block: First block whose events count.
        reward_per_minute: Tokens for all stakers together; by default none.
        epoch_zero_s: When epoch 0 begins, Unix seconds; by default with the last whole epoch.
    """

    pool_id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]
    kind: PoolKind
    chain_id: Annotated[int, Meta(ge=1, le=2**53)]
    token: Address
    contract: Address
    rewards_contract: Address | None = None
    start_block: Annotated[int, Meta(ge=0, le=2**53)] = 0
    confirmations: Annotated[int, Meta(ge=1, le=100)] = 12
    reward_per_minute: Decimal | None = None
    epoch_s: Annotated[int, Meta(ge=60, le=30 * 86_400)] = 300
    epoch_zero_s: Annotated[int, Meta(ge=0, le=2**40)] | None = None
    minimum_withdrawal: Decimal = "0"


class WeightRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Set a pool's part of its emission; with `emission`, join that one."""

    weight: Annotated[str, Meta(pattern=r"^[01](\.[0-9]{1,6})?$")]
    emission: Text128 | None = None
    reason: Reason


class RateRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Set what the pool's emission gives a minute."""

    reward_per_minute: Decimal
    reason: Reason


class FundRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Fund a pool's rewards with the operator's tokens.

    Attributes:
        amount: Tokens.
        order: Name of this order; the same one again goes on, and funds once. What came to
            nothing is ordered again when all of it is over.
    """

    amount: Decimal
    order: OrderName


class PauseRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Pause a function, or all but the exits.

    Attributes:
        function: By default everything that is no exit: the emergency pause.
        reason: Why.
        seconds: When it ends by itself; by default never, but exits after the longest
            time that the settings allow.
        exits_because: Why the exits themselves are the reason; needed to hold them.
    """

    function: Function | None = None
    reason: Reason
    seconds: Seconds | None = None
    exits_because: Annotated[str, Meta(max_length=300)] = ""


class ResumeRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """End the pauses that hold a function; by default all."""

    function: Function | None = None
    reason: Reason


class ReasonRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: Reason


@post("/pools", tags=["admin"], status_code=200)
async def create_pool(
    core: CoreDep,
    data: JSONBody[PoolRequest],
    deed: DeedDep,
) -> Response[models.PoolMade]:
    """Take a pool into service; its contracts are held against its terms first.

    The same request again is answered with the first, also when rate or weight were
    changed since. A rate that is named is compared with the one the pool was made with, as
    far as that can be told; a begin of epoch 0 with the pool's; what is not named with nothing.
    """
    if data.pool_id in core.deps.coins:
        raise PoolTakenError("a mining pool has that name")
    wish = NewPool(**msgspec.structs.asdict(data))
    pool = await core.admin.describe(wish)

    async def act(tx: Tx) -> models.PoolMade:
        return await core.admin.create(tx, deed.actor, wish, pool)

    return await deed.once(core, act)


@put("/pools/{pool_id:str}/weight", tags=["admin"])
async def set_weight(
    core: CoreDep, pool_id: PoolId, data: JSONBody[WeightRequest], actor: ActorDep
) -> models.PoolTerms:
    """Set a pool's part of its emission from its next epoch on."""
    async with core.store.begin() as tx:
        return await core.admin.set_weight(
            tx, actor, pool_id, data.weight, data.emission, reason=data.reason
        )


@put("/pools/{pool_id:str}/rate", tags=["admin"])
async def set_rate(
    core: CoreDep, pool_id: PoolId, data: JSONBody[RateRequest], actor: ActorDep
) -> Page[models.PoolTerms]:
    """Set the reward rate from the next epoch on, for all pools that share the emission."""
    async with core.store.begin() as tx:
        changed = await core.admin.set_rate(tx, actor, pool_id, data.reward_per_minute, data.reason)
    return Page(items=changed)


@post("/pools/{pool_id:str}/fund", tags=["admin"], status_code=200)
async def fund(
    core: CoreDep,
    pool_id: PoolId,
    data: JSONBody[FundRequest],
    deed: DeedDep,
) -> Response[models.Funding]:
    """Order a funding; a worker that has the key sends it. See `/fundings/{order}`."""
    pool, units = await core.admin.check_funding(pool_id, data.amount, data.order)

    async def act(tx: Tx) -> models.Funding:
        return await core.admin.fund(tx, deed.actor, pool, units, data.order)

    return await deed.once(core, act)


@get("/pools/{pool_id:str}/fundings/{order:str}", tags=["admin"])
async def funding(
    core: CoreDep, pool_id: PoolId, order: Annotated[str, PathParameter(max_length=64)]
) -> models.Funding:
    """What became of a funding."""
    return await core.admin.funding(pool_id, order)


@post("/pools/{pool_id:str}/pause", tags=["admin"], status_code=200)
async def pause(
    core: CoreDep,
    pool_id: PoolId,
    data: JSONBody[PauseRequest],
    deed: DeedDep,
) -> Response[oversight_models.Hold]:
    """Pause a staking pool; exits stay open unless they are said to be the reason."""
    await core.positions.pool(pool_id)

    async def act(tx: Tx) -> oversight_models.Hold:
        return await core.oversight.pause(
            tx,
            deed.actor,
            Scope.pool(pool_id),
            data.function,
            data.reason,
            seconds=data.seconds,
            exits_because=data.exits_because,
        )

    return await deed.once(core, act)


@post("/pools/{pool_id:str}/resume", tags=["admin"], status_code=200)
async def resume(
    core: CoreDep,
    pool_id: PoolId,
    data: JSONBody[ResumeRequest],
    deed: DeedDep,
) -> Response[Page[oversight_models.Hold]]:
    """End the pauses of a staking pool."""
    await core.positions.pool(pool_id)

    async def act(tx: Tx) -> Page[oversight_models.Hold]:
        ended = await core.oversight.resume(
            tx, deed.actor, Scope.pool(pool_id), data.function, data.reason
        )
        return Page(items=ended)

    return await deed.once(core, act)


@get("/withdrawals", tags=["admin"])
async def withdrawals(
    core: CoreDep,
    pool: Annotated[str | None, QueryParameter(max_length=64)] = None,
    status: Annotated[
        WithdrawalState | None, QueryParameter(description="Only those in this state.")
    ] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[models.Withdrawal]:
    """Withdrawals of all wallets, newest first."""
    return await core.admin.withdrawals(pool_id=pool, state=status, limit=limit, cursor=cursor)


@post("/withdrawals/{withdrawal_id:str}/cancel", tags=["admin"], status_code=200)
async def cancel(
    core: CoreDep,
    withdrawal_id: Annotated[str, PathParameter(max_length=64)],
    data: JSONBody[ReasonRequest],
    deed: DeedDep,
) -> Response[models.Withdrawal]:
    """End a withdrawal that is in no transaction yet; what was reserved returns."""

    async def act(tx: Tx) -> models.Withdrawal:
        return await core.admin.cancel(tx, deed.actor, withdrawal_id, data.reason)

    return await deed.once(core, act)


HANDLERS = [
    create_pool,
    set_weight,
    set_rate,
    fund,
    funding,
    pause,
    resume,
    withdrawals,
    cancel,
]
