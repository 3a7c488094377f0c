"""A pool with a hand-written log and a told chain, and what its books say."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert

from millpond.chains.coins import COINS, Coin
from millpond.clock import ManualClock
from millpond.mining.accounts import miner_balance, pool_fees, pool_wallet, risk
from millpond.mining.blocks import queries
from millpond.mining.blocks.model import Block
from millpond.mining.blocks.pps import SharePurchases
from millpond.mining.blocks.rounds import Rounds
from millpond.mining.blocks.service import Blocks
from millpond.mining.blocks.settings import BlockSettings
from millpond.mining.folds.service import Fold
from millpond.mining.folds.statistics import Statistics
from millpond.mining.rewards import RewardSettings, scheme_from
from millpond.mining.sharelog.tables import candidates
from millpond.money.ledger import Ledger
from millpond.store import Store
from millpond.store.events import read_events
from tests.mining.blocks.chain import ToldChain
from tests.mining.share_log import POOL, HandLog

COIN = COINS["devcoin"]
ONE = 1 << 32
NETWORK = 100 * ONE
REWARD = 5_000_000_000
BITS = 0x1B00FFFF


def hash_of(number: int) -> str:
    return f"{number:064x}"


@dataclass
class Pool:
    """Everything that stands between the log, the chain and the ledger."""

    store: Store
    log: HandLog
    clock: ManualClock
    rewards: RewardSettings = field(default_factory=lambda: RewardSettings(fee_bp=100))
    chain: ToldChain = field(default_factory=ToldChain)
    coin: Coin = COIN
    daemons: Any = None

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.clock)
        required = BlockSettings().required(self.coin)
        folders: list[Any] = [Statistics(), Rounds(self.coin, self.clock, required=required)]
        if scheme_from(self.rewards).pays_shares:
            folders.append(SharePurchases(self.ledger, self.coin, self.rewards, self.clock))
        self.fold = Fold(self.store, self.log.reader, POOL, self.clock, folders=folders)
        self.blocks = Blocks(
            self.store,
            self.ledger,
            self.log.reader,
            self.daemons or self.chain,
            coin=self.coin,
            clock=self.clock,
            pool_id=POOL,
            rewards=self.rewards,
        )

    async def shares(self, *workers: str, difficulty: int = 10 * ONE) -> None:
        """One group with a share of each worker."""
        now = self.clock.now_ms()
        await self.log.group([(now, w, 100, NETWORK, difficulty, BITS) for w in workers])

    async def found(
        self, number: int, worker: str, *, height: int = 101, on_chain: bool = True
    ) -> None:
        """A share of ten that finds block `number`."""
        row = (self.clock.now_ms(), worker, height, NETWORK, 10 * ONE, BITS)
        await self.log.group([(*row, hash_of(number), REWARD)])
        if on_chain:
            self.chain.best[hash_of(number)] = height
            self.chain.height = max(self.chain.height, height)

    async def candidate(self, number: int, worker: str, raw: bytes, *, height: int = 101) -> None:
        async with self.store.begin() as tx:
            await tx.execute(
                insert(candidates).values(
                    block_hash=hash_of(number),
                    pool_id=POOL,
                    edge="edge-1",
                    height=height,
                    worker=worker,
                    found_ms=self.clock.now_ms(),
                    block=raw,
                    state="unknown",
                    result="",
                    updated_ms=0,
                )
            )
        self.chain.takes[raw.hex()] = (hash_of(number), height)

    async def step(self) -> None:
        """One turn of the worker."""
        await self.fold.run_to_end()
        await self.blocks.run_once()

    async def block(self, number: int) -> Block:
        async with self.store.read() as tx:
            found = await queries.find_block(tx, hash_of(number))
        assert found is not None
        return found

    async def books(self, *wallets: str) -> dict[str, tuple[int, int]]:
        """`(posted, incoming)` of wallet, fees, risk and the miners named."""
        accounts = {
            "wallet": pool_wallet(self.coin),
            "fees": pool_fees(POOL, self.coin),
            "risk": risk(POOL, self.coin),
            **{wallet: miner_balance(self.coin, wallet) for wallet in wallets},
        }
        async with self.store.read() as tx:
            balances = await self.ledger.balances(tx, list(accounts.values()))
            assert await self.ledger.verify(tx) == []
        return {
            name: (balances[account].posted.units, balances[account].incoming.units)
            for name, account in accounts.items()
            if balances[account].posted.units or balances[account].incoming.units
        }

    async def states(self) -> list[str]:
        """The states that were published, in order."""
        async with self.store.read() as tx:
            events = await read_events(tx, after=0, topics=["blocks"], limit=1000)
        return [event.payload["state"] for event in events if event.payload["kind"] == "block"]
