"""The operator's view of risk, alerts, the trail, tasks and prices."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import Response, get, post, put
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Meta

from millpond.api.core import CoreDep
from millpond.api.oversight import models
from millpond.api.pagination import CursorText, Limit, Page
from millpond.api.routes.admin_pools import PauseRequest, ReasonRequest, ResumeRequest
from millpond.api.routes.operator import ActorDep, DeedDep, Reason, ScopePath, scope_of
from millpond.errors import InvalidInputError
from millpond.risk import PLATFORM, Scope
from millpond.store import Tx

ScopeChoice = Annotated[
    str | None,
    QueryParameter(
        name="scope",
        max_length=200,
        description="`platform`, `product:staking`, `pool:<id>` or `user:<wallet>`.",
    ),
]
TextChoice = Annotated[str | None, QueryParameter(max_length=200)]
Code = Annotated[str, PathParameter(min_length=1, max_length=32)]
Value = Annotated[str, Meta(pattern=r"^[0-9]{1,78}(\.[0-9]{1,36})?$")]


class LimitsRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Set all limits of a scope in one asset; what is left out is no limit.

    Attributes:
        scope: `platform`, `product:staking`, `pool:<id>` or `user:<wallet>`.
        asset: Code of the asset.
        amounts: `base` units of the asset, or `whole` ones such as `1.5`; what is in
            seconds or basis points is a whole number either way.
        limits: Numbers by name (`tvl_cap`, `user_24h` …); see docs/risk.md.
    """

    scope: ScopePath
    asset: Annotated[str, Meta(min_length=1, max_length=32)]
    amounts: Literal["base", "whole"] = "base"
    limits: dict[str, Value]
    reason: Reason


class ScopePauseRequest(PauseRequest, kw_only=True, forbid_unknown_fields=True):
    """Pause in any scope."""

    scope: ScopePath


class ScopeResumeRequest(ResumeRequest, kw_only=True, forbid_unknown_fields=True):
    """End pauses in any scope."""

    scope: ScopePath


@get("/risk", tags=["admin"])
async def risk(core: CoreDep, within: ScopeChoice = None) -> models.ScopeRisk:
    """Limits with their use, pauses, breakers and recent refusals of a scope."""
    return await core.oversight.risk(scope_of(within) or PLATFORM)


@put("/risk/limits", tags=["admin"])
async def set_limits(
    core: CoreDep, data: JSONBody[LimitsRequest], actor: ActorDep
) -> models.LimitsSet:
    """Set the limits of a scope in one asset."""
    scope = Scope.parse(data.scope)
    async with core.store.begin() as tx:
        await core.oversight.check_scope(tx, scope, core.deps.coins)
        return await core.oversight.set_limits(
            tx,
            actor,
            scope,
            data.asset,
            data.limits,
            whole=data.amounts == "whole",
            reason=data.reason,
        )


@post("/risk/pause", tags=["admin"], status_code=200)
async def pause(
    core: CoreDep,
    data: JSONBody[ScopePauseRequest],
    deed: DeedDep,
) -> Response[models.Hold]:
    """Pause in any scope; exits stay open unless they are said to be the reason."""
    scope = Scope.parse(data.scope)

    async def act(tx: Tx) -> models.Hold:
        await core.oversight.check_scope(tx, scope, core.deps.coins)
        return await core.oversight.pause(
            tx,
            deed.actor,
            scope,
            data.function,
            data.reason,
            seconds=data.seconds,
            exits_because=data.exits_because,
        )

    return await deed.once(core, act)


@post("/risk/resume", tags=["admin"], status_code=200)
async def resume(
    core: CoreDep,
    data: JSONBody[ScopeResumeRequest],
    deed: DeedDep,
) -> Response[Page[models.Hold]]:
    """End pauses in any scope."""
    scope = Scope.parse(data.scope)

    async def act(tx: Tx) -> Page[models.Hold]:
        ended = await core.oversight.resume(tx, deed.actor, scope, data.function, data.reason)
        return Page(items=ended)

    return await deed.once(core, act)


@get("/holds", tags=["admin"])
async def holds(
    core: CoreDep, within: ScopeChoice = None, limit: Limit = 50, cursor: CursorText = None
) -> Page[models.Hold]:
    """Pauses and breakers, ended or not, newest first."""
    return await core.oversight.holds(scope_of(within), limit=limit, cursor=cursor)


