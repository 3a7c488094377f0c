"""The routes of the staking pages."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import FromQuery, PathParameter, QueryParameter
from litestar.response import Redirect
from markupsafe import Markup

from millpond.api.core import Core, CoreDep
from millpond.api.routes.pools import PoolId
from millpond.api.staking.models import PoolRisk, StakingPool
from millpond.web.pages import HTML, RendererDep, html_answer
from millpond.web.render import Renderer

_EPOCHS = 12
_LINES = 12
_ROWS = 10
_PRIVATE = {"Cache-Control": "no-store"}

Address = Annotated[str, PathParameter(pattern="^0x[0-9a-fA-F]{40}$", description="A wallet.")]
WalletQuery = Annotated[str, QueryParameter(name="wallet", max_length=64)]

LIMITS = {
    "tvl_cap": "Staked in all",
    "deposit_cap": "A single deposit",
    "user_cap": "Staked by one wallet",
    "withdrawal_cap": "A single withdrawal",
    "user_24h": "Out for one wallet in 24 h",
    "total_24h": "Out for all in 24 h",
    "rate_of_change": "Change of what is staked in the window",
    "outflow": "Out before the safety switch trips",
}
"""What a limit is called on a page."""


@get("/staking", include_in_schema=False)
async def overview(core: CoreDep, renderer: RendererDep) -> Response[str]:
    """All staking pools."""
    return html_answer(renderer.page("staking.html", items=await _items(core)))


@get("/staking/live", include_in_schema=False)
async def overview_live(core: CoreDep, renderer: RendererDep) -> Response[str]:
    """The part of it that changes."""
    items = await _items(core)
    return html_answer(renderer.macro("staking_macros.html", "cards", items))


async def _items(core: Core) -> list[dict[str, Any]]:
    return [
        {"pool": pool, "risk": await core.staking.risk(pool.id)}
        for pool in await core.staking.pools()
    ]


@get("/staking/wallets", include_in_schema=False)
async def find_wallet(wallet: WalletQuery = "") -> Redirect:
    """Where the look-up form leads."""
    address = wallet.strip()
    return Redirect(f"/staking/wallets/{address}" if address else "/staking", status_code=303)


@get("/staking/wallets/{wallet:str}", include_in_schema=False)
async def wallet_page(core: CoreDep, renderer: RendererDep, wallet: Address) -> Response[str]:
    """What a wallet has staked, as the chain and the statements say."""
    body = Markup(await _wallet_body(core, renderer, wallet))  # noqa: S704 - rendered just above
    return html_answer(renderer.page("staking_wallet.html", wallet=wallet, body=body))


@get("/staking/wallets/{wallet:str}/live", include_in_schema=False)
async def wallet_live(core: CoreDep, renderer: RendererDep, wallet: Address) -> Response[str]:
    """The part of it that changes."""
    return html_answer(await _wallet_body(core, renderer, wallet))


async def _wallet_body(core: Core, renderer: Renderer, wallet: str) -> str:
    pools = {pool.id: pool for pool in await core.staking.pools()}
    assets = sorted({pool.asset for pool in pools.values()})
    held = []
    for asset in assets:
        user = await core.staking.user(asset, wallet)
        held += [
            {"pool": pools[line.pool_id], "line": line}
            for line in user.pools
            if line.since or line.total_earned.units != "0"
        ]
    return renderer.page("staking_wallet_body.html", held=held)


@get("/staking/{pool_id:str}", include_in_schema=False)
async def pool_page(core: CoreDep, renderer: RendererDep, pool_id: PoolId) -> Response[str]:
    """One pool."""
    pool = await core.staking.pool(pool_id)
    risk = await core.staking.risk(pool_id)
    epochs = (await core.staking.epochs(pool_id, limit=_EPOCHS, cursor=None)).items
    text = renderer.page(
        "staking_pool.html",
        pool=pool,
        risk=risk,
        series=await core.staking.history(pool_id, "24h"),
        last_epoch=epochs[0].epoch if epochs else None,
        contracts=_contracts(pool),
        **{name: await _part(core, renderer, name, pool, risk) for name in PARTS},
    )
    return html_answer(text)


@get("/staking/{pool_id:str}/live", include_in_schema=False)
async def pool_live(
    core: CoreDep, renderer: RendererDep, pool_id: PoolId, part: FromQuery[str]
) -> Response[str]:
    """One part of it that changes."""
    pool = await core.staking.pool(pool_id)
    risk = await core.staking.risk(pool_id)
    chosen = part if part in PARTS else PARTS[0]
    return html_answer(await _part(core, renderer, chosen, pool, risk))


PARTS = ("top", "limits", "epochs", "events")


async def _part(
    core: Core, renderer: Renderer, name: str, pool: StakingPool, risk: PoolRisk
) -> Markup:
    if name == "top":
        return renderer.macro("staking_parts.html", "top", pool, risk)
    if name == "limits":
        return renderer.macro("staking_parts.html", "limits", pool, risk, LIMITS)
    if name == "events":
        events = await core.staking.events(pool.id, limit=_ROWS, cursor=None)
        return renderer.macro("staking_parts.html", "events", events.items)
    epochs = await core.staking.epochs(pool.id, limit=_EPOCHS, cursor=None)
    return renderer.macro("staking_parts.html", "epochs", epochs.items)


def _contracts(pool: StakingPool) -> list[tuple[str, str]]:
    vault = pool.kind == "vault"
    named = [("Vault" if vault else "StakingPool", pool.contract), ("Token", pool.token)]
    if pool.rewards_contract is not None:
        named.insert(1, ("RewardDistributor" if vault else "BatchPayout", pool.rewards_contract))
    return named


@get("/staking/{pool_id:str}/wallets/{wallet:str}", include_in_schema=False)
async def position(
    core: CoreDep,
    renderer: RendererDep,
    request: Request[Any, Any, Any],
    pool_id: PoolId,
    wallet: Address,
) -> Response[str]:
    """A wallet's figures in one pool: all of them for itself, the public ones for others."""
    shown = await core.staking.pool(pool_id)
    if "authorization" not in request.headers:
        user = await core.staking.user(shown.asset, wallet)
        line = next(each for each in user.pools if each.pool_id == pool_id)
        text = renderer.page("staking_position_public.html", pool=shown, line=line)
        return Response(text, media_type=HTML, headers=_PRIVATE)
    pool = await core.positions.pool(pool_id)
    caller = await core.callers.reader(request.headers, pool, wallet)
    reads = core.positions
    withdrawals = await reads.withdrawals(pool, caller.wallet, limit=_ROWS, cursor=None)
    text = renderer.page(
        "staking_position.html",
        pool=shown,
        position=await reads.balance(pool, caller.wallet),
        rewards=await reads.rewards(pool, caller.wallet),
        withdrawals=withdrawals.items,
        claims=(await reads.claims(pool, caller.wallet, limit=_ROWS, cursor=None)).items,
        events=(await reads.events(pool, caller.wallet, limit=_ROWS, cursor=None)).items,
    )
    return Response(text, media_type=HTML, headers=_PRIVATE)


HANDLERS = [
    overview,
    overview_live,
    find_wallet,
    wallet_page,
    wallet_live,
    pool_page,
    pool_live,
    position,
]
