"""An audit finds nothing where all is well, and every kind of planted error."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, text, update

from millpond.chains.bitcoin.errors import RpcUnavailableError
from millpond.chains.bitcoin.payment import Balance, Receipt, Receipts, TxState, TxStatus
from millpond.clock import ManualClock
from millpond.mining.accounts import capital, miner_balance, pool_wallet
from millpond.mining.audit import AuditedCoin, AuditedPool, Report, audit
from millpond.mining.blocks.tables import block, block_line, pps_account
from millpond.mining.blocks.walletwatch import WalletWatch
from millpond.mining.folds.tables import pool_slice, worker_slice
from millpond.mining.rewards import RewardSettings
from millpond.mining.sharelog.tables import groups
from millpond.money.model import Transfer
from millpond.store import Store
from tests.mining.blocks.pool import COIN, ONE, REWARD, Pool, hash_of
from tests.mining.share_log import POOL, HandLog

on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
"""Planted errors are found by the same queries; one database is enough to show each."""


@dataclass
class ToldWallet:
    """A daemon's wallet that holds the coinbases of the told chain and what it is told."""

    pool: Pool
    payments: list[Receipt] = field(default_factory=list)
    extra: int = 0
    reward: int = REWARD
    last_block: str = ""
    asked: list[str | None] = field(default_factory=list)

    def _coinbases(self) -> list[Receipt]:
        chain = self.pool.chain
        found = []
        for block_hash, height in chain.best.items():
            depth = chain.height - height + 1
            category = "generate" if depth > COIN.maturity else "immature"
            found.append(receipt(f"c{block_hash[-8:]}", self.reward, category, depth, block_hash))
        return found

    async def received_since(self, block_hash: str | None = None) -> Receipts:
        self.asked.append(block_hash)
        return Receipts((*self._coinbases(), *self.payments), (), self.last_block)

    async def balance(self) -> Balance:
        if self.pool.chain.down:
            raise RpcUnavailableError("nobody answers")
        total = sum(r.sat for r in (*self._coinbases(), *self.payments) if r.confirmations >= 0)
        return Balance(trusted=total + self.extra, untrusted_pending=0, immature=0)

    async def look_up(self, txid: str, *, inputs: Any = ()) -> TxStatus:
        return TxStatus(txid, TxState.NOT_FOUND)


def receipt(
    txid: str, sat: int, category: str, confirmations: int, block_hash: str | None = None
) -> Receipt:
    return Receipt(
        txid=txid,
        vout=0,
        sat=sat,
        category=category,
        confirmations=confirmations,
        block_hash=block_hash,
        address="",
    )


