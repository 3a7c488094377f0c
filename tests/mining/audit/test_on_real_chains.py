"""From shares to a payment in the chain, on real daemons; the audit agrees at every turn."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import select, update

from millpond.chains.bitcoin.address import encode_segwit, script_pubkey
from millpond.chains.bitcoin.daemons import DaemonSet
from millpond.chains.bitcoin.payment import TxState, TxStatus
from millpond.chains.bitcoin.wallet import Wallet
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.intents import Intents, Runner
from millpond.mining.accounts import capital
from millpond.mining.audit import AuditedCoin, AuditedPool, Report, audit
from millpond.mining.blocks.model import BlockState
from millpond.mining.blocks.queries import find_block
from millpond.mining.blocks.walletwatch import WalletWatch
from millpond.mining.payouts import BitcoinPayoutHandler, PayoutRun, Payouts
from millpond.mining.payouts.settings import PayoutSettings
from millpond.mining.payouts.tables import payout_table
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
    await site.pool.shares(f"{miner}.rig", f"{miner}.rig")
    first = await site.find(f"{miner}.rig")
    await site.step()
    assert await site.state(first) is BlockState.CONFIRMING
    await site.agrees()
    daemon.mine(maturity, elsewhere)
    await site.step()
    assert await site.state(first) is BlockState.MATURE
    await site.agrees()
    balance = (await site.pool.books(miner))[miner][0]
    assert balance > 0
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
    assert 0 < balance - received < 100_000
    await plant_wrong_payouts(site)
    await plant_a_payment_that_nobody_booked(site, elsewhere)


async def plant_wrong_payouts(site: Site) -> None:
    """Each lie about the one settled payout is found by the check that is there for it."""
    column = payout_table.c
    async with site.pool.store.read() as tx:
        row = (await tx.execute(select(payout_table))).mappings().one()
    stranger = encode_segwit(0, bytes(20), site.daemon.coin)
    for lie, checks in (
        ({"amount": row["amount"] + 1}, {"payout_booked", "payout_paid", "miners"}),
        ({"fee": row["fee"] + 1}, {"payout_paid"}),
        ({"address": stranger}, {"payout_paid"}),
        # The money is in the chain and the books say that it came back.
        ({"state": "failed"}, {"payout_booked", "miners"}),
    ):
        async with site.pool.store.begin() as tx:
            await tx.execute(update(payout_table).where(column.id == row["id"]).values(**lie))
        assert {drift.check for drift in (await site.audit()).drifts} == checks, lie
        truth = {name: row[name] for name in lie}
        async with site.pool.store.begin() as tx:
            await tx.execute(update(payout_table).where(column.id == row["id"]).values(**truth))
    honest = site.wallet.look_up

    async def lost(txid: str, **_: object) -> TxStatus:
        return TxStatus(txid, TxState.NOT_FOUND)

    site.wallet.look_up = lost  # type: ignore[method-assign]
    assert {drift.check for drift in (await site.audit()).drifts} == {"payout_on_chain"}
    site.wallet.look_up = honest  # type: ignore[method-assign]
    await site.agrees()


@on_both
async def test_a_payment_to_the_pools_own_wallet_becomes_capital_and_the_audit_agrees(site: Site):
    """The operator mines too, to an address of the very wallet that pays."""
    daemon, maturity = site.daemon, site.daemon.coin.maturity
    daemon.rpc("createwallet", "elsewhere")
    elsewhere = daemon.rpc("getnewaddress", wallet="elsewhere")
    await site.pool.shares(f"{site.address}.rig", f"{elsewhere}.rig")
    await site.find(f"{site.address}.rig")
    await site.step()
    daemon.mine(maturity, elsewhere)
    await site.step()
    before = await site.pool.books(site.address)
    owed = before[site.address][0]
    assert owed > 0
    await site.payout_run.run_once()
    while await site.runner.run_once():
        pass
    await site.agrees()
    for confirmations in (1, 2, 7):
        daemon.mine(confirmations, elsewhere)
        site.clock.advance(10)
        while await site.runner.run_once():
            pass
        await site.agrees()
        await site.step()
        await site.agrees()
    after = await site.pool.books(site.address, elsewhere)
    assert site.address not in after
    assert elsewhere not in after
    async with site.pool.store.read() as tx:
        lines = await site.pool.ledger.statement(tx, capital(daemon.coin), limit=1000)
    # What the operator was owed came back as capital, less the fee of an output.
    assert 0 < owed - lines[-1].change.units < 100_000


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
