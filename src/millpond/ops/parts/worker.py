"""The part `worker`: folds, blocks, payouts, intents; everything between log and chain."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from millpond.chains.coins import coin_named
from millpond.errors import MillpondError
from millpond.intents import Intents, Runner
from millpond.intents.faults import Faults
from millpond.mining.blocks.pps import SharePurchases
from millpond.mining.blocks.rounds import Rounds
from millpond.mining.blocks.service import Blocks
from millpond.mining.folds.service import Fold, Folder
from millpond.mining.folds.statistics import Statistics
from millpond.mining.payouts import BitcoinPayoutHandler, PayoutRun, Payouts
from millpond.mining.rewards import scheme_from
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.money.ledger import Ledger
from millpond.ops.config.settings import PoolSettings
from millpond.ops.daemons import daemon_set, wallet
from millpond.ops.part import PartContext
from millpond.store import Store

_FOLD_S = 0.5
_BLOCKS_S = 1.0
_PAUSE_LONGEST_S = 30.0
Step = Callable[[], Awaitable[object]]


async def run(context: PartContext) -> None:
    """Work until told to stop."""
    await run_with(context)


async def run_with(context: PartContext, faults: Faults | None = None) -> None:
    """Like `run`; tests hand in faults that the intents' runner meets."""
    config = context.config
    async with contextlib.AsyncExitStack() as stack:
        store = await Store.open(config.database_url, pool_size=config.database.pool_size)
        stack.push_async_callback(store.close)
        log = await ShareLogReader.open(config.sharelog_settings.url)
        stack.push_async_callback(log.close)
        ledger = Ledger(context.clock)
        intents = Intents(store, context.clock, context.ids, context.entropy)
        loops: list[Awaitable[None]] = []
        handlers: dict[str, BitcoinPayoutHandler] = {}
        for pool in config.the_pools:
            coin = coin_named(pool.coin)
            daemons = daemon_set(config, coin, context.clock)
            stack.push_async_callback(daemons.close)
            fold = Fold(store, log, pool.id, context.clock, folders=_folders(context, ledger, pool))
            blocks = Blocks(
                store,
                ledger,
                log,
                daemons,
                coin=coin,
                clock=context.clock,
                pool_id=pool.id,
                rewards=pool.rewards,
                settings=pool.blocks,
            )
            loops += [
                daemons.run(context.stop),
                _repeat(context, f"fold {pool.id}", fold.run_to_end, _FOLD_S),
                _repeat(context, f"blocks {pool.id}", blocks.run_once, _BLOCKS_S),
            ]
            if coin.name in handlers:
                continue
            opened = wallet(config, coin)
            stack.push_async_callback(opened.close)
            payouts = Payouts(coin, pool.payouts, ledger, context.clock, context.ids)
            handlers[coin.name] = BitcoinPayoutHandler(payouts, opened)
            payout_run = PayoutRun(store, intents, payouts, pool_id=pool.id)
            pause_s = pool.payouts.run_interval_s
            loops.append(_repeat(context, f"payouts {pool.id}", payout_run.run_once, pause_s))
        runner = Runner(intents, handlers.values(), f"worker-{context.ids.new()}", faults=faults)
        loops.append(runner.run(context.stop))
        context.pulse.say("ready", f"{', '.join(pool.id for pool in config.the_pools)}")
        await _all(context, loops)


def _folders(context: PartContext, ledger: Ledger, pool: PoolSettings) -> list[Folder]:
    """What is folded from the log of a pool."""
    coin = coin_named(pool.coin)
    rounds = Rounds(coin, context.clock, required=pool.blocks.required(coin))
    found: list[Folder] = [Statistics(), rounds]
    if scheme_from(pool.rewards).pays_shares:
        found.append(SharePurchases(ledger, coin, pool.rewards))
    return found


async def _repeat(context: PartContext, name: str, step: Step, pause_s: float) -> None:
    """Do `step` again and again; what fails is told and tried again, less and less often."""
    log = structlog.get_logger("worker")
    failures = 0
    while not context.stop.is_set():
        try:
            await step()
            failures = 0
        except (MillpondError, SQLAlchemyError) as error:
            failures += 1
            reason = getattr(error, "message", str(error)[:300])
            log.warning("step_failed", step=name, reason=reason, failures=failures)
            context.pulse.error(f"{name}: {reason}")
        context.pulse.lag(f"{name} failures", float(failures))
        with contextlib.suppress(TimeoutError):
            wait_s = min(pause_s * 2 ** min(failures, 6), max(_PAUSE_LONGEST_S, pause_s))
            await asyncio.wait_for(context.stop.wait(), wait_s)


async def _all(context: PartContext, loops: list[Awaitable[None]]) -> None:
    """Run the loops; if one breaks, the others end and the part with it."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    if any(task.exception() for task in done):
        context.stop.set()
    for task in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(task, BaseException):
            raise task