class Audited:
    """A pool at work and the audit of it."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.wallet = ToldWallet(pool)
        self.watch = WalletWatch(
            pool.store,
            pool.ledger,
            self.wallet,
            ToldHeights(pool),
            coin=COIN,
            clock=pool.clock,
            pools=[(POOL, pool.log.reader)],
        )

    async def work(self) -> None:
        """Three blocks: one mature, one immature, one orphaned; a top-up; folds of all."""
        pool = self.pool
        await pool.shares("ann.1", "ann.2", "bob")
        await pool.found(1, "bob")
        await pool.step()
        pool.chain.height += 8
        await pool.shares("cid")
        await pool.found(2, "ann.1", height=104)
        await pool.step()
        pool.chain.best.pop(hash_of(2))
        pool.chain.side[hash_of(2)] = 104
        pool.chain.height += 2
        await pool.found(3, "cid", height=112)
        self.wallet.payments.append(receipt("top-up", 12_345, "receive", 6))
        await self.watch.run_once()
        await pool.step()

    async def audit(self) -> Report:
        pool = self.pool
        return await audit(
            pool.store,
            pool.ledger,
            [AuditedPool(POOL, COIN, pool.log.reader, pool.rewards)],
            [AuditedCoin(COIN, pool.chain, self.wallet)],
            now_ms=pool.clock.now_ms(),
        )

    async def execute(self, statement: Any) -> None:
        async with self.pool.store.begin() as tx:
            await tx.execute(statement)


@dataclass
class ToldHeights:
    """Tip and hashes by height."""

    pool: Pool

    async def tip(self):
        return await self.pool.chain.tip()

    async def get_block_hash(self, height: int) -> str:
        return f"anchor-{height}"


@pytest.fixture
async def audited(store: Store, hand_log: HandLog, clock: ManualClock) -> Audited:
    found = Audited(Pool(store, hand_log, clock))
    await found.work()
    return found


def drifts(report: Report) -> set[str]:
    return {row.check for row in report.drifts}


async def test_a_pool_where_all_is_well_has_a_clean_audit(audited: Audited):
    report = await audited.audit()
    assert report.drifts == ()
    assert report.clean
    checks = {row.check for row in report.rows}
    assert checks >= {
        *("ledger", "trial_balance", "sharelog_chain", "fold_checkpoint", "fold_workers"),
        *("fold_pool", "block_marks", "rewards", "payouts", "blocks", "wallet"),
    }
    assert report.table().endswith("everything agrees")
    document = msgspec.json.decode(report.json())
    assert document["clean"] is True
    assert len(document["rows"]) == len(report.rows)


async def test_coins_from_outside_are_booked_once_and_only_when_deep(audited: Audited):
    books = await audited.pool.books()
    # Block 1 is posted, block 3 immature; the orphan has left no trace.
    assert books["wallet"] == (REWARD + 12_345, REWARD)
    audited.wallet.payments.append(receipt("young", 777, "receive", 5))
    assert await audited.watch.run_once() == 0
    report = await audited.audit()
    assert report.clean
    assert "not booked yet 777" in next(r for r in report.rows if r.check == "wallet").explanation
    audited.wallet.payments[-1] = receipt("young", 777, "receive", 6)
    assert await audited.watch.run_once() == 1
    assert await audited.watch.run_once() == 0
    assert (await audited.pool.books())["wallet"] == (REWARD + 12_345 + 777, REWARD)
    assert (await audited.audit()).clean


async def test_a_coinbase_of_somebody_else_becomes_capital_at_its_maturity(audited: Audited):
    audited.pool.chain.best["ff" * 32] = audited.pool.chain.height - COIN.maturity + 1
    assert await audited.watch.run_once() == 0
    assert (await audited.audit()).clean
    audited.pool.chain.height += 1
    assert await audited.watch.run_once() == 1
    async with audited.pool.store.read() as tx:
        account = capital(COIN)
        held = (await audited.pool.ledger.balances(tx, [account]))[account]
    assert held.posted.units == REWARD + 12_345


@on_sqlite
async def test_a_wallet_that_is_behind_the_chain_is_asked_again_from_before(audited: Audited):
    """Its daemon catches up while another one tells the tip."""
    wallet, chain = audited.wallet, audited.pool.chain
    chain.height += 1000
    wallet.last_block = "far behind"
    wallet.asked.clear()
    await audited.watch.run_once()
    await audited.watch.run_once()
    wallet.last_block = ""
    await audited.watch.run_once()
    await audited.watch.run_once()
    assert wallet.asked[:3] == [wallet.asked[0]] * 3
    assert wallet.asked[3] == f"anchor-{chain.height - 26}"


@on_sqlite
async def test_a_block_of_very_many_miners_is_audited_whole(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    audited = Audited(Pool(store, hand_log, clock))
    await audited.pool.shares(
        *(f"miner-{number}" for number in range(5_100)), difficulty=ONE // 100
    )
    await audited.pool.found(1, "ann")
    await audited.pool.step()
    audited.pool.chain.height += 8
    await audited.pool.step()
    report = await audited.audit()
    assert report.clean, report.table()


@on_sqlite
async def test_a_daemon_that_does_not_answer_is_not_called_agreement(audited: Audited):
    audited.pool.chain.down = True
    report = await audited.audit()
    assert not report.clean
    assert report.drifts == ()


@on_sqlite
async def test_a_balance_without_postings_is_found(audited: Audited):
    path = miner_balance(COIN, "ann").path
    one = "1" if audited.pool.store.dialect == "postgresql" else "'1'"
    change = f"update ledger_account set credits_posted = {one}, available = {one}"
    await audited.execute(text(f"{change} where path = '{path}'"))
    assert drifts(await audited.audit()) >= {"ledger", "trial_balance"}


@on_sqlite
async def test_a_changed_group_of_the_log_is_found(audited: Audited):
    await audited.execute(update(groups).where(groups.c.sequence == 1).values(first_ms=1))
    assert "sharelog_chain" in drifts(await audited.audit())


@on_sqlite
async def test_a_group_that_is_missing_from_the_log_is_found(audited: Audited):
    await audited.execute(delete(groups).where(groups.c.sequence == 2))
    assert {"sharelog_chain", "fold_checkpoint", "block_marks"} & drifts(await audited.audit())


@pytest.mark.parametrize(
    ("table", "check"), [(worker_slice, "fold_workers"), (pool_slice, "fold_pool")]
)
@on_sqlite
async def test_a_slice_that_is_off_by_one_share_is_found(audited: Audited, table: Any, check: str):
    await audited.execute(update(table).values(accepted=table.c.accepted + 1))
    assert drifts(await audited.audit()) == {check}


@on_sqlite
async def test_a_block_that_lost_its_row_is_found(audited: Audited):
    await audited.execute(delete(block_line).where(block_line.c.block_hash == hash_of(3)))
    await audited.execute(delete(block).where(block.c.block_hash == hash_of(3)))
    assert "block_marks" in drifts(await audited.audit())


@on_sqlite
async def test_an_allocation_that_was_changed_is_found(audited: Audited):
    of_ann = (block_line.c.block_hash == hash_of(1)) & (block_line.c.wallet == "ann")
    await audited.execute(update(block_line).where(of_ann).values(amount=1))
    assert drifts(await audited.audit()) == {"rewards", "reward_transfers", "miners"}


@on_sqlite
async def test_a_reward_that_the_ledger_holds_twice_is_found(audited: Audited):
    ledger, ann = audited.pool.ledger, miner_balance(COIN, "ann")
    async with audited.pool.store.begin() as tx:
        again = Transfer(
            id="again",
            debit=pool_wallet(COIN),
            credit=ann,
            amount=COIN.asset.amount(5),
            code="reward",
            reference=f"block:{hash_of(1)}",
        )
        await ledger.reserve(tx, [again])
    assert drifts(await audited.audit()) == {"reward_transfers", "miners", "wallet"}


@on_sqlite
async def test_a_state_that_does_not_fit_the_ledger_is_found(audited: Audited):
    await audited.execute(
        update(block).where(block.c.block_hash == hash_of(3)).values(state="mature")
    )
    assert drifts(await audited.audit()) == {"block_credit", "block_on_chain"}


@pytest.mark.parametrize("credit", ["pending", "posted", "none"])
@on_sqlite
async def test_an_orphan_that_is_still_credited_is_found(audited: Audited, credit: str):
    of_orphan = block.c.block_hash == hash_of(2)
    await audited.execute(update(block).where(of_orphan).values(credit=credit))
    assert "block_credit" in drifts(await audited.audit())


@on_sqlite
async def test_a_balance_that_no_share_earned_is_found(audited: Audited):
    """Balanced, referenced, and nobody's work: the operator's capital goes to a friend."""
    forged = Transfer(
        id="forged",
        debit=capital(COIN),
        credit=miner_balance(COIN, "eve"),
        amount=COIN.asset.amount(5),
        code="reward",
        reference="",
    )
    async with audited.pool.store.begin() as tx:
        await audited.pool.ledger.post(tx, [forged])
    (row,) = (await audited.audit()).drifts
    assert (row.check, "eve" in row.subject) == ("miners", True)


@on_sqlite
async def test_a_mature_block_that_left_the_chain_is_found(audited: Audited):
    audited.pool.chain.best.pop(hash_of(1))
    assert "block_on_chain" in drifts(await audited.audit())


@on_sqlite
async def test_a_coinbase_that_pays_the_pool_less_is_found(audited: Audited):
    audited.wallet.reward = REWARD - 1
    assert drifts(await audited.audit()) == {"block_value", "wallet"}


@on_sqlite
async def test_coins_that_left_the_wallet_unbooked_are_found_to_the_unit(audited: Audited):
    audited.wallet.extra = -1
    report = await audited.audit()
    (row,) = report.drifts
    assert row.check == "wallet"
    assert int(row.expected) - int(row.found) == 1
    assert report.table().endswith("1 do not agree")


@on_sqlite
async def test_pps_is_recounted_and_a_payment_too_much_is_found(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    terms = RewardSettings(scheme="pps", block_reward=1000, credit_interval_s=1)
    audited = Audited(Pool(store, hand_log, clock, terms))
    for _ in range(4):
        await audited.pool.shares("ann.1", "bob", "ann.2")
        clock.advance(1)
        await audited.pool.step()
    assert (await audited.audit()).clean
    await audited.execute(
        update(pps_account).where(pps_account.c.wallet == "ann").values(paid=10_000)
    )
    assert drifts(await audited.audit()) == {"pps_worth", "pps_booked", "miners"}
