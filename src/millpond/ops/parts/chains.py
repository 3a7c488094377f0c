"""The part `chains`: indexer, rewards, withdrawals, prices, transactions, tasks."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import structlog

from millpond.alerts import Alerts
from millpond.chains.evm.metrics import NodesCollector
from millpond.chains.evm.operations import Operations
from millpond.errors import MillpondError
from millpond.intents import Intents
from millpond.intents.faults import Faults
from millpond.mining.worker import Loop, Worker
from millpond.ops.config.evm import DEVEVM
from millpond.ops.evm import EvmDesk, EvmRoom, open_room
from millpond.ops.part import PartContext
from millpond.ops.stakingrooms import StakingRooms, staking_rooms
from millpond.ops.stakingtasks import staking_tasks
from millpond.store import Store
from millpond.tasks import Scheduler

_log = structlog.get_logger(__name__)
_INTENTS_S = 0.3
_NODES_S = 5.0
_TASKS_S = 1.0
_TELL_S = 2.0
_DEMO_RETRY_S = 5.0


async def run(context: PartContext) -> None:
    """Work until told to stop."""
    await run_with(context)


async def run_with(context: PartContext, faults: Faults | None = None) -> None:
    """Like `run`; tests hand in faults that intents and transactions meet."""
    config, clock = context.config, context.clock
    async with contextlib.AsyncExitStack() as stack:
        store = await Store.open(config.database_url, pool_size=config.database.pool_size)
        stack.push_async_callback(store.close)
        intents = Intents(store, clock, context.ids, context.entropy)
        alerts = Alerts(clock, context.ids)
        opened = [
            await stack.enter_async_context(open_room(chain, intents, alerts, clock, faults=faults))
            for chain in config.the_chains
        ]
        for room in opened:
            context.metrics.registry().register(NodesCollector(room.nodes))
        name = f"chains-{context.ids.new()}"
        rooms = staking_rooms(config, intents, opened, name=name, faults=faults)
        stack.push_async_callback(rooms.feeds.close)
        tasks = staking_tasks(config, rooms, clock)
        scheduler = Scheduler(store, clock, context.entropy, name, tasks)
        worker = Worker(_loops(context, rooms), clock, on_error=context.pulse.error)
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run(context.stop))
            group.create_task(scheduler.run(context.stop, poll_s=_TASKS_S))
            teller = group.create_task(_tell(context, worker))
            demo = group.create_task(_demo(context, rooms, opened))
            await context.stop.wait()
            teller.cancel()
            demo.cancel()


def _loops(context: PartContext, rooms: StakingRooms) -> list[Loop]:
    poll_s = 1.0 if context.config.uses_devevm else context.config.staking.poll_s
    loops: list[Loop] = []
    for chain_id, room in rooms.chains.items():
        name = room.settings.name
        # One a chain: the nodes of one that are away hold up no other.
        loops += [
            Loop(f"indexer {name}", partial(rooms.indexer.run_chain, chain_id), poll_s),
            Loop(f"nodes {name}", room.silence.check, room.settings.nodes.interval_s),
            Loop(f"transactions {name}", rooms.runners[chain_id].run_once, _INTENTS_S),
            Loop(f"keeper {name}", room.keeper.run_once, room.settings.tx.keeper_s),
        ]
    return loops


async def _tell(context: PartContext, worker: Worker) -> None:
    """Say how the loops are until cancelled."""
    while True:
        failing = [health.name for health in worker.health() if health.failures]
        if failing:
            context.pulse.say("degraded", f"failing: {', '.join(failing)}")
        else:
            context.pulse.say("ready", "follows the chains")
        await context.clock.sleep(_TELL_S)


async def _demo(context: PartContext, rooms: StakingRooms, opened: list[EvmRoom]) -> None:
    """Set the demo up on the embedded chain; what fails is tried again."""
    embedded = [room for room in opened if room.settings.name == DEVEVM]
    if not embedded:
        return
    from millpond.ops.stakingdemo import set_up  # noqa: PLC0415 - only where it runs

    desk = EvmDesk(
        context.config,
        rooms.store,
        rooms.intents,
        rooms.alerts,
        context.clock,
        embedded[0],
        Operations(rooms.intents),
    )
    while True:
        try:
            await set_up(desk, lambda line: _log.info("demo", step=line))
        except MillpondError as error:
            _log.warning("demo_waits", error=error.message)
            await context.clock.sleep(_DEMO_RETRY_S)
        else:
            return
