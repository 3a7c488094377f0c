"""What the operator does with payouts by hand."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import select

from millpond.chains.bitcoin.wallet import Wallet
from millpond.chains.coins import Coin, coin_named
from millpond.clock import Ids
from millpond.errors import NotFoundError
from millpond.intents import Intent, Intents, Operator
from millpond.mining.payouts import BitcoinPayoutHandler, Payout, PayoutRun, Payouts
from millpond.mining.payouts import queries as payout_queries
from millpond.mining.payouts.run import DryRun, RunResult
from millpond.mining.payouts.tables import payout_batch_table
from millpond.money.ledger import Ledger
from millpond.ops.config import Config
from millpond.ops.daemons import wallet
from millpond.ops.system import SystemClock, SystemEntropy
from millpond.risk import RiskEngine
from millpond.store import Store

ACTS = ("retry", "abandon", "freeze", "release")


@dataclass(frozen=True, slots=True)
class _Coin:
    coin: Coin
    pool_id: str
    payouts: Payouts
    wallet: Wallet


class PayoutDesk:
    """Payouts of every coin of a configuration; see `open_desk`."""

    def __init__(self, store: Store, intents: Intents, coins: list[_Coin]) -> None:
        self._store = store
        self._intents = intents
        self._coins = coins
        handlers = [BitcoinPayoutHandler(each.payouts, each.wallet) for each in coins]
        self._operator = Operator(intents, handlers)

    async def run(self, *, automatic: bool | None = True) -> dict[str, RunResult]:
        """Request what is due and write the batches, by coin; a worker sends them."""
        return {
            each.coin.name: await self._run_of(each).run_once(automatic=automatic)
            for each in self._coins
        }

    async def dry_run(self) -> dict[str, DryRun]:
        """What `run` would do, by coin; nothing is changed."""
        return {
            each.coin.name: await self._run_of(each).dry_run(automatic=True) for each in self._coins
        }

    async def listed(self, *, wallet: str | None, limit: int) -> list[Payout]:
        """Payouts, newest first."""
        async with self._store.read() as tx:
            return await payout_queries.listed(tx, wallet=wallet, limit=limit)

    async def act(
        self, act: str, payout_id: str, *, actor: str, reason: str, confirm: str | None = None
    ) -> Intent:
        """Do one of `ACTS` to the transaction that a payout goes with.

        Raises:
            NotFoundError: There is no such payout, or it has no transaction yet.
            MillpondError: The intent does not allow it now.
        """
        assert act in ACTS, f"{act} is no act"
        intent_id = await self._intent_of(payout_id)
        if act == "abandon":
            return await self._operator.abandon(
                intent_id, actor=actor, reason=reason, confirm=confirm
            )
        operation = getattr(self._operator, act)
        done: Intent = await operation(intent_id, actor=actor, reason=reason)
        return done

    def _run_of(self, each: _Coin) -> PayoutRun:
        return PayoutRun(self._store, self._intents, each.payouts, pool_id=each.pool_id)

    async def _intent_of(self, payout_id: str) -> str:
        async with self._store.read() as tx:
            payout = await payout_queries.payout(tx, payout_id)
            query = select(payout_batch_table.c.intent_id).where(
                payout_batch_table.c.id == payout.batch_id
            )
            found = (await tx.execute(query)).scalar()
        if found is None:
            raise NotFoundError(f"payout {payout_id} is {payout.state} and in no transaction yet")
        return str(found)


@contextlib.asynccontextmanager
async def open_desk(config: Config) -> AsyncIterator[PayoutDesk]:
    """Open the database and the wallets that payouts need."""
    clock, entropy = SystemClock(), SystemEntropy()
    ids = Ids(clock, entropy)
    store = await Store.open(config.database_url, pool_size=1)
    coins: dict[str, _Coin] = {}
    for pool in config.the_pools:
        coin = coin_named(pool.coin)
        if coin.name not in coins:
            ledger = Ledger(clock)
            risk = RiskEngine(ledger, clock, ids, settings=config.risk)
            payouts = Payouts(coin, pool.payouts, ledger, clock, ids, risk)
            coins[coin.name] = _Coin(coin, pool.id, payouts, wallet(config, coin))
    try:
        yield PayoutDesk(store, Intents(store, clock, ids, entropy), list(coins.values()))
    finally:
        for each in coins.values():
            await each.wallet.close()
        await store.close()
