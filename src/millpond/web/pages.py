"""The routes of the pages."""

from __future__ import annotations

import re
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation
from litestar.response import Redirect, Stream
from markupsafe import Markup

from millpond.api.core import Core, CoreDep
from millpond.api.models import Block, MinerDetail, Pool
from millpond.api.routes.miners import Wallet, miner_detail
from millpond.api.routes.pools import BlockHash
from millpond.errors import NotFoundError
from millpond.web.assets import Assets
from millpond.web.live import pool_of, stream
from millpond.web.render import Renderer

HTML = "text/html; charset=utf-8"
NO_CACHE = {"Cache-Control": "no-cache"}
_ROWS = 25
_EVM_WALLET = re.compile("0x[0-9a-fA-F]{40}")

RendererDep = NamedDependency[SkipValidation[Renderer]]
AssetsDep = NamedDependency[SkipValidation[Assets]]
PoolQuery = Annotated[str | None, QueryParameter(name="pool", max_length=64)]
WalletQuery = Annotated[str, QueryParameter(name="wallet", max_length=128)]


def html_answer(text: str) -> Response[str]:
    """A page, which browsers ask about each time."""
    return Response(text, media_type=HTML, headers=NO_CACHE)


@get("/", include_in_schema=False)
async def home(
    core: CoreDep, renderer: RendererDep, pool_id: PoolQuery = None
) -> Response[str] | Redirect:
    """The live page of one mining pool; where nothing is mined, the staking pools."""
    if not core.deps.coins:
        return Redirect("/staking")
    snapshot = await core.poller.snapshot()
    pool = _known(pool_of(snapshot, pool_id))
    text = renderer.page(
        "home.html",
        pool=pool,
        snapshot=snapshot,
        sections=renderer.sections(snapshot, pool),
        series=await core.performance(pool.id, window="24h"),
    )
    return html_answer(text)


@get("/live", include_in_schema=False)
async def live(
    core: CoreDep, renderer: RendererDep, request: Request[Any, Any, Any], pool_id: PoolQuery = None
) -> Stream:
    """Server-sent events for the live page."""
    pool = _known(pool_of(await core.poller.snapshot(), pool_id))
    address = str(request.scope["state"]["client_key"])
    core.hub.check_room(address)
    return Stream(
        stream(core, renderer, pool.id, address),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _known(pool: Pool | None) -> Pool:
    if pool is None:
        raise NotFoundError("There is no such pool here.")
    return pool


@get("/miners", include_in_schema=False)
async def find_miner(core: CoreDep, wallet: WalletQuery = "") -> Redirect:
    """Where the look-up form leads."""
    address = wallet.strip().partition(".")[0]
    if not address:
        return Redirect("/", status_code=303)
    if _EVM_WALLET.fullmatch(address):
        return Redirect(f"/staking/wallets/{address}", status_code=303)
    core.pools_of(address)
    return Redirect(f"/miners/{address}", status_code=303)


@get("/miners/{wallet:str}", include_in_schema=False)
async def miner(core: CoreDep, renderer: RendererDep, wallet: Wallet) -> Response[str]:
    """One address."""
    detail, body = await _miner_body(core, renderer, wallet, whole=True)
    text = renderer.page(
        "miner.html",
        detail=detail,
        known=bool(detail.pools),
        body=Markup(body),  # noqa: S704 - rendered by the autoescaping template just above
    )
    return html_answer(text)


@get("/miners/{wallet:str}/live", include_in_schema=False)
async def miner_live(core: CoreDep, renderer: RendererDep, wallet: Wallet) -> Response[str]:
    """The part of a miner's page that changes."""
    _, body = await _miner_body(core, renderer, wallet, whole=False)
    return html_answer(body)


async def _miner_body(
    core: Core, renderer: Renderer, wallet: str, *, whole: bool
) -> tuple[MinerDetail, str]:
    """The changing part; `whole` with the graph, which changes by itself afterwards."""
    detail = await miner_detail(core, wallet)
    mined = [item.pool_id for item in detail.pools]
    snapshot = await core.poller.snapshot()
    pool = _known(pool_of(snapshot, mined[0] if mined else core.pools_of(wallet)[0]))
    async with core.store.read() as tx:
        workers = await core.reads.workers(
            tx, pool_id=pool.id, wallet=wallet, limit=_ROWS, cursor=None
        )
        payouts = await core.reads.payouts(
            tx, pool_id=pool.id, wallet=wallet, limit=_ROWS, cursor=None
        )
        rejects = await core.reads.rejects(tx, pool_id=pool.id, wallet=wallet)
    body = renderer.page(
        "miner_body.html",
        detail=detail,
        pool=pool,
        whole=whole,
        series=await core.performance(pool.id, wallet=wallet, window="24h") if whole else None,
        workers=workers.items,
        payouts=payouts.items,
        rejects=rejects,
        blocks=[block for block in snapshot.blocks if block.pool_id == pool.id][:10],
    )
    return detail, body


@get("/blocks/{block_hash:str}", include_in_schema=False)
async def block(core: CoreDep, renderer: RendererDep, block_hash: BlockHash) -> Response[str]:
    """One block and how its reward was split."""
    return await _block_page(core, renderer, block_hash, None)


@get("/miners/{wallet:str}/proofs/{block_hash:str}", include_in_schema=False)
async def why(
    core: CoreDep, renderer: RendererDep, wallet: Wallet, block_hash: BlockHash
) -> Response[str]:
    """One block from the point of view of one address."""
    core.pools_of(wallet)
    return await _block_page(core, renderer, block_hash, wallet)


async def _block_page(
    core: Core, renderer: Renderer, block_hash: str, wallet: str | None
) -> Response[str]:
    async with core.store.read() as tx:
        found: Block | None = await core.reads.block(tx, block_hash.lower())
        if found is None:
            raise NotFoundError("No pool here found a block of that hash.")
        proof = await core.reads.proof(tx, wallet=wallet, block=found)
    return html_answer(renderer.page("block.html", block=found, proof=proof))


@get("/static/{path:path}", include_in_schema=False)
async def static(
    assets: AssetsDep, request: Request[Any, Any, Any], path: FromPath[str]
) -> Response[bytes]:
    """A file of the pages."""
    asset = assets.get(path.lstrip("/"))
    if asset is None:
        raise NotFoundError("There is no such file.")
    headers = {"Vary": "Accept-Encoding", "ETag": f'"{asset.digest}"'}
    if request.query_params.get("v") == asset.digest:
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    else:
        # Modules import each other by plain names: those are asked about each time.
        headers["Cache-Control"] = "no-cache"
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(b"", status_code=304, headers=headers)
    zipped = "gzip" in request.headers.get("accept-encoding", "")
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Response(
        asset.zipped if zipped else asset.body, media_type=asset.media_type, headers=headers
    )


@get("/robots.txt", include_in_schema=False)
async def robots() -> Response[str]:
    """Search engines may read the pages, not the API."""
    return Response("User-agent: *\nDisallow: /api/\n", media_type="text/plain")


HANDLERS = [home, live, find_miner, miner, miner_live, block, why, static, robots]
