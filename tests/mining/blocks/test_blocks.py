"""A block's life, and what the ledger holds at each of its turns."""

import struct

import pytest
from sqlalchemy import event

from millpond.chains.bitcoin.daemons import SubmitVerdict
from millpond.chains.bitcoin.errors import RpcUnavailableError
from millpond.chains.bitcoin.wire import NULL_OUTPOINT, Transaction, TxIn, TxOut
from millpond.clock import ManualClock
from millpond.mining.blocks import queries
from millpond.mining.blocks.adoption import read_block
from millpond.mining.blocks.model import BlockState, Credit
from millpond.mining.difficulty import bits_to_target, target_to_difficulty
from millpond.mining.rewards import RewardSettings
from millpond.store import Store
from millpond.store.events import read_events
from tests.mining.blocks.pool import COIN, NETWORK, ONE, REWARD, Pool, hash_of
from tests.mining.share_log import POOL, HandLog


@pytest.fixture
def pool(store: Store, hand_log: HandLog, clock: ManualClock) -> Pool:
    return Pool(store, hand_log, clock)


FEE = REWARD // 100
MINERS = REWARD - FEE


async def test_a_block_is_credited_immature_and_posted_when_mature(pool: Pool):
    await pool.shares("ann.1", "ann.2", "bob")
    await pool.found(1, "bob")
    await pool.step()
    halves = {"ann": (0, MINERS // 2), "bob": (0, MINERS // 2)}
    immature = {"wallet": (0, REWARD), "fees": (0, FEE), **halves}
    assert await pool.books("ann", "bob") == immature
    block = await pool.block(1)
    assert (block.state, block.confirmations, block.required) == (BlockState.CONFIRMING, 1, 6)
    pool.chain.height += 4
    await pool.step()
    assert (await pool.block(1)).confirmations == 5
    assert await pool.books("ann", "bob") == immature
    pool.chain.height += 1
    await pool.step()
    assert await pool.books("ann", "bob") == {
        "wallet": (REWARD, 0),
        "fees": (FEE, 0),
        "ann": (MINERS // 2, 0),
        "bob": (MINERS // 2, 0),
    }
    block = await pool.block(1)
    assert (block.state, block.confirmations, block.credit) == (
        BlockState.MATURE,
        6,
        Credit.POSTED,
    )
    assert await pool.states() == ["found", "confirming", "mature"]


async def test_effort_and_luck_are_the_work_of_the_round(pool: Pool):
    for _ in range(4):
        await pool.shares("ann")
    await pool.found(1, "ann")
    await pool.shares("bob")
    await pool.step()
    block = await pool.block(1)
    # Five shares of ten on a network difficulty of a hundred.
    assert 0 <= ONE // 2 - block.effort <= 5
    assert (block.round, block.round_shares) == (1, 5)
    assert (block.effort_percent, block.luck_percent) == pytest.approx((50.0, 200.0))
    async with pool.store.read() as tx:
        now = await queries.round_stats(tx, POOL)
        luck = await queries.luck_stats(tx, POOL)
    assert (now.number, now.shares) == (2, 1)
    assert now.effort_percent == pytest.approx(10.0)
    assert (luck.found, luck.lost, luck.mature) == (1, 0, 0)
    assert luck.luck_percent == pytest.approx(200.0)


async def test_a_miner_can_see_why(pool: Pool):
    await pool.shares("ann", "ann", "bob")
    await pool.found(1, "bob")
    await pool.step()
    block = await pool.block(1)
    async with pool.store.read() as tx:
        lines = await queries.allocation(tx, block)
        rewards = await queries.miner_rewards(tx, "ann", pool_id=POOL)
        blocks = await queries.pool_blocks(tx, POOL)
    assert [(line.kind, line.wallet, line.amount) for line in lines] == [
        ("fee", "", FEE),
        ("share", "ann", MINERS // 2),
        ("share", "bob", MINERS // 2),
    ]
    assert block.basis is not None
    assert block.terms is not None
    assert (block.basis["shares"], block.basis["young"], block.basis["filled"]) == (4, True, "1/5")
    assert (block.terms["scheme"], block.terms["window"]) == ("pplns", "2")
    assert [(reward.amount, reward.voided) for reward in rewards] == [(MINERS // 2, False)]
    assert [found.block_hash for found in blocks] == [hash_of(1)]


async def test_an_orphan_is_voided_with_a_notice_and_only_when_it_is_buried(pool: Pool):
    await pool.shares("ann")
    await pool.found(1, "ann")
    await pool.step()
    pool.chain.side = pool.chain.best
    pool.chain.best = {}
    pool.chain.height += 5
    await pool.step()
    assert (await pool.block(1)).state is BlockState.CONFIRMING
    assert (await pool.block(1)).confirmations == 0
    assert "ann" in await pool.books("ann")
    pool.chain.height += 1
    await pool.step()
    assert (await pool.block(1)).state is BlockState.ORPHANED
    assert await pool.books("ann") == {}
    async with pool.store.read() as tx:
        alerts = await read_events(tx, after=0, topics=["alerts"])
        rewards = await queries.miner_rewards(tx, "ann")
    assert [alert.payload["kind"] for alert in alerts] == ["block_orphaned"]
    assert [reward.voided for reward in rewards] == [True]


async def test_a_short_reorganisation_goes_by_without_a_void(pool: Pool):
    await pool.shares("ann")
    await pool.found(1, "ann")
    await pool.step()
    pool.chain.side, pool.chain.best = pool.chain.best, {}
    pool.chain.height += 2
    await pool.step()
    pool.chain.best, pool.chain.side = pool.chain.side, {}
    pool.chain.height += 2
    await pool.step()
    block = await pool.block(1)
    assert (block.state, block.credit_round, block.confirmations) == (BlockState.CONFIRMING, 1, 5)
    assert await pool.states() == ["found", "confirming"]


async def test_a_block_that_was_given_up_late_still_comes_back(pool: Pool):
    await pool.shares("ann")
    await pool.found(1, "ann")
    await pool.step()
    pool.chain.side, pool.chain.best = pool.chain.best, {}
    pool.chain.height += 50
    await pool.step()
    assert (await pool.block(1)).state is BlockState.ORPHANED
    # The daemon stood on a wrong branch, or lied, for fifty blocks.
    pool.chain.best, pool.chain.side = pool.chain.side, {}
    await pool.step()
    await pool.step()
    assert (await pool.block(1)).state is BlockState.MATURE
    assert (await pool.books("ann"))["ann"] == (MINERS, 0)


async def test_an_orphan_that_comes_back_is_credited_anew(pool: Pool):
    await pool.shares("ann")
    await pool.found(1, "ann")
    await pool.step()
    pool.chain.side, pool.chain.best = pool.chain.best, {}
    pool.chain.height += 6
    await pool.step()
    pool.chain.best, pool.chain.side = pool.chain.side, {}
    pool.chain.height -= 3
    await pool.step()
    block = await pool.block(1)
    assert (block.state, block.credit_round, block.credit) == (
        BlockState.CONFIRMING,
        2,
        Credit.PENDING,
    )
    pool.chain.height += 10
    await pool.step()
    assert await pool.books("ann") == {
        "wallet": (REWARD, 0),
        "fees": (FEE, 0),
        "ann": (MINERS, 0),
    }


async def test_a_block_that_comes_back_is_credited_by_the_terms_that_miners_were_told(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    pool = Pool(store, hand_log, clock)
    await pool.shares("ann")
    await pool.found(1, "ann")
    await pool.step()
    pool.chain.side, pool.chain.best = pool.chain.best, {}
    pool.chain.height += 6
    await pool.step()
    # Meanwhile the operator changes to PPS: new blocks would be the pool's own.
    later = Pool(store, hand_log, clock, RewardSettings(scheme="pps", block_reward=1))
    later.chain.best = pool.chain.side
    later.chain.height = pool.chain.height - 3
    await later.step()
    assert await later.books("ann") == {"wallet": (0, REWARD), "fees": (0, FEE), "ann": (0, MINERS)}


async def test_a_block_that_no_daemon_knows_is_submitted_again(pool: Pool):
    await pool.found(1, "ann", on_chain=False)
    await pool.candidate(1, "ann", b"the block")
    pool.chain.verdict = SubmitVerdict.UNKNOWN
    await pool.step()
    assert (await pool.block(1)).state is BlockState.SUBMITTED
    pool.chain.verdict = SubmitVerdict.ACCEPTED
    await pool.step()
    block = await pool.block(1)
    assert (block.state, block.submissions) == (BlockState.CONFIRMING, 2)
    assert pool.chain.submitted == [b"the block".hex()] * 2
    assert "ann" in await pool.books("ann")


async def test_a_block_that_every_daemon_refuses_is_rejected_with_the_reason(pool: Pool):
    await pool.found(1, "ann", on_chain=False)
    await pool.candidate(1, "ann", b"the block")
    pool.chain.verdict, pool.chain.reason = SubmitVerdict.REJECTED, "bad-cb-amount"
    await pool.step()
    block = await pool.block(1)
    assert (block.state, block.reason) == (BlockState.REJECTED, "bad-cb-amount")
    assert await pool.books("ann") == {}
    await pool.step()
    assert len(pool.chain.submitted) == 1


async def test_a_daemon_that_is_behind_refuses_nothing_for_good(pool: Pool):
    await pool.found(1, "ann", on_chain=False)
    await pool.candidate(1, "ann", b"the block")
    pool.chain.verdict, pool.chain.reason = SubmitVerdict.REJECTED, "prev-blk-not-found"
    await pool.step()
    assert (await pool.block(1)).state is BlockState.SUBMITTED
    pool.chain.height += 20
    await pool.step()
    assert (await pool.block(1)).state is BlockState.REJECTED


async def test_a_block_beside_the_best_chain_is_accepted_but_not_credited(pool: Pool):
    await pool.found(1, "ann", on_chain=False)
    pool.chain.side[hash_of(1)] = 101
    await pool.step()
    assert (await pool.block(1)).state is BlockState.ACCEPTED
    assert await pool.books("ann") == {}
    pool.chain.height += 10
    await pool.step()
    assert (await pool.block(1)).state is BlockState.ORPHANED


async def test_nothing_changes_while_no_daemon_answers(pool: Pool):
    await pool.found(1, "ann")
    await pool.step()
    pool.chain.down = True
    with pytest.raises(RpcUnavailableError):
        await pool.step()
    assert (await pool.block(1)).state is BlockState.CONFIRMING


async def test_prop_pays_the_round_and_a_rejected_block_ends_none(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    pool = Pool(store, hand_log, clock, RewardSettings(scheme="prop", fee_bp=0))
    await pool.shares("ann", "ann", "ann")
    await pool.found(1, "ann")
    await pool.shares("bob")
    await pool.found(2, "cid", on_chain=False, height=102)
    await pool.candidate(2, "cid", b"bad", height=102)
    pool.chain.verdict, pool.chain.reason = SubmitVerdict.REJECTED, "high-hash"
    await pool.step()
    await pool.shares("dee")
    await pool.found(3, "dee", height=103)
    await pool.step()
    async with store.read() as tx:
        lines = await queries.allocation(tx, await pool.block(3))
    # Since block 1: bob, cid (whose block was refused), dee twice.
    assert [(line.wallet, line.amount * 4 // REWARD) for line in lines] == [
        ("bob", 1),
        ("cid", 1),
        ("dee", 2),
    ]


async def test_a_window_ends_at_the_share_that_found_the_block(pool: Pool):
    now = pool.clock.now_ms()
    share = (101, NETWORK, 10 * ONE, 0x1B00FFFF)
    pool.chain.best[hash_of(1)] = 101
    pool.chain.height = 101
    await pool.log.group(
        [
            (now, "ann", *share),
            (now, "bob", *share, hash_of(1), REWARD),
            (now, "late", *share),
        ]
    )
    await pool.shares("later")
    await pool.step()
    assert sorted(await pool.books("ann", "bob", "late", "later")) == [
        "ann",
        "bob",
        "fees",
        "wallet",
    ]


async def test_pps_pays_shares_at_once_and_blocks_to_the_risk_account(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    terms = RewardSettings(scheme="pps", block_reward=1000, fee_bp=1000, credit_interval_s=60)
    pool = Pool(store, hand_log, clock, terms)
    await pool.shares("ann", "bob")
    await pool.step()
    assert await pool.books("ann", "bob") == {}
    clock.advance(60)
    await pool.shares("ann")
    await pool.step()
    # A tenth of the network difficulty is worth a tenth of a block, less a tenth as fee.
    paid = {"ann": (90, 0), "bob": (90, 0)}
    assert {k: v for k, v in (await pool.books("ann", "bob")).items() if k != "risk"} == paid
    assert (await pool.books())["risk"] == (-180, 0)
    clock.advance(60)
    await pool.found(1, "bob")
    await pool.step()
    assert (await pool.books("ann"))["ann"] == (180, 0)
    assert (await pool.books())["risk"] == (-270, REWARD)
    pool.chain.height += 5
    await pool.step()
    assert (await pool.books())["risk"] == (REWARD - 270, 0)


async def test_pps_goes_on_paying_after_an_edge_was_ahead_of_its_time(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    terms = RewardSettings(scheme="pps", block_reward=1000, fee_bp=0, credit_interval_s=60)
    pool = Pool(store, hand_log, clock, terms)
    in_ten_years = clock.now_ms() + 10 * 365 * 86_400_000
    await hand_log.group([(in_ten_years, "ann", 100, NETWORK, 10 * ONE, 0x1B00FFFF)])
    await pool.step()
    for paid in (100, 200):
        clock.advance(60)
        await pool.shares("ann")
        await pool.step()
        assert (await pool.books("ann"))["ann"] == (paid, 0)


async def test_pps_pays_the_same_whatever_the_batches_are(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    terms = RewardSettings(scheme="pps", block_reward=10**9 + 7, credit_interval_s=1)
    pool = Pool(store, hand_log, clock, terms)
    pool.fold._batch = 1
    totals = {"ann": 0, "bob": 0}
    for turn in range(7):
        await pool.shares("ann", "bob", "ann", difficulty=ONE * (turn + 1) // 3)
        clock.advance(1)
        if turn % 3:
            await pool.fold.run_to_end()
        for wallet, times in (("ann", 2), ("bob", 1)):
            weight = ONE * (turn + 1) // 3 * times * 9900
            totals[wallet] += (weight * terms.block_reward << 64) // (NETWORK * 10_000)
    await pool.shares("cid")
    await pool.fold.run_to_end()
    books = await pool.books("ann", "bob")
    assert books["ann"] == (totals["ann"] >> 64, 0)
    assert books["bob"] == (totals["bob"] >> 64, 0)


async def test_a_pool_that_changes_to_pps_buys_from_then_on(
    store: Store, hand_log: HandLog, clock: ManualClock
):
    before = Pool(store, hand_log, clock)
    await before.shares("ann", "ann")
    await before.step()
    terms = RewardSettings(scheme="pps", block_reward=1000, fee_bp=0, credit_interval_s=1)
    pool = Pool(store, hand_log, clock, terms)
    await pool.step()
    await pool.shares("ann")
    clock.advance(1)
    await pool.shares("bob")
    await pool.step()
    assert (await pool.books("ann"))["ann"] == (100, 0)


def raw_block(value: int, bits: int) -> bytes:
    coinbase = Transaction(2, (TxIn(NULL_OUTPOINT, b"\x01e"),), (TxOut(value, b"\x51"),))
    header = struct.pack("<i32s32sIII", 4, bytes(32), bytes(32), 0, bits, 0)
    return header + b"\x01" + coinbase.serialise()


async def test_a_block_whose_share_never_reached_the_log_is_adopted(pool: Pool):
    await pool.shares("ann")
    await pool.fold.run_to_end()
    await pool.candidate(9, "bob", raw_block(REWARD, 0x1D00FFFF))
    pool.chain.best[hash_of(9)] = 101
    pool.chain.height = 101
    await pool.step()
    assert await pool.books("ann") == {}
    pool.clock.advance(121)
    await pool.step()
    block = await pool.block(9)
    assert (block.adopted, block.worker, block.reward) == (True, "bob", REWARD)
    assert await pool.books("ann", "bob") == {
        "wallet": (0, REWARD),
        "fees": (0, FEE),
        "ann": (0, MINERS),
    }
    # Its share turns up after all: the block is not there twice.
    await pool.found(9, "bob")
    await pool.step()
    assert (await pool.books())["wallet"] == (0, REWARD)


async def test_a_block_before_any_share_is_the_finders_and_not_the_pools(pool: Pool):
    """The very first share was a block, and the process died before it was stored."""
    await pool.candidate(9, "bob.rig", raw_block(REWARD, 0x1D00FFFF))
    pool.chain.best[hash_of(9)] = 101
    pool.chain.height = 101
    pool.clock.advance(121)
    await pool.step()
    assert await pool.books("bob") == {
        "wallet": (0, REWARD),
        "fees": (0, FEE),
        "bob": (0, MINERS),
    }


async def test_a_block_is_adopted_however_many_were_found_since(pool: Pool):
    await pool.shares("ann")
    await pool.candidate(9, "bob", raw_block(REWARD, 0x1D00FFFF))
    pool.clock.advance(121)
    for number in range(100, 310):
        await pool.candidate(number, "ann", b"young %d" % number)
    pool.chain.best[hash_of(9)] = 101
    pool.chain.height = 101
    await pool.step()
    assert (await pool.block(9)).adopted


async def test_nothing_is_adopted_while_the_fold_is_behind(pool: Pool):
    await pool.candidate(9, "bob", raw_block(REWARD, 0x1D00FFFF))
    pool.clock.advance(121)
    await pool.found(9, "bob")
    await pool.blocks.run_once()
    await pool.step()
    assert not (await pool.block(9)).adopted


def test_a_raw_block_says_its_difficulty_and_value():
    difficulty, value = read_block(raw_block(77, 0x1C00FFFF), COIN)
    assert value == 77
    target = bits_to_target(0x1C00FFFF)
    assert difficulty == target_to_difficulty(target, COIN.difficulty_1_target)


class KilledError(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("orphaned", [False, True])
async def test_killed_at_any_statement_the_books_come_out_the_same(pool: Pool, orphaned: bool):
    """Each run dies at a later statement than the one before, until one gets through."""
    left = 0

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KilledError

    async def run_to_the_end() -> int:
        nonlocal left
        for deaths in range(1, 500):
            left = deaths
            try:
                await pool.step()
            except KilledError:
                continue
            if left > 0:
                left = 0
                return deaths
        raise AssertionError("never came through")

    for engine in (pool.store._writer, pool.store._reader):
        event.listen(engine.sync_engine, "before_cursor_execute", count)
    await pool.shares("ann", "bob")
    await pool.found(1, "bob")
    assert await run_to_the_end() > 10
    if orphaned:
        pool.chain.side, pool.chain.best = pool.chain.best, {}
    pool.chain.height += 10
    assert await run_to_the_end() > 5
    posted = {
        "wallet": (REWARD, 0),
        "fees": (FEE, 0),
        "ann": (MINERS // 3, 0),
        "bob": (MINERS * 2 // 3, 0),
    }
    assert await pool.books("ann", "bob") == ({} if orphaned else posted)
    last = "orphaned" if orphaned else "mature"
    assert await pool.states() == ["found", "confirming", last]
