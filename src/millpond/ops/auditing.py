"""The audit with everything that it looks at, as the configuration names it."""

from __future__ import annotations

import contextlib

import msgspec

from millpond.alerts import Alerts
from millpond.chains.coins import coin_named
from millpond.clock import Ids
from millpond.mining.audit import AuditedCoin, AuditedPool, Report, audit
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.money.ledger import Ledger
from millpond.money.report import Row, compare
from millpond.ops.config import Config
from millpond.ops.daemons import daemon_set, wallet
from millpond.ops.evm import open_nodes
from millpond.ops.system import SystemClock, SystemEntropy
from millpond.staking.audit import audit_pools
from millpond.store import Store, Tx
from millpond.trail import Trail


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
            pools.append(AuditedPool(pool.id, coin, log))
            if coin.name not in coins:
                daemons, opened = daemon_set(config, coin, clock), wallet(config, coin)
                stack.push_async_callback(daemons.close)
                stack.push_async_callback(opened.close)
                coins[coin.name] = AuditedCoin(coin, daemons, opened)
        ledger, alerts = Ledger(clock), Alerts(clock, Ids(clock, SystemEntropy()))
        report = await audit(store, ledger, pools, coins.values(), now_ms=clock.now_ms())
        chains = {
            chain.chain_id: open_nodes(chain, store, alerts, clock) for chain in config.the_chains
        }
        for nodes in chains.values():
            stack.push_async_callback(nodes.close)
        rows = await audit_pools(store, ledger, chains)
        async with store.read() as tx:
            rows += await check_trail(tx, Trail(clock))
        return msgspec.structs.replace(report, rows=(*report.rows, *rows))


async def check_trail(tx: Tx, trail: Trail) -> list[Row]:
    """Whether the trail of administrative acts is whole."""
    faults = await trail.verify(tx)
    return [compare("trail", "all entries", "0 faults", f"{len(faults)} faults")]
