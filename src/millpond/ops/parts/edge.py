"""The part `edge`: Stratum for every pool, shares into the log, blocks to the daemons."""

from __future__ import annotations

import asyncio
import contextlib

from millpond.chains.bitcoin.errors import RpcError
from millpond.chains.bitcoin.notify import BlockNews, NewsSettings
from millpond.chains.coins import coin_named
from millpond.mining.edge import Edge, EdgeCollector, EdgeSettings
from millpond.ops.config.settings import Config, PoolSettings
from millpond.ops.daemons import block_address, daemon_set, wallet
from millpond.ops.miners import MinersDesk
from millpond.ops.part import PartContext
from millpond.ops.process import poke_address, reachable_host

_CHECK_S = 1.0
_RETRY_S = 1.0


async def run(context: PartContext) -> None:
    """Serve miners until told to stop, then store and answer what was read."""
    async with contextlib.AsyncExitStack() as stack:
        edges = [
            await _start(context, index, pool, stack)
            for index, pool in enumerate(context.config.the_pools)
        ]
        desk = MinersDesk(edges)
        await desk.start(context.config.run_path)
        stack.push_async_callback(desk.stop)
        host = reachable_host(context.config.stratum.host)
        where = ", ".join(f"stratum+tcp://{host}:{port}" for edge in edges for port in edge.ports)
        while not context.stop.is_set():
            _tell(context, edges, where)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_S):
                    await context.stop.wait()


async def _start(
    context: PartContext, index: int, pool: PoolSettings, stack: contextlib.AsyncExitStack
) -> Edge:
    """Bring one pool's edge up; what it opens is closed by `stack` in turn."""
    config = context.config
    coin = coin_named(pool.coin)
    daemons = daemon_set(config, coin, context.clock)
    stack.push_async_callback(daemons.close)
    edge = Edge(
        edge_settings(config, index, pool),
        coin=coin,
        daemons=daemons,
        payout_address=await _address(context, pool),
        clock=context.clock,
        entropy=context.entropy,
    )
    news = BlockNews(daemons, context.clock, news_settings(config, pool))
    news.on_news(lambda news: edge.poke(news.template))
    for watching in (daemons.run(context.stop), news.run(context.stop)):
        task = asyncio.create_task(watching)
        stack.push_async_callback(_ended, task)
    await edge.start()
    stack.push_async_callback(edge.stop)
    context.metrics.registry().register(EdgeCollector(edge))
    return edge


def edge_settings(config: Config, index: int, pool: PoolSettings) -> EdgeSettings:
    """The edge's own settings for one pool."""
    stratum = config.stratum
    return EdgeSettings(
        pool_id=pool.id,
        edge=stratum.edge,
        extranonce_prefix=stratum.extranonce_prefix,
        tag=pool.tag,
        listeners=config.listeners(index),
        vardiff=config.vardiff,
        limits=stratum.limits,
        sharelog=config.sharelog_settings,
    )


def news_settings(config: Config, pool: PoolSettings) -> NewsSettings:
    """Where the edge hears of new blocks."""
    return NewsSettings(
        zmq=tuple(d.zmq for d in config.the_daemons if d.coin == pool.coin and d.zmq),
        poke=poke_address(config.run_path, pool.id),
    )


async def _address(context: PartContext, pool: PoolSettings) -> str:
    """The pool's address; a daemon that does not answer is waited for.

    Raises:
        ForeignAddressError: The daemon's wallet does not own the address kept.
    """
    opened = wallet(context.config, coin_named(pool.coin))
    try:
        while True:
            try:
                await opened.open()
                return await block_address(context.config, pool, opened)
            except RpcError as error:
                context.pulse.error(error.message)
                context.pulse.say("degraded", error.message)
                if context.stop.is_set():
                    raise
                await context.clock.sleep(_RETRY_S)
    finally:
        await opened.close()


def _tell(context: PartContext, edges: list[Edge], where: str) -> None:
    reasons = [reason for edge in edges for reason in edge.not_ready()]
    if reasons:
        context.pulse.error(reasons[0])
        context.pulse.say("degraded", "; ".join(reasons))
    elif not context.stop.is_set():
        context.pulse.say("ready", where)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
