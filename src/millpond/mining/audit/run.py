"""Running all checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from millpond.chains.bitcoin.errors import RpcError
from millpond.chains.coins import Coin
from millpond.mining.audit.books import (
    check_ledger,
    check_miners,
    check_purchases_booked,
    check_rewards,
)
from millpond.mining.audit.chain import (
    AuditedChain,
    AuditedWallet,
    WalletView,
    blocks_of,
    check_blocks,
    check_payouts,
    check_wallet,
)
from millpond.mining.audit.shares import (
    check_chain,
    check_folds,
    check_marks,
    check_purchases,
    recount,
)
from millpond.mining.sharelog.errors import ShareLogCorruptError
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.money.ledger import Ledger
from millpond.money.report import Report, Row, Verdict, unknown
from millpond.store import Store

_LOOKS = 3
"""How often chain and books are compared while the pool is running and they move."""


@dataclass(frozen=True, slots=True)
class AuditedPool:
    """A pool and its share log."""

    pool_id: str
    coin: Coin
    log: ShareLogReader


@dataclass(frozen=True, slots=True)
class AuditedCoin:
    """A coin, its daemons and the wallet that its pools mine into and pay from."""

    coin: Coin
    chain: AuditedChain
    wallet: AuditedWallet


async def audit(
    store: Store,
    ledger: Ledger,
    pools: Iterable[AuditedPool],
    coins: Iterable[AuditedCoin],
    *,
    now_ms: int,
) -> Report:
    """Compare books, share log and chain; changes nothing.

    It may be run while the pool is at work. What moves between two looks is
    looked at again, up to three times.
    """
    pools = list(pools)
    rows: list[Row] = []
    async with store.read() as tx:
        rows += await check_ledger(tx, ledger)
        for mined in {pool.coin.name: pool.coin for pool in pools}.values():
            others = [pool.pool_id for pool in pools if pool.coin.name != mined.name]
            rows += await check_miners(tx, ledger, mined, others)
    for pool in pools:
        rows += await _check_pool(store, ledger, pool)
    for coin in coins:
        rows += await _check_coin(store, ledger, coin)
    return Report(at_ms=now_ms, rows=tuple(rows))


async def _check_pool(store: Store, ledger: Ledger, pool: AuditedPool) -> list[Row]:
    rows = await check_chain(pool.log, pool.pool_id)
    try:
        async with store.read() as tx:
            counted = await recount(tx, pool.log, pool.pool_id)
            rows += await check_folds(tx, pool.pool_id, counted)
            rows += await check_marks(tx, pool.pool_id, counted)
            # Also where shares are not bought any more: what was bought stays so.
            rows += await check_purchases(tx, pool.pool_id, counted)
            rows += await check_purchases_booked(tx, ledger, pool.pool_id, pool.coin)
            rows += await check_rewards(tx, ledger, pool.log, pool.pool_id, pool.coin)
    except ShareLogCorruptError as error:
        rows.append(unknown("recount", pool.pool_id, error.message))
    return rows


async def _check_coin(store: Store, ledger: Ledger, coin: AuditedCoin) -> list[Row]:
    rows: Sequence[Row] = ()
    for _ in range(_LOOKS):
        try:
            rows = await _look(store, ledger, coin)
        except RpcError as error:
            return [unknown("chain", coin.coin.name, error.message)]
        if all(row.verdict is Verdict.OK for row in rows):
            break
    return list(rows)


async def _look(store: Store, ledger: Ledger, coin: AuditedCoin) -> list[Row]:
    async with store.read() as tx:
        blocks = await blocks_of(tx, coin.coin)
        receipts = (await coin.wallet.received_since(None)).receipts
        held = await coin.wallet.balance()
        rows, on_the_way = await check_payouts(tx, ledger, coin.wallet, coin.coin)
        rows += await check_blocks(blocks, coin.chain, receipts, coin.coin)
        view = WalletView(held, receipts, on_the_way)
        rows.append(await check_wallet(tx, ledger, view, blocks, coin.coin))
    return rows
