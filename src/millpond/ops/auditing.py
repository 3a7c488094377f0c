"""The audit with everything that it looks at, as the configuration names it."""

from __future__ import annotations

import contextlib

from millpond.chains.coins import coin_named
from millpond.mining.audit import AuditedCoin, AuditedPool, Report, audit
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.money.ledger import Ledger
from millpond.ops.config import Config
from millpond.ops.daemons import daemon_set, wallet
from millpond.ops.system import SystemClock
from millpond.store import Store


async def run_audit(config: Config) -> Report:
    """Compare books, share log and chain; changes nothing.

    Raises:
        MillpondError: The database or the share log cannot be opened.
    """
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        store = await Store.open(config.database_url, pool_size=config.database.pool_size)
        stack.push_async_callback(store.close)
        log = await ShareLogReader.open(config.sharelog_settings.url)
        stack.push_async_callback(log.close)
        pools, coins = [], {}
        for pool in config.the_pools:
            coin = coin_named(pool.coin)
            pools.append(AuditedPool(pool.id, coin, log, pool.rewards))
            if coin.name not in coins:
                daemons, opened = daemon_set(config, coin, clock), wallet(config, coin)
                stack.push_async_callback(daemons.close)
                stack.push_async_callback(opened.close)
                coins[coin.name] = AuditedCoin(coin, daemons, opened)
        return await audit(store, Ledger(clock), pools, coins.values(), now_ms=clock.now_ms())
