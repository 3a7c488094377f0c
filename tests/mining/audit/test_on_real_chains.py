"""From shares to a payment in the chain, on real daemons; the audit agrees at every turn."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from millpond.chains.bitcoin.address import script_pubkey
from millpond.chains.bitcoin.daemons import DaemonSet
from millpond.chains.bitcoin.wallet import Wallet
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.intents import Intents, Runner
from millpond.mining.audit import AuditedCoin, AuditedPool, Report, audit
from millpond.mining.blocks.model import BlockState
from millpond.mining.blocks.queries import find_block
from millpond.mining.blocks.walletwatch import WalletWatch
from millpond.mining.payouts import BitcoinPayoutHandler, PayoutRun, Payouts
from millpond.mining.payouts.settings import PayoutSettings
from millpond.store import Store
from tests.chains.blocks import BlockPlan
from tests.chains.daemons import DevchainDaemon, LitecoinDaemon, LiveDaemon
from tests.mining.blocks.pool import BITS, NETWORK, ONE, Pool
from tests.mining.share_log import POOL, HandLog


@dataclass
class Site:
    """A pool whose blocks go to a real daemon, and its payouts."""

    daemon: LiveDaemon
    daemons: DaemonSet
    wallet: Wallet
    pool: Pool
    clock: ManualClock
    address: str = ""

    def __post_init__(self) -> None:
        coin, pool = self.daemon.coin, self.pool
        ids = Ids(self.clock, SeededEntropy(1))
        settings = PayoutSettings(threshold=100_000, confirmations=2, fee_rate=20_000)
        payouts = Payouts(coin, settings, pool.ledger, self.clock, ids)
        intents = Intents(pool.store, self.clock, ids, SeededEntropy(2))
        self.payout_run = PayoutRun(pool.store, intents, payouts, pool_id=POOL)
        self.runner = Runner(intents, [BitcoinPayoutHandler(payouts, self.wallet)], "one")
        self.watch = WalletWatch(
            pool.store,
            pool.ledger,
            self.wallet,
            self.daemons,
            coin=coin,
            clock=self.clock,
            pools=[(POOL, pool.log.reader)],
        )

    async def find(self, worker: str) -> str:
        """Mine a block to the pool and log its share."""
        template = await self.daemons.get_block_template()
        plan = BlockPlan(self.daemon.coin, template, script_pubkey(self.address, self.daemon.coin))
        raw = plan.build()
        assert all(result.accepted for result in await self.daemons.submit_block(raw))
        share = (self.clock.now_ms(), worker, plan.height, NETWORK, 10 * ONE, BITS)
        await self.pool.log.group([(*share, plan.hash, plan.value)])
        return plan.hash

    async def state(self, block_hash: str) -> BlockState:
        async with self.pool.store.read() as tx:
            found = await find_block(tx, block_hash)
        assert found is not None
        return found.state

    async def step(self) -> None:
        await self.pool.step()
        await self.watch.run_once()

    async def audit(self) -> Report:
        pool, coin = self.pool, self.daemon.coin
        return await audit(
            pool.store,
            pool.ledger,
            [AuditedPool(POOL, coin, pool.log.reader, pool.rewards)],
            [AuditedCoin(coin, self.daemons, self.wallet)],
            now_ms=self.clock.now_ms(),
        )

    async def agrees(self) -> None:
        report = await self.audit()
        assert report.clean, report.table()


@pytest.fixture(params=["sqlite-devchain", "postgresql-litecoind"])
async def site(
    request: pytest.FixtureRequest, store_url: str, clock: ManualClock
) -> AsyncIterator[Site]:
    with DevchainDaemon() if request.param.endswith("devchain") else LitecoinDaemon() as daemon:
        # Coins that nobody mined through us: the opening balance.
        daemon.mine(3)
        store = await Store.open(store_url)
        log = await HandLog.make(store)
        daemons = DaemonSet([daemon.endpoint()], daemon.coin, clock)
        wallet_endpoint = daemon.endpoint("miner")
        wallet = Wallet(wallet_endpoint, daemon.coin)
        pool = Pool(store, log, clock, coin=daemon.coin, daemons=daemons)
        found = Site(daemon, daemons, wallet, pool, clock)
        found.address = await wallet.new_address()
        yield found
        await wallet_endpoint.close()
        await daemons.close()
        await store.close()


on_both = pytest.mark.parametrize(
    ("store_url", "site"),
    [("sqlite", "sqlite-devchain"), ("postgresql", "postgresql-litecoind")],
    indirect=True,
)


@on_both
async def test_from_a_share_to_a_payment_the_audit_agrees(site: Site):
    daemon, maturity = site.daemon, site.daemon.coin.maturity
    daemon.rpc("createwallet", "elsewhere")
    elsewhere = daemon.rpc("getnewaddress", wallet="elsewhere")
    miner = daemon.rpc("getnewaddress", wallet="elsewhere")
    # The same script in capitals is another balance and the same output.
    await site.pool.shares(f"{miner}.rig", f"{miner.upper()}.rig", f"{miner}.rig")
    first = await site.find(f"{miner}.rig")
    await site.step()
    assert await site.state(first) is BlockState.CONFIRMING
    await site.agrees()
    daemon.mine(maturity, elsewhere)
    await site.step()
    assert await site.state(first) is BlockState.MATURE
    await site.agrees()
    books = await site.pool.books(miner, miner.upper())
    assert books[miner][0] > books[miner.upper()][0] > 0
    await site.payout_run.run_once()
    while await site.runner.run_once():
        pass
    await site.agrees()
    daemon.mine(3, elsewhere)
    site.clock.advance(10)
    while await site.runner.run_once():
        pass
    await site.step()
    assert miner not in await site.pool.books(miner)
    report = await site.audit()
    assert report.clean, report.table()
    assert (
        "payouts on their way 0" in next(r for r in report.rows if r.check == "wallet").explanation
    )
    unspent = daemon.rpc("listunspent", wallet="elsewhere")
    received = sum(int(row["amount"] * 10**8) for row in unspent if row["address"] == miner)
    assert 0 < books[miner][0] + books[miner.upper()][0] - received < 100_000
    await plant_a_payment_that_nobody_booked(site, elsewhere)


async def plant_a_payment_that_nobody_booked(site: Site, elsewhere: str) -> None:
    """Coins that leave the wallet behind the pool's back are drift, to the unit."""
    site.daemon.pay(elsewhere, 123_400)
    drifts = (await site.audit()).drifts
    assert [row.check for row in drifts] == ["wallet"]
    assert int(drifts[0].expected) - int(drifts[0].found) >= 123_400


@on_both
async def test_a_reorganised_block_is_void_and_the_audit_agrees(site: Site):
    await site.pool.shares("ann.rig")
    kept = await site.find("ann.rig")
    lost = await site.find("bob.rig")
    await site.step()
    await site.agrees()
    site.daemon.reorg(1)
    site.daemon.mine(2)
    await site.step()
    assert await site.state(lost) is BlockState.CONFIRMING
    await site.agrees()
    site.daemon.mine(6)
    await site.step()
    assert await site.state(lost) is BlockState.ORPHANED
    assert await site.state(kept) in {BlockState.CONFIRMING, BlockState.MATURE}
    await site.agrees()
