"""From the contracts' events over the indexer and the epochs to statements that verify."""

from __future__ import annotations

import random

import pytest

from millpond.clock import SeededEntropy
from millpond.money.ledger import Ledger
from millpond.risk import RiskEngine
from millpond.staking import accounts
from millpond.staking.indexer import Indexer
from millpond.staking.rewards import rows
from millpond.staking.rewards.chainlog import ChainLog
from millpond.staking.rewards.claims import ClaimBooks, Claims, ClaimState, listed
from millpond.staking.rewards.cycle import RewardCycle
from millpond.staking.rewards.epochs import DISPUTED, Epochs
from millpond.staking.rewards.model import Epoch
from millpond.staking.rewards.statement import decode
from millpond.staking.rewards.statements import export
from millpond.staking.rewards.verify import Report, verify
from millpond.store import Store
from millpond.trail import Trail
from tests.staking.chain import PaperChain, wallet
from tests.staking.rig import Rig, rig_for
from tests.staking.samples import direct_pool, vault_pool

E18 = 10**18
PEOPLE = [wallet(number) for number in range(1, 6)]
FUNDER = wallet(50)
ZERO_S = 1_700_000_000
DIRECT, VAULT = "btcd-main-pool", "btcd-vault"


class Story:
    """Both kinds of pool on one paper chain, followed by the indexer and the reward cycle."""

    def __init__(self, rig: Rig, claims: Claims, cycle: RewardCycle, epochs: Epochs) -> None:
        self.rig = rig
        self.chain = rig.chain
        self.claims = claims
        self.cycle = cycle
        self.epochs = epochs
        self.random = random.Random(11)

    @classmethod
    async def begin(cls, store: Store) -> Story:
        terms = {"epoch_zero_s": ZERO_S, "reward_per_minute": 7 * E18 + 3, "confirmations": 3}
        pools = [direct_pool(epoch_s=60, **terms), vault_pool(epoch_s=180, **terms)]
        rig = await rig_for(store, pools, chain=PaperChain(pools))
        claims = Claims(rig.ledger, RiskEngine(rig.ledger, rig.clock, rig.ids), rig.clock, rig.ids)
        rig.indexer = Indexer(
            store,
            {31337: rig.chain},
            ledger=rig.ledger,
            alerts=rig.alerts,
            clock=rig.clock,
            claims=ClaimBooks(claims),
        )
        epochs = Epochs(Ledger(rig.clock), rig.clock, rig.alerts, Trail(rig.clock))
        cycle = RewardCycle(store, epochs, rig.clock, SeededEntropy(1), rig.alerts)
        return cls(rig, claims, cycle, epochs)

    async def live(self, blocks: int) -> None:
        """People come and go, funds arrive, the chain turns back at times."""
        for _ in range(blocks):
            for pool_id in (DIRECT, VAULT):
                who, other = self.random.sample(PEOPLE, 2)
                match self.random.randrange(6):
                    case 0 | 1:
                        self.chain.deposit(pool_id, who, self.random.randrange(1, 10**20))
                    case 2:
                        self.chain.withdraw(pool_id, who, self.random.randrange(1, 10**19))
                    case 3 if pool_id == VAULT:
                        self.chain.transfer(pool_id, who, other, self.random.randrange(1, 10**19))
                    case 4:
                        amount = self.random.randrange(1, 9 * E18)
                        self.chain.emit(pool_id, "Funded", sender=FUNDER, amount=amount)
                    case _:
                        pass
            self.chain.mine()
            if self.random.random() < 0.1:
                self.chain.reorg(self.random.randrange(1, 3), keep=self.random.random() < 0.7)
            if self.random.random() < 0.3:
                await self.rig.index()
                self.rig.clock.advance(300)
                await self.cycle.run_all()
        await self.rig.index()
        self.rig.clock.advance(300)
        await self.cycle.run_all()

    def log(self) -> ChainLog:
        """What the chain says now."""
        head = self.chain.head
        return ChainLog(
            chain_id=31337,
            head_number=head.number,
            head_time_s=head.timestamp_s,
            times={one.block.number: one.block.timestamp_s for one in self.chain.minted},
            logs=[log for one in self.chain.minted for log in one.logs],
        )

    async def closed(self, pool_id: str) -> list[Epoch]:
        async with self.rig.store.read() as tx:
            return (await rows.epochs_page(tx, pool_id, limit=1000))[::-1]

    async def verified(self, epoch: Epoch, *, chained: bool = False) -> Report:
        async with self.rig.store.read() as tx:
            document = await export(tx, epoch.pool_id, epoch.epoch)
            before = await export(tx, epoch.pool_id, epoch.epoch - 1) if chained else None
        return verify(document, self.log(), previous=before)

    async def check_books(self) -> None:
        """What wallets have in the books is what the last statement says."""
        for pool in self.rig.pools:
            last = (await self.closed(pool.pool_id))[-1]
            async with self.rig.store.read() as tx:
                statement = decode(await export(tx, pool.pool_id, last.epoch))
                for line in statement.accounts:
                    account = accounts.rewards(pool.pool_id, line.wallet, pool.asset)
                    owed = (await self.rig.ledger.balance(tx, account)).posted.units
                    assert owed == int(line.cumulative)
        await self.rig.check()


