"""The part `worker`: folds, blocks, the wallet, payouts, intents."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from millpond.chains.bitcoin.daemons import DaemonSet
from millpond.chains.bitcoin.notify import BlockNews, NewsSettings
from millpond.chains.bitcoin.wallet import Wallet
from millpond.chains.coins import Coin, coin_named
from millpond.intents import Handler, Intents, Runner
from millpond.intents.faults import Faults
from millpond.mining.blocks.pps import PurchasePayer, SharePurchases
from millpond.mining.blocks.rounds import Rounds
from millpond.mining.blocks.service import Blocks
from millpond.mining.blocks.walletwatch import WalletWatch
from millpond.mining.folds.service import Fold, Folder
from millpond.mining.folds.statistics import Statistics
from millpond.mining.payouts import BitcoinPayoutHandler, PayoutRun, Payouts
from millpond.mining.rewards import scheme_from
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.mining.worker import Loop, Worker
from millpond.money.ledger import Ledger
from millpond.ops.config.settings import PoolSettings
from millpond.ops.daemons import daemon_set, wallet
from millpond.ops.part import PartContext
from millpond.risk import RiskEngine
from millpond.store import Store
from millpond.store.events import EventPruner

_FOLD_S = 0.5
_BLOCKS_S = 3.0
_PPS_S = 10.0
_WALLET_S = 10.0
_INTENTS_S = 0.5
_EVENTS_S = 600.0
_TELL_S = 2.0


async def run(context: PartContext) -> None:
    """Work until told to stop."""
    await run_with(context)


async def run_with(context: PartContext, faults: Faults | None = None) -> None:
    """Like `run`; tests hand in faults that the intents' runner meets."""
    async with contextlib.AsyncExitStack() as stack:
        rooms = await _open(context, stack)
        intents = Intents(rooms.store, context.clock, context.ids, context.entropy)
        loops = [loop for pool in context.config.the_pools for loop in _pool_loops(rooms, pool)]
        handlers: list[Handler] = []
        for coin in rooms.coins:
            payouts = rooms.payouts(coin)
            handlers.append(BitcoinPayoutHandler(payouts, rooms.wallets[coin.name]))
            loops += _coin_loops(rooms, intents, coin, payouts)
        name = f"worker-{context.ids.new()}"
        runner = Runner(intents, handlers, name, faults=faults)
        loops.append(Loop("intents", runner.run_once, _INTENTS_S, wakes=True))
        loops.append(Loop("events", EventPruner(rooms.store, context.clock).run_once, _EVENTS_S))
        worker = Worker(loops, context.clock, on_error=context.pulse.error)
        for task in _watchers(rooms, worker):
            stack.push_async_callback(_ended, task)
        stack.push_async_callback(_ended, asyncio.create_task(_tell(context, worker)))
        await worker.run(context.stop)


@dataclass(frozen=True, slots=True)
class _Rooms:
    """What the loops work with, opened once."""

    context: PartContext
    store: Store
    log: ShareLogReader
    ledger: Ledger
    coins: tuple[Coin, ...]
    daemons: dict[str, DaemonSet]
    wallets: dict[str, Wallet]

    def pools(self, coin: Coin) -> list[PoolSettings]:
        """The pools of a coin."""
        return [pool for pool in self.context.config.the_pools if pool.coin == coin.name]

    def payouts(self, coin: Coin) -> Payouts:
        """Payouts of a coin, as its first pool has them."""
        settings = self.pools(coin)[0].payouts
        clock, ids = self.context.clock, self.context.ids
        risk = RiskEngine(self.ledger, clock, ids, settings=self.context.config.risk)
        return Payouts(coin, settings, self.ledger, clock, ids, risk)


async def _open(context: PartContext, stack: contextlib.AsyncExitStack) -> _Rooms:
    config = context.config
    store = await Store.open(config.database_url, pool_size=config.database.pool_size)
    stack.push_async_callback(store.close)
    log = await ShareLogReader.open(config.sharelog_settings.url)
    stack.push_async_callback(log.close)
    names = dict.fromkeys(pool.coin for pool in config.the_pools)
    coins = tuple(coin_named(name) for name in names)
    daemons = {coin.name: daemon_set(config, coin, context.clock) for coin in coins}
    wallets = {coin.name: wallet(config, coin) for coin in coins}
    for coin in coins:
        stack.push_async_callback(daemons[coin.name].close)
        stack.push_async_callback(wallets[coin.name].close)
    return _Rooms(context, store, log, Ledger(context.clock), coins, daemons, wallets)


def _pool_loops(rooms: _Rooms, pool: PoolSettings) -> list[Loop]:
    coin, clock = coin_named(pool.coin), rooms.context.clock
    folders: list[Folder] = [
        Statistics(),
        Rounds(coin, clock, required=pool.blocks.required(coin)),
    ]
    if scheme_from(pool.rewards).pays_shares:
        folders.append(SharePurchases(rooms.ledger, coin, pool.rewards, clock))
    fold = Fold(rooms.store, rooms.log, pool.id, clock, folders=folders)
    blocks = Blocks(
        rooms.store,
        rooms.ledger,
        rooms.log,
        rooms.daemons[coin.name],
        coin=coin,
        clock=clock,
        pool_id=pool.id,
        rewards=pool.rewards,
        settings=pool.blocks,
    )
    payer = PurchasePayer(
        rooms.store,
        rooms.ledger,
        clock,
        coin=coin,
        pool_id=pool.id,
        interval_s=pool.rewards.credit_interval_s,
    )
    return [
        Loop(f"fold {pool.id}", fold.run_once, _FOLD_S),
        Loop(f"pps {pool.id}", payer.run_once, _PPS_S),
        Loop(f"blocks {pool.id}", blocks.run_once, _BLOCKS_S, wakes=True),
    ]


def _coin_loops(rooms: _Rooms, intents: Intents, coin: Coin, payouts: Payouts) -> list[Loop]:
    pools = rooms.pools(coin)
    run = PayoutRun(rooms.store, intents, payouts, pool_id=pools[0].id)
    watch = WalletWatch(
        rooms.store,
        rooms.ledger,
        rooms.wallets[coin.name],
        rooms.daemons[coin.name],
        coin=coin,
        clock=rooms.context.clock,
        pools=[(pool.id, rooms.log) for pool in pools],
    )
    return [
        Loop(f"wallet {coin.name}", watch.run_once, _WALLET_S),
        Loop(f"payouts {coin.name}", run.run_once, payouts.settings.run_interval_s),
    ]


def _watchers(rooms: _Rooms, worker: Worker) -> Iterable[asyncio.Task[None]]:
    """Tasks that follow the daemons, and wake the worker at each new block."""
    stop = rooms.context.stop
    for coin in rooms.coins:
        daemons = rooms.daemons[coin.name]
        news = BlockNews(daemons, rooms.context.clock, NewsSettings(longpoll=False))
        news.on_news(lambda _news: worker.wake())
        yield asyncio.create_task(daemons.run(stop))
        yield asyncio.create_task(news.run(stop))


async def _tell(context: PartContext, worker: Worker) -> None:
    """Keep the heartbeat true."""
    names = ", ".join(pool.id for pool in context.config.the_pools)
    while not context.stop.is_set():
        failing = [health for health in worker.health() if health.failures]
        for health in worker.health():
            context.pulse.lag(f"{health.name} failures", float(health.failures))
        if failing:
            context.pulse.say("degraded", f"{failing[0].name}: {failing[0].last_error}")
        else:
            context.pulse.say("ready", names)
        await context.clock.sleep(_TELL_S)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
