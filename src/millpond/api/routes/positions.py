"""What wallets and the operator alone may see and do in staking pools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody, SkipValidation
from msgspec import Meta

from millpond.api.core import Core, CoreDep
from millpond.api.idempotency import Answer, once
from millpond.api.idempotency import Request as IdempotentRequest
from millpond.api.models import Model
from millpond.api.pagination import CursorText, Limit, Page
from millpond.api.routes.account import NO_STORE, Decimal, Key, Text128
from millpond.api.routes.pools import PoolId
from millpond.api.routes.staking import WalletAddress
from millpond.api.staking import models
from millpond.api.staking.callers import Caller
from millpond.money.amount import Asset
from millpond.staking.pools import PoolKind, StakingPool
from millpond.store import Tx

M = TypeVar("M", bound=Model)
OWN: list[dict[str, list[str]]] = [{"session": []}, {"operator": []}]
OWN_OR_SIGNED: list[dict[str, list[str]]] = [*OWN, {"signature": []}]
Wallet = Annotated[str, Meta(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class Own:
    """A position that whoever asks may see."""

    pool: StakingPool
    wallet: str


async def own_position(
    core: CoreDep, request: Request[Any, Any, Any], pool_id: PoolId, wallet: WalletAddress
) -> Own:
    """The position that a request asks about, if it may."""
    pool = await core.positions.pool(pool_id)
    caller = await core.callers.reader(request.headers, pool, wallet)
    return Own(pool, caller.wallet)


ASKED = {"own": Provide(own_position)}
OwnDep = NamedDependency[SkipValidation[Own]]


class DepositRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Prepare a deposit.

    Attributes:
        wallet: Who deposits; by default the one that is signed in.
        amount: Tokens.
    """

    wallet: Wallet | None = None
    amount: Decimal


class WithdrawRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Ask for a withdrawal, or for what to sign to leave without the pool's help.

    Attributes:
        wallet: Whose; by default the one that is signed in.
        amount: Tokens, or shares of a vault; by default everything.
        myself: Of a direct pool: not to be paid, but to sign a withdrawal oneself.
    """

    wallet: Wallet | None = None
    amount: Decimal | None = None
    myself: bool = False


class PoolWithdrawRequest(WithdrawRequest, kw_only=True, forbid_unknown_fields=True):
    """The same, naming the pool."""

    pool_id: Text128


class ClaimRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Take rewards out.

    Attributes:
        wallet: Whose; by default the one that is signed in.
        amount: Tokens; by default all that can be claimed. A vault's are taken all at once.
    """

    wallet: Wallet | None = None
    amount: Decimal | None = None


@get(
    "/api/v1/pools/{pool_id:str}/balance/{wallet:str}",
    tags=["positions"],
    security=OWN,
    dependencies=ASKED,
)
async def balance(core: CoreDep, own: OwnDep) -> Response[models.Position]:
    """What a wallet has in a staking pool."""
    return _private(await core.positions.balance(own.pool, own.wallet))


@get(
    "/api/v1/pools/{pool_id:str}/rewards/{wallet:str}",
    tags=["positions"],
    security=OWN,
    dependencies=ASKED,
)
async def rewards(core: CoreDep, own: OwnDep) -> Response[models.Rewards]:
    """What a wallet has earned in a staking pool."""
    return _private(await core.positions.rewards(own.pool, own.wallet))


