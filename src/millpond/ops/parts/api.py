"""The part `api`: the JSON interface, the WebSocket, the pages, `/metrics`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Mapping

from sqlalchemy import text

from millpond.alerts import Alerts
from millpond.api.assembly import mining_deps
from millpond.api.deps import ApiDeps
from millpond.api.models import Endpoint
from millpond.api.ports import Check, CheckResult
from millpond.api.server import bind, make_server
from millpond.api.staking.deps import StakingDeps
from millpond.api.terms import PoolTerms
from millpond.chains.coins import coin_named
from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.operations import Operations
from millpond.clock import Clock, Entropy, Ids
from millpond.intents import Intents
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.money.ledger import Ledger
from millpond.ops.config import Config
from millpond.ops.evm import open_nodes, signer_address
from millpond.ops.heartbeat import STALE_MS, read_heartbeats
from millpond.ops.metrics import gather
from millpond.ops.part import PartContext
from millpond.ops.process import reachable_host
from millpond.ops.stakingrooms import risk_engine
from millpond.oracle import Prices
from millpond.store import Store
from millpond.trail import Trail
from millpond.web.site import create_site


async def run(context: PartContext) -> None:
    """Serve until told to stop."""
    config = context.config
    async with contextlib.AsyncExitStack() as stack:
        store = await Store.open(config.database_url, pool_size=config.database.pool_size)
        stack.push_async_callback(store.close)
        log = await ShareLogReader.open(config.sharelog_settings.url)
        stack.push_async_callback(log.close)
        nodes = await _open_nodes(context, store, stack)
        deps = _deps(context, store, log, nodes)
        server = make_server(create_site(deps), config.http)
        listener = stack.enter_context(bind(config.http))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopping = asyncio.create_task(context.stop.wait())
        port = listener.getsockname()[1]
        context.pulse.say("ready", f"http://{reachable_host(config.http.host)}:{port}/")
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        stopping.cancel()


async def _open_nodes(
    context: PartContext, store: Store, stack: contextlib.AsyncExitStack
) -> dict[int, Nodes]:
    """Nodes of the chains, looked after and closed with the stack."""
    alerts = Alerts(context.clock, context.ids)
    found = {}
    for chain in context.config.the_chains:
        nodes = open_nodes(chain, store, alerts, context.clock)
        stack.push_async_callback(nodes.close)
        stack.push_async_callback(_ended, asyncio.create_task(nodes.run(context.stop)))
        found[chain.chain_id] = nodes
    return found


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def staking_deps(
    config: Config, store: Store, nodes: Mapping[int, Nodes], clock: Clock, entropy: Entropy
) -> StakingDeps:
    """The rooms of staking as the API uses them: with nodes to ask, and without any key."""
    ids = Ids(clock, entropy)
    ledger = Ledger(clock)
    addresses = {chain.chain_id: signer_address(chain) for chain in config.the_chains}
    return StakingDeps(
        ledger=ledger,
        ids=ids,
        risk=risk_engine(config, ledger, clock, ids),
        alerts=Alerts(clock, ids),
        trail=Trail(clock),
        operations=Operations(Intents(store, clock, ids, entropy)),
        prices=Prices(clock, [price.policy(config.oracle) for price in config.oracle.prices]),
        chains=nodes,
        signers={chain_id: found for chain_id, found in addresses.items() if found},
    )


def _deps(
    context: PartContext, store: Store, log: ShareLogReader, nodes: Mapping[int, Nodes]
) -> ApiDeps:
    config = context.config
    return mining_deps(
        store=store,
        share_log=log,
        terms=terms(config),
        clock=context.clock,
        entropy=context.entropy,
        settings=config.http,
        operator_key=config.operator_key,
        checks={
            "database": functools.partial(_database, store),
            **{name: _part(context, name) for name in _watched(config)},
        },
        metrics=functools.partial(gather, config.run_path, context.clock),
        staking=staking_deps(config, store, nodes, context.clock, context.entropy),
    )


def _watched(config: Config) -> tuple[str, ...]:
    """Parts without which the platform is not ready."""
    mining = ("edge", "worker") if config.mines else ()
    return (*mining, "chains") if config.the_chains else mining


def terms(config: Config) -> list[PoolTerms]:
    """What everybody may know of each pool."""
    host = reachable_host(config.stratum.host)
    found = []
    for index, pool in enumerate(config.the_pools):
        coin = coin_named(pool.coin)
        endpoints = tuple(
            Endpoint(
                url=f"stratum+tcp://{host}:{listener.port}",
                difficulty=listener.fixed_difficulty
                or listener.start_difficulty
                or config.vardiff.start,
            )
            for listener in config.listeners(index)
        )
        found.append(
            PoolTerms(
                pool_id=pool.id,
                name=pool.name or pool.id,
                coin=coin,
                rewards=pool.rewards,
                confirmations=pool.blocks.required(coin),
                payouts=pool.payouts,
                endpoints=endpoints,
            )
        )
    return found


async def _database(store: Store) -> CheckResult:
    async with store.read() as tx:
        await tx.execute(text("select 1"))
    return CheckResult(ok=True)


def _part(context: PartContext, name: str) -> Check:
    async def check() -> CheckResult:
        now_ms = context.clock.now_ms()
        for beat in read_heartbeats(context.config.run_path):
            if beat.part == name and now_ms - beat.at_ms <= STALE_MS:
                return CheckResult(ok=beat.state == "ready", detail=f"{beat.state}: {beat.detail}")
        return CheckResult(ok=False, detail="it does not run here")

    return check
