"""A pool with miners, blocks and payouts, made by the real rooms; and its site."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
from coincurve import PrivateKey

from millpond.api.assembly import mining_deps
from millpond.api.deps import ApiDeps
from millpond.api.models import Endpoint
from millpond.api.settings import ApiSettings
from millpond.api.terms import PoolTerms
from millpond.chains.bitcoin.address import encode_segwit
from millpond.chains.bitcoin.hashes import hash160
from millpond.chains.bitcoin.message import sign_message
from millpond.chains.coins import COINS
from millpond.clock import ManualClock, SeededEntropy
from millpond.identity import action_message
from millpond.mining.blocks.rounds import Rounds
from millpond.mining.blocks.service import Blocks
from millpond.mining.blocks.settings import BlockSettings
from millpond.mining.folds.service import Fold
from millpond.mining.folds.statistics import Statistics
from millpond.mining.payouts.settings import PayoutSettings
from millpond.mining.rewards import RewardSettings
from millpond.mining.sharelog import RejectReason
from millpond.money.ledger import Ledger
from millpond.store import Store
from millpond.web.site import create_site
from tests.mining.blocks.chain import ToldChain
from tests.mining.share_log import POOL, HandLog

COIN = COINS["devcoin"]
NETWORK = 1 << 40
SHARE = 1 << 34
REWARD = 50 * 10**8
OPERATOR_KEY = "correct horse battery staple"


@dataclass(frozen=True)
class Wallet:
    """A real key and its segwit address."""

    key: PrivateKey
    address: str

    @classmethod
    def number(cls, number: int) -> Wallet:
        key = PrivateKey(number.to_bytes(32, "big"))
        return cls(key, encode_segwit(0, hash160(key.public_key.format()), COIN))

    def sign(self, message: str) -> str:
        return sign_message(COIN, self.key, message)

    def headers(self, action: str, body: bytes, *, at_ms: int, nonce: str) -> dict[str, str]:
        message = action_message(
            pool_id=POOL,
            wallet=self.address,
            action=action,
            body=body,
            timestamp_ms=at_ms,
            nonce=nonce,
        )
        return {
            "millpond-timestamp": str(at_ms),
            "millpond-nonce": nonce,
            "millpond-signature": self.sign(message),
            "content-type": "application/json",
        }


ANN, BOB, EVE = (Wallet.number(n) for n in (11, 22, 33))


@dataclass
class RealPool:
    """Shares in a real log, folded, blocks followed and credited."""

    store: Store
    clock: ManualClock
    log: HandLog
    chain: ToldChain = field(default_factory=lambda: ToldChain(height=100))
    settings: ApiSettings = field(default_factory=lambda: ApiSettings(port=0))
    ledger: Ledger = field(init=False)
    rounds: Rounds = field(init=False)
    fold: Fold = field(init=False)
    blocks: Blocks = field(init=False)
    terms: PoolTerms = field(init=False)
    deps: ApiDeps = field(init=False)

    @classmethod
    async def make(cls, store: Store, settings: ApiSettings | None = None) -> RealPool:
        pool = cls(store, ManualClock(), await HandLog.make(store))
        if settings is not None:
            pool.settings = settings
        pool.ledger = Ledger(pool.clock)
        rewards = RewardSettings(fee_bp=100)
        blocks = BlockSettings(confirmations=COIN.maturity + 1)
        pool.rounds = Rounds(COIN, pool.clock, required=blocks.required(COIN))
        pool.fold = Fold(
            store, pool.log.reader, POOL, pool.clock, folders=[Statistics(), pool.rounds]
        )
        pool.blocks = Blocks(
            store,
            pool.ledger,
            pool.log.reader,
            pool.chain,
            coin=COIN,
            clock=pool.clock,
            pool_id=POOL,
            rewards=rewards,
            settings=blocks,
        )
        pool.terms = PoolTerms(
            pool_id=POOL,
            name="Dev pool",
            coin=COIN,
            rewards=rewards,
            confirmations=blocks.required(COIN),
            payouts=PayoutSettings(),
            endpoints=(Endpoint(url="stratum+tcp://127.0.0.1:3333", difficulty=1.0),),
        )
        pool.deps = pool.make_deps()
        return pool

    def make_deps(self) -> ApiDeps:
        return mining_deps(
            store=self.store,
            share_log=self.log.reader,
            terms=[self.terms],
            clock=self.clock,
            entropy=SeededEntropy(5),
            settings=self.settings,
            operator_key=OPERATOR_KEY,
        )

    async def mine(self, shares: int = 30, *, block: str | None = None) -> None:
        """Ann has two rigs, Bob one; every tenth share of Bob's is stale."""
        at_ms = self.clock.now_ms()
        height = self.chain.height + 1
        names = (f"{ANN.address}.rig-1", f"{ANN.address}.rig-2", BOB.address)
        rows: list[tuple[Any, ...]] = [
            (at_ms + i * 100, names[i % 3], height, NETWORK, SHARE, 0x1D00FFFF)
            for i in range(shares)
        ]
        if block is not None:
            rows[-1] = (*rows[-1], block, REWARD)
            self.chain.height = height
            self.chain.best[block] = height
        await self.log.group(rows, [(at_ms, BOB.address, RejectReason.STALE, SHARE)] * 3)
        self.clock.advance(shares / 10)
        await self.follow()

    async def follow(self, *, grow: int = 0) -> None:
        self.chain.height += grow
        while (await self.fold.run_once()).groups:
            pass
        await self.blocks.run_once()

    async def with_history(self) -> RealPool:
        """Three blocks: one mature, one orphaned, one confirming."""
        await self.mine(block="aa" * 32)
        await self.mine(block="bb" * 32)
        height = self.chain.best.pop("bb" * 32)
        self.chain.side["bb" * 32] = height
        await self.follow(grow=10)
        await self.mine(block="cc" * 32)
        await self.mine()
        return self

    def client(self) -> httpx.AsyncClient:
        """Talks to the site in this process."""
        transport = httpx.ASGITransport(create_site(self.deps), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://pool.test")