@get(
    "/api/v1/pools/{pool_id:str}/rewards/{wallet:str}/epochs",
    tags=["positions"],
    security=OWN,
    dependencies=ASKED,
)
async def reward_epochs(
    core: CoreDep,
    own: OwnDep,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response[Page[models.RewardLine]]:
    """What a wallet earned in each epoch, newest first."""
    page = await core.positions.reward_lines(own.pool, own.wallet, limit=limit, cursor=cursor)
    return Response(page, headers=NO_STORE)


@get(
    "/api/v1/pools/{pool_id:str}/events/{wallet:str}",
    tags=["positions"],
    security=OWN,
    dependencies=ASKED,
)
async def events(
    core: CoreDep,
    own: OwnDep,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response[Page[models.StakingEvent]]:
    """What moved a wallet's position, newest first."""
    page = await core.positions.events(own.pool, own.wallet, limit=limit, cursor=cursor)
    return Response(page, headers=NO_STORE)


@get(
    "/api/v1/pools/{pool_id:str}/withdrawals/{wallet:str}",
    tags=["positions"],
    security=OWN,
    dependencies=ASKED,
)
async def withdrawals(
    core: CoreDep,
    own: OwnDep,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response[Page[models.Withdrawal]]:
    """A wallet's withdrawals out of a staking pool, newest first."""
    page = await core.positions.withdrawals(own.pool, own.wallet, limit=limit, cursor=cursor)
    return Response(page, headers=NO_STORE)


@get(
    "/api/v1/pools/{pool_id:str}/claims/{wallet:str}",
    tags=["positions"],
    security=OWN,
    dependencies=ASKED,
)
async def claims(
    core: CoreDep, own: OwnDep, limit: Limit = 50, cursor: CursorText = None
) -> Response[Page[models.Claim]]:
    """A wallet's claims of rewards in a staking pool, newest first."""
    page = await core.positions.claims(own.pool, own.wallet, limit=limit, cursor=cursor)
    return Response(page, headers=NO_STORE)


@post(
    "/api/v1/pools/{pool_id:str}/deposit",
    tags=["positions"],
    security=OWN_OR_SIGNED,
    status_code=200,
)
async def deposit(
    core: CoreDep,
    request: Request[Any, Any, Any],
    pool_id: PoolId,
    data: JSONBody[DepositRequest],
) -> Response[models.Deposit]:
    """Check a deposit and answer with the transactions to sign; nothing is kept or sent."""
    pool = await core.positions.pool(pool_id)
    caller = await _writer(core, request, pool, data.wallet, "POST deposit")
    async with core.store.begin() as tx:
        await core.callers.spend(tx, caller)
    units = pool.asset.parse(data.amount).units
    return _private(await core.positions.prepare_deposit(pool, caller.wallet, units))


@post(
    "/api/v1/pools/{pool_id:str}/withdraw",
    tags=["positions"],
    security=OWN_OR_SIGNED,
    status_code=201,
)
async def withdraw(
    core: CoreDep,
    request: Request[Any, Any, Any],
    pool_id: PoolId,
    data: JSONBody[WithdrawRequest],
    idempotency_key: Key = None,
) -> Response[models.WithdrawalAnswer]:
    """Ask to be paid out of a stake; a vault's holder gets what to sign instead."""
    return await _withdraw(core, request, pool_id, data, idempotency_key)


@post(
    "/api/v1/pool/withdraw",
    tags=["positions"],
    security=OWN_OR_SIGNED,
    status_code=201,
)
async def withdraw_from(
    core: CoreDep,
    request: Request[Any, Any, Any],
    data: JSONBody[PoolWithdrawRequest],
    idempotency_key: Key = None,
) -> Response[models.WithdrawalAnswer]:
    """The same, with the pool in the body."""
    return await _withdraw(core, request, data.pool_id, data, idempotency_key)


@post(
    "/api/v1/pools/{pool_id:str}/rewards/claim",
    tags=["positions"],
    security=OWN_OR_SIGNED,
    status_code=201,
)
async def claim(
    core: CoreDep,
    request: Request[Any, Any, Any],
    pool_id: PoolId,
    data: JSONBody[ClaimRequest],
    idempotency_key: Key = None,
) -> Response[models.ClaimAnswer]:
    """Take rewards out; a vault's holder gets what to sign, with the proof."""
    pool = await core.positions.pool(pool_id)
    caller = await _writer(core, request, pool, data.wallet, "POST claim")
    if pool.kind is PoolKind.VAULT:
        async with core.store.begin() as tx:
            await core.callers.spend(tx, caller)
        return _private(await core.positions.prepare_claim(pool, caller.wallet), status=201)
    units = _units(pool.asset, data.amount)

    async def act(tx: Tx) -> Answer:
        await core.callers.spend(tx, caller)
        made = await core.positions.request_claim(tx, pool, caller, units)
        return Answer(201, msgspec.json.encode(made))

    idempotent = await _idempotent(request, caller, pool, "claim", idempotency_key)
    return await answer_once(core, idempotent, act)


async def _withdraw(
    core: Core,
    request: Request[Any, Any, Any],
    pool_id: str,
    data: WithdrawRequest,
    key: str | None,
) -> Response[models.WithdrawalAnswer]:
    pool = await core.positions.pool(pool_id)
    caller = await _writer(core, request, pool, data.wallet, "POST withdraw")
    units = _units(pool.stake, data.amount)
    if pool.kind is PoolKind.VAULT or data.myself:
        async with core.store.begin() as tx:
            await core.callers.spend(tx, caller)
        return _private(await core.positions.prepare_exit(pool, caller.wallet, units), status=201)

    async def act(tx: Tx) -> Answer:
        await core.callers.spend(tx, caller)
        made = await core.positions.request_withdrawal(tx, pool, caller, units)
        return Answer(201, msgspec.json.encode(made))

    return await answer_once(
        core,
        await _idempotent(request, caller, pool, "withdraw", key),
        act,
    )


async def answer_once(
    core: Core, request: IdempotentRequest, act: Callable[[Tx], Awaitable[Answer]]
) -> Response[Any]:
    """Do something once for a key, and answer with the stored bytes themselves."""
    answer = await once(core.store, request, core.deps.clock.now_ms(), act)
    headers = dict(NO_STORE)
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(
        content=answer.body,
        status_code=answer.status,
        media_type="application/json",
        headers=headers,
    )


async def _idempotent(
    request: Request[Any, Any, Any], caller: Caller, pool: StakingPool, what: str, key: str | None
) -> IdempotentRequest:
    target = f"POST /pools/{pool.pool_id}/{what}"
    return IdempotentRequest(caller.principal(pool.pool_id), target, key, await request.body())


async def _writer(
    core: Core,
    request: Request[Any, Any, Any],
    pool: StakingPool,
    wallet: str | None,
    action: str,
) -> Caller:
    return await core.callers.writer(
        request.headers, pool, wallet, action=action, body=await request.body()
    )


def _private(answer: M, *, status: int = 200) -> Response[M]:
    return Response(answer, headers=NO_STORE, status_code=status)


def _units(asset: Asset, text: str | None) -> int | None:
    return None if text is None else asset.parse(text).units


HANDLERS = [
    balance,
    rewards,
    reward_epochs,
    events,
    withdrawals,
    claims,
    deposit,
    withdraw,
    withdraw_from,
    claim,
]