@post("/holds/{hold_id:str}/reset", tags=["admin"], status_code=200)
async def reset(
    core: CoreDep,
    hold_id: Annotated[str, PathParameter(max_length=64)],
    data: JSONBody[ReasonRequest],
    deed: DeedDep,
) -> Response[models.Hold]:
    """Reset a breaker that tripped, or end one pause."""

    async def act(tx: Tx) -> models.Hold:
        return await core.oversight.reset(tx, deed.actor, hold_id, data.reason)

    return await deed.once(core, act)


@get("/violations", tags=["admin"])
async def violations(
    core: CoreDep,
    within: ScopeChoice = None,
    user: TextChoice = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[models.Violation]:
    """Requests that were refused, newest first."""
    return await core.oversight.violations(scope_of(within), user, limit=limit, cursor=cursor)


@get("/alerts", tags=["admin"])
async def alerts(
    core: CoreDep,
    which: Annotated[Literal["open", "all"], QueryParameter()] = "open",
    kind: TextChoice = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[models.Alert]:
    """Open alerts, the gravest first; with `which=all` all, the newest first."""
    return await core.oversight.alerts(kind, only_open=which == "open", limit=limit, cursor=cursor)


@post("/alerts/{alert_id:str}/acknowledge", tags=["admin"], status_code=200)
async def acknowledge(
    core: CoreDep,
    alert_id: Annotated[str, PathParameter(max_length=64)],
    deed: DeedDep,
) -> Response[models.Alert]:
    """Note that somebody knows."""

    async def act(tx: Tx) -> models.Alert:
        return await core.oversight.acknowledge(tx, deed.actor, alert_id)

    return await deed.once(core, act)


@get("/trail", tags=["admin"])
async def trail(
    core: CoreDep,
    subject: TextChoice = None,
    action: TextChoice = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[models.TrailEntry]:
    """What people with power did, newest first."""
    return await core.oversight.trail(subject=subject, action=action, limit=limit, cursor=cursor)


@get("/trail/verify", tags=["admin"])
async def verify_trail(
    core: CoreDep,
    entry: Annotated[
        str | None,
        QueryParameter(max_length=100, description="`<seq>:<hash>` of an entry kept elsewhere."),
    ] = None,
) -> models.TrailCheck:
    """Recompute the hash chain of the trail."""
    return await core.oversight.verify_trail(_anchor(entry))


def _anchor(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    seq, _, name = text.partition(":")
    if not (seq.isascii() and seq.isdigit() and len(seq) < 19 and name):
        raise InvalidInputError("an entry is named by its number, a colon and its hash")
    return int(seq), name


@get("/tasks", tags=["admin"])
async def tasks(core: CoreDep) -> Page[models.Task]:
    """All periodic tasks."""
    return Page(items=await core.oversight.tasks())


@post("/tasks/{name:str}/run", tags=["admin"], status_code=200)
async def run_task(
    core: CoreDep,
    name: Annotated[str, PathParameter(max_length=64)],
    deed: DeedDep,
) -> Response[models.Task]:
    """Have a task run now, by whichever process is free."""

    async def act(tx: Tx) -> models.Task:
        return await core.oversight.run_task(tx, deed.actor, name)

    return await deed.once(core, act)


@get("/prices", tags=["admin"])
async def prices(core: CoreDep) -> Page[models.Price]:
    """Everything that is priced."""
    return Page(items=await core.oversight.prices())


@get("/prices/{asset:str}/{quote:str}", tags=["admin"])
async def price(core: CoreDep, asset: Code, quote: Code) -> models.PriceDetail:
    """A price with how each of its sources is doing."""
    return await core.oversight.price(asset, quote)


@get("/prices/{asset:str}/{quote:str}/history", tags=["admin"])
async def price_history(
    core: CoreDep, asset: Code, quote: Code, limit: Limit = 50, cursor: CursorText = None
) -> Page[models.PricePoint]:
    """Confirmed prices, newest first."""
    return await core.oversight.price_history(asset, quote, limit=limit, cursor=cursor)


@get("/api/v1/prices", tags=["staking"])
async def public_prices(core: CoreDep) -> Page[models.Price]:
    """What assets cost, how old that is, and whether it is degraded."""
    return Page(items=await core.oversight.prices())


HANDLERS = [
    risk,
    set_limits,
    pause,
    resume,
    holds,
    reset,
    violations,
    alerts,
    acknowledge,
    trail,
    verify_trail,
    tasks,
    run_task,
    prices,
    price,
    price_history,
]
PUBLIC = [public_prices]
