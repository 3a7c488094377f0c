"""A pool's booked events, written as the indexer writes them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, update

from millpond.alerts import Alerts
from millpond.chains.evm.address import checksum
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.money.ledger import Ledger
from millpond.money.model import Transfer
from millpond.staking.accounts import derived_id, principal, reward_funds, reward_reserve, staked
from millpond.staking.model import EventKind, EventState
from millpond.staking.pools import PoolKind, StakingPool, create_pool
from millpond.staking.rewards.epochs import Epochs
from millpond.staking.rewards.weights import Weights
from millpond.staking.tables import checkpoint_table, event_table, position_table
from millpond.store import Store, Tx
from millpond.trail import Trail
from tests.staking.samples import direct_pool

E18 = 10**18
ZERO_S = 1_700_000_000 // 300 * 300


def wallet(number: int) -> str:
    """An address."""
    return checksum(f"0x{number:040x}")


ALICE, BOB, CAROL = wallet(0xA1), wallet(0xB0), wallet(0xC4)


class World:
    """A store with one pool, whose chain the test plays."""

    def __init__(self, store: Store, pool: StakingPool | None = None) -> None:
        self.store = store
        self.pool = pool or direct_pool(
            epoch_zero_s=ZERO_S, epoch_s=300, reward_per_minute=E18, confirmations=1
        )
        self.clock = ManualClock(ZERO_S * 1000)
        self.entropy = SeededEntropy(1)
        self.ids = Ids(self.clock, self.entropy)
        self.ledger = Ledger(self.clock)
        self.alerts = Alerts(self.clock, self.ids)
        self.trail = Trail(self.clock)
        self.weights = Weights(self.clock, self.trail)
        self.epochs = Epochs(self.ledger, self.clock, self.alerts, self.trail)
        self.balances: dict[str, int] = {}
        self.seq = 0

    async def create(self) -> World:
        """Write the pool."""
        async with self.store.begin() as tx:
            await create_pool(tx, self.pool, self.clock)
        return self

    async def event(self, tx: Tx, at_s: int, kind: EventKind, who: str, amount: int, **more: Any):
        """One booked event at `at_s` seconds behind epoch zero."""
        self.seq += 1
        values = {
            "pool_id": self.pool.pool_id,
            "seq": self.seq,
            "block_number": self.seq,
            "block_hash": f"0x{self.seq:064x}",
            "block_time_s": ZERO_S + at_s,
            "tx_hash": f"0x{self.seq:064x}",
            "log_index": 0,
            "ordinal": 0,
            "round": 0,
            "kind": kind.value,
            "wallet": who,
            "amount": amount,
            "balance": None,
            "details": {},
            "state": EventState.BOOKED.value,
        }
        await tx.execute(insert(event_table).values(values | more))
        if more.get("balance") is not None:
            await self.position(tx, who, more["balance"])
        return derived_id("test", self.pool.pool_id, self.seq)

    async def hold(self, at_s: int, who: str, balance: int) -> None:
        """`who` holds `balance` from then on."""
        before = self.balances.get(who, 0)
        self.balances[who] = balance
        kind = EventKind.DEPOSIT if balance >= before else EventKind.WITHDRAW
        async with self.store.begin() as tx:
            name = await self.event(tx, at_s, kind, who, abs(balance - before), balance=balance)
            sides = (
                principal(self.pool.pool_id, self.pool.stake),
                staked(self.pool.pool_id, who, self.pool.stake),
            )
            debit, credit = sides if balance > before else sides[::-1]
            if balance != before:
                amount = self.pool.stake.amount(abs(balance - before))
                await self.ledger.post(tx, [Transfer(name, debit, credit, amount, "stake")])

    async def position(self, tx: Tx, who: str, balance: int) -> None:
        """The row that the indexer keeps of a wallet."""
        values = {"pool_id": self.pool.pool_id, "wallet": who, "balance": balance, "seen": balance}
        values |= {"staked": int(balance > 0), "since_s": 0, "seq": self.seq}
        here = position_table.c.pool_id == self.pool.pool_id, position_table.c.wallet == who
        await tx.execute(delete(position_table).where(*here))
        await tx.execute(insert(position_table).values(values))

    async def fund(self, at_s: int, amount: int) -> None:
        """Reward funds arrive."""
        asset = self.pool.asset
        async with self.store.begin() as tx:
            name = await self.event(tx, at_s, EventKind.FUNDED, "", amount)
            sides = reward_funds(self.pool.pool_id, asset), reward_reserve(self.pool.pool_id, asset)
            await self.ledger.post(tx, [Transfer(name, *sides, asset.amount(amount), "funded")])

    async def mark(self, at_s: int) -> None:
        """Everything up to then is booked, and the clock is there too."""
        self.clock.advance(max(0, ZERO_S + at_s - self.clock.now_ms() / 1000))
        async with self.store.begin() as tx:
            mine = checkpoint_table.c.pool_id == self.pool.pool_id
            await tx.execute(delete(checkpoint_table).where(mine))
            values = {
                "pool_id": self.pool.pool_id,
                "chain_id": self.pool.chain_id,
                "number": self.seq,
                "block_hash": "",
                "block_time_s": ZERO_S + at_s,
                "trail": [],
                "booked_number": self.seq,
                "booked_time_s": ZERO_S + at_s,
                "head": self.seq,
                "last_seq": self.seq,
                "events": self.seq,
                "total_seen": 0,
                "reorgs": 0,
                "stopped": "",
                "updated_ms": 0,
            }
            await tx.execute(insert(checkpoint_table).values(values))

    async def undo(self, seq: int) -> None:
        """A reorg takes an event back."""
        async with self.store.begin() as tx:
            await tx.execute(
                update(event_table)
                .where(event_table.c.seq == seq)
                .values(state=EventState.UNDONE.value)
            )

    async def close_next(self):
        """Close one epoch."""
        async with self.store.begin() as tx:
            return await self.epochs.close_next(tx, self.pool.pool_id)

    async def close_all(self) -> list[Any]:
        """Close whatever can be closed."""
        found = []
        while (epoch := await self.close_next()) is not None:
            found.append(epoch)
        return found


def vault(**terms: Any) -> StakingPool:
    """A vault with hourly epochs."""
    from tests.staking.samples import vault_pool

    values = {"epoch_zero_s": ZERO_S, "epoch_s": 3600, "reward_per_minute": E18, "confirmations": 1}
    pool = vault_pool(**values | terms)
    assert pool.kind is PoolKind.VAULT
    return pool
