"""The operator's page: its frame for everybody, its parts with the operator's key alone."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.params import FromQuery

from millpond.api.core import Core, CoreDep
from millpond.api.routes.operator import scope_of
from millpond.web.pages import HTML, RendererDep, html_answer
from millpond.web.staking_pages import LIMITS

PARTS = {
    "pools": "Pools",
    "risk": "Risk",
    "alerts": "Alerts",
    "prices": "Prices",
    "tasks": "Tasks",
    "trail": "Trail",
}
_ROWS = 30
_WITHDRAWALS = 15

FUNCTIONS = ("deposit", "withdraw", "rewards", "claim", "payout", "order")
"""What can be paused by itself."""

SET_LIMITS = {
    "tvl_cap": "Staked in all",
    "deposit_cap": "A single deposit",
    "user_cap": "Staked by one wallet",
    "withdrawal_cap": "A single withdrawal",
    "user_24h": "Out for one wallet in 24 h",
    "total_24h": "Out for all in 24 h",
    "outflow_cap": "Out in the window before the switch trips",
    "outflow_window_s": "That window, in seconds",
    "change_bps": "Net change of what is staked in a window, in 1/100 of a per cent",
    "change_window_s": "That window, in seconds",
    "rate_jump_bps": "Jump of a rate that trips the switch, in 1/100 of a per cent",
    "oracle_max_age_s": "Age of a price that trips the switch, in seconds",
    "difference_cap": "Difference of books and chain that trips the switch",
}
"""All limits, with their names for people: the page sets them all at once."""


@get("/admin", include_in_schema=False)
async def frame(core: CoreDep, renderer: RendererDep) -> Response[str]:
    """The door; nothing behind it is in this answer."""
    return html_answer(renderer.page("admin.html", parts=PARTS, open=bool(core.deps.operator_key)))


@get("/admin/live", include_in_schema=False)
async def live(
    core: CoreDep, renderer: RendererDep, request: Request[Any, Any, Any], part: FromQuery[str]
) -> Response[str]:
    """One part as it is now.

    Raises:
        AuthenticationError: Nobody is signed in.
        PermissionDeniedError: Somebody else is.
    """
    actor = await core.callers.operator(request.headers)
    chosen = part if part in PARTS else "pools"
    values = await _READERS[chosen](core)
    text = renderer.page(f"admin_{chosen}.html", actor=actor, **values)
    return Response(text, media_type=HTML, headers={"Cache-Control": "no-store"})


async def _pools(core: Core) -> dict[str, Any]:
    items = [
        {"pool": pool, "risk": await core.staking.risk(pool.id)}
        for pool in await core.staking.pools()
    ]
    waiting = await core.admin.withdrawals(
        pool_id=None, state=None, limit=_WITHDRAWALS, cursor=None
    )
    return {
        "items": items,
        "functions": FUNCTIONS,
        "set_limits": SET_LIMITS,
        "withdrawals": waiting.items,
    }


async def _risk(core: Core) -> dict[str, Any]:
    everywhere = scope_of("platform")
    assert everywhere is not None, "it is one"
    return {
        "risk": await core.oversight.risk(everywhere),
        "holds": (await core.oversight.holds(None, limit=_ROWS, cursor=None)).items,
        "violations": (await core.oversight.violations(None, None, limit=_ROWS, cursor=None)).items,
        "scopes": _scopes(core, [pool.id for pool in await core.staking.pools()]),
        "functions": FUNCTIONS,
        "words": LIMITS,
    }


def _scopes(core: Core, staking: list[str]) -> list[str]:
    pools = [*core.deps.pool_ids, *staking]
    return ["platform", "product:staking", "product:mining", *(f"pool:{name}" for name in pools)]


async def _alerts(core: Core) -> dict[str, Any]:
    read = core.oversight.alerts
    return {
        "open": (await read(None, only_open=True, limit=_ROWS, cursor=None)).items,
        "all": (await read(None, only_open=False, limit=_ROWS, cursor=None)).items,
    }


async def _prices(core: Core) -> dict[str, Any]:
    prices = await core.oversight.prices()
    return {"items": [await core.oversight.price(each.asset, each.quote) for each in prices]}


async def _tasks(core: Core) -> dict[str, Any]:
    return {"items": await core.oversight.tasks()}


async def _trail(core: Core) -> dict[str, Any]:
    page = await core.oversight.trail(subject=None, action=None, limit=_ROWS, cursor=None)
    return {"items": page.items, "check": await core.oversight.verify_trail(None)}


_READERS = {
    "pools": _pools,
    "risk": _risk,
    "alerts": _alerts,
    "prices": _prices,
    "tasks": _tasks,
    "trail": _trail,
}

HANDLERS = [frame, live]
