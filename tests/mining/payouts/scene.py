"""A pool's books, a wallet and everything that pays out, for tests."""

from __future__ import annotations

from typing import Any

from millpond.chains.bitcoin.address import encode_segwit
from millpond.chains.coins import Coin
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.intents import Intent, Intents, Operator, Runner
from millpond.mining.accounts import capital, miner_balance, pool_wallet
from millpond.mining.payouts import (
    BitcoinPayoutHandler,
    Payout,
    PayoutRun,
    Payouts,
    PayoutSettings,
    queries,
)
from millpond.money.ledger import Ledger
from millpond.money.model import Balance, Transfer
from millpond.store import Store
from millpond.store.events import read_events

LTC = 10**8


def address(coin: Coin, number: int) -> str:
    """An address of nobody in particular."""
    return encode_segwit(0, number.to_bytes(20, "big"), coin)


class PayoutScene:
    """One coin, one pool, miners with balances."""

    def __init__(
        self, store: Store, coin: Coin, wallet: Any, settings: PayoutSettings | None = None
    ) -> None:
        self.store = store
        self.coin = coin
        self.clock = ManualClock()
        entropy = SeededEntropy(3)
        ids = Ids(self.clock, entropy)
        self.ledger = Ledger(self.clock)
        self.settings = settings or PayoutSettings(confirmations=2, poll_s=1, patience_s=5)
        self.payouts = Payouts(coin, self.settings, self.ledger, self.clock, ids)
        self.intents = Intents(store, self.clock, ids, entropy)
        self.handler = BitcoinPayoutHandler(self.payouts, wallet)
        self.runner = Runner(self.intents, [self.handler], "w1")
        self.operator = Operator(self.intents, [self.handler])
        self.run = PayoutRun(store, self.intents, self.payouts, pool_id="main")
        self._credits = 0

    async def top_up(self, units: int) -> None:
        """The operator brings money into the wallet."""
        await self._post(pool_wallet(self.coin), capital(self.coin), units)

    async def credit(self, wallet: str, units: int) -> None:
        """A reward out of the operator's pocket: it moves capital to the miner."""
        await self._post(capital(self.coin), miner_balance(self.coin, wallet), units)

    async def _post(self, debit: Any, credit: Any, units: int) -> None:
        self._credits += 1
        amount = self.coin.asset.amount(units)
        async with self.store.begin() as tx:
            await self.ledger.post(
                tx, [Transfer(f"t{self._credits}", debit, credit, amount, "test")]
            )

    async def request(self, wallet: str, **options: Any) -> Payout:
        self.clock.advance(0.001)
        async with self.store.begin() as tx:
            return await self.payouts.request(tx, pool_id="main", wallet=wallet, **options)

    async def get(self, payout: Payout) -> Payout:
        async with self.store.read() as tx:
            return await queries.payout(tx, payout.id)

    async def balance(self, account: Any) -> Balance:
        async with self.store.read() as tx:
            return (await self.ledger.balances(tx, [account]))[account]

    async def owed(self, wallet: str) -> int:
        return (await self.balance(miner_balance(self.coin, wallet))).available.units

    async def held(self) -> int:
        """What the books say is in the wallet."""
        return (await self.balance(pool_wallet(self.coin))).posted.units

    async def intents_listed(self) -> list[Intent]:
        async with self.store.read() as tx:
            return await self.intents.listed(tx)

    async def events(self, topic: str) -> list[dict[str, Any]]:
        async with self.store.read() as tx:
            return [e.payload for e in await read_events(tx, after=0, topics=[topic], limit=1000)]

    async def drain(self, seconds: float = 0) -> None:
        self.clock.advance(seconds)
        for _ in range(100):
            if not await self.runner.run_once():
                return
        raise AssertionError("the runner never comes to rest")

    async def assert_books_hold(self) -> None:
        async with self.store.read() as tx:
            assert await self.ledger.verify(tx) == []