@pytest.fixture
async def story(sqlite_store: Store) -> Story:
    return await Story.begin(sqlite_store)


async def test_every_statement_of_a_busy_chain_verifies_from_its_events(story: Story):
    await story.live(90)
    direct, vault = await story.closed(DIRECT), await story.closed(VAULT)
    assert len(direct) > 10
    assert len(vault) > 3
    assert any(epoch.shortfall for epoch in direct + vault)
    assert all(epoch.emitted <= epoch.funded for epoch in direct + vault)
    for epoch in (*direct[:: len(direct) // 5], direct[-1], *vault):
        report = await story.verified(epoch)
        assert report.mismatches == []
    await story.check_books()


async def test_rewards_are_claimed_and_booked_by_what_the_chain_shows(story: Story):
    await story.live(60)
    pool = story.rig.pools[0]
    who = max(PEOPLE, key=lambda one: story.chain.state[DIRECT].balances.get(one, 0))
    async with story.rig.store.begin() as tx:
        claim = await story.claims.request(tx, pool_id=DIRECT, wallet=who)
        await story.claims.change(
            tx, [claim], state=ClaimState.PROCESSING, chain_key="0x" + "55" * 32
        )
    batch = {"batch_id": b"\x55" * 32, "payee": who, "amount": claim.amount}
    story.chain.emit(DIRECT, "Paid", **batch)
    story.chain.mine(4)
    await story.rig.index()
    account = accounts.rewards(DIRECT, who, pool.asset)
    assert await story.rig.balance(account) == 0
    async with story.rig.store.read() as tx:
        assert (await listed(tx))[0].state is ClaimState.PAID
    # A reorg deeper than the confirmations takes it back, and it comes again.
    story.chain.reorg(4, keep=True)
    await story.rig.index()
    await story.rig.index()
    async with story.rig.store.read() as tx:
        assert (await listed(tx))[0].state is ClaimState.PAID
    assert await story.rig.balance(account) == 0
    await story.rig.check()


async def test_a_reorg_below_a_closed_epoch_is_noticed_and_nothing_is_rewritten(story: Story):
    await story.live(40)
    before = {epoch.epoch: epoch.statement_hash for epoch in await story.closed(DIRECT)}
    story.chain.reorg(20, keep=False)
    story.chain.mine(3)
    await story.rig.index()
    story.rig.clock.advance(300)
    run = await story.cycle.run(DIRECT)
    assert run.disputed
    assert run.closed == []
    assert f"epoch {min(run.disputed)} is disputed" in run.waits
    after = {epoch.epoch: epoch.statement_hash for epoch in await story.closed(DIRECT)}
    assert after == before
    assert DISPUTED in await story.rig.open_alerts()
    disputed = next(e for e in await story.closed(DIRECT) if e.epoch == run.disputed[0])
    assert not (await story.verified(disputed)).matches
    # Whoever answers for it lets it stand, and epochs go on.
    async with story.rig.store.begin() as tx:
        for number in run.disputed:
            await story.epochs.accept(tx, "operator", DIRECT, number, reason="the chain failed")
    story.chain.emit(DIRECT, "Funded", sender=FUNDER, amount=10**6 * E18)
    story.chain.mine(20)
    await story.rig.index()
    story.rig.clock.advance(300)
    assert len((await story.cycle.run(DIRECT)).closed) > 2
    last = (await story.closed(DIRECT))[-1]
    assert last.distributed
    assert (await story.verified(last, chained=True)).matches
