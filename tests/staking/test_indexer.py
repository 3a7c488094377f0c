"""The indexer: exactly once, in order, through reorgs, and the books with it."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from sqlalchemy import event

from millpond.chains.evm.errors import NoQuorumError, RevertedError
from millpond.money.model import Transfer
from millpond.risk import Limits, Scope
from millpond.staking import accounts
from millpond.staking.checkpoints import load
from millpond.staking.errors import PoolStandingError
from millpond.staking.history import balances_before, booked_mark, changes_between
from millpond.staking.positions import events_of, get_position, positions_of_wallet
from millpond.staking.restarting import restart
from millpond.staking.rewards.rows import fundings_of, last_posted
from millpond.staking.settings import StakingSettings
from millpond.staking.withdrawals.service import Withdrawals
from millpond.store import Store
from millpond.trail import Trail
from tests.staking.chain import PaperChain, wallet
from tests.staking.rig import Rig, rig_for
from tests.staking.samples import CHAIN, CONTRACT, TOKEN, direct_pool, vault_pool

POOL = "btcd-main-pool"
SEEDS = 40 if os.environ.get("MILLPOND_CAMPAIGN") == "long" else 2
"""Random stories told."""
A, B, C = wallet(1), wallet(2), wallet(3)


@pytest.fixture
async def rig(store: Store) -> Rig:
    """A direct pool with three confirmations."""
    return await rig_for(store, [direct_pool()])


async def test_a_deposit_is_seen_at_once_and_counts_when_it_is_deep_enough(rig: Rig) -> None:
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine()
    assert await rig.index() == 1
    async with rig.store.read() as tx:
        position = await get_position(tx, POOL, A)
    assert (position.seen, position.balance) == (100, 0)
    assert await rig.balance(accounts.principal(POOL, TOKEN.asset)) == 0
    rig.chain.mine(2)
    await rig.index()
    async with rig.store.read() as tx:
        position = await get_position(tx, POOL, A)
    assert (position.seen, position.balance) == (100, 100)
    assert position.since_s == rig.chain.minted[1].block.timestamp_s
    assert await rig.balance(accounts.principal(POOL, TOKEN.asset)) == 100
    await rig.check()


async def test_running_again_changes_nothing(rig: Rig) -> None:
    rig.chain.deposit(POOL, A, 100)
    rig.chain.withdraw(POOL, A, 30)
    rig.chain.mine(5)
    assert await rig.index() == 2
    assert await rig.index() == 0
    await rig.check()


async def test_history_is_what_the_reward_engine_folds_over(rig: Rig) -> None:
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine()
    rig.chain.deposit(POOL, B, 50)
    rig.chain.withdraw(POOL, A, 40)
    rig.chain.mine(4)
    await rig.index()
    times = [each.block.timestamp_s for each in rig.chain.minted]
    async with rig.store.read() as tx:
        changes = await changes_between(tx, POOL, times[0], times[3])
        assert [(c.at_s, c.wallet, c.balance) for c in changes] == [
            (times[1], A, 100),
            (times[2], B, 50),
            (times[2], A, 60),
        ]
        assert await balances_before(tx, POOL, times[2]) == {A: 100}
        assert await balances_before(tx, POOL, times[2] + 1) == {A: 60, B: 50}
        mark = await booked_mark(tx, POOL)
        assert (mark.number, mark.time_s) == (3, times[3])
        assert [e.amount for e in await events_of(tx, POOL, wallet=A)] == [40, 100]


async def test_reorgs_of_every_depth_before_and_after_the_confirmation(rig: Rig) -> None:
    rig.chain.mine(6)
    for keep in (True, False):
        for depth in range(1, 6):
            for after in range(5):
                await _reorg(rig, depth=depth, after=after, keep=keep)


async def _reorg(rig: Rig, *, depth: int, after: int, keep: bool) -> None:
    """Two blocks with events, `after` more on top, then a reorg of `depth`."""
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine()
    rig.chain.deposit(POOL, B, 70)
    rig.chain.withdraw(POOL, A, 25)
    rig.chain.mine(1 + after)
    await rig.index()
    rig.chain.reorg(depth, keep=keep)
    await rig.index()
    # The blocks with events have `after` and `after + 1` on top; with two an event is booked.
    booked = (depth > after >= 2) or (depth > after + 1 >= 2)
    assert ("staking_deep_reorg" in await rig.open_alerts()) == booked
    async with rig.store.begin() as tx:
        await rig.alerts.clear(tx, "staking_deep_reorg", POOL)
    rig.chain.mine(8)
    await rig.index()
    await rig.check()


async def test_pools_that_stand_together_share_one_query(store: Store) -> None:
    other = direct_pool(
        pool_id="second", contract=wallet(901), rewards_contract=wallet(902), confirmations=1
    )
    rig = await rig_for(store, [direct_pool(), other, vault_pool()])
    rig.chain.deposit(POOL, A, 1)
    rig.chain.deposit("second", A, 2)
    rig.chain.deposit("btcd-vault", A, 3)
    rig.chain.mine(3)
    assert await rig.index() == 4
    assert rig.chain.calls.count("logs") == 1
    await rig.check()
    async with rig.store.read() as tx:
        found = await positions_of_wallet(tx, A)
    assert [(p.pool_id, p.position.balance) for p in found] == [
        ("btcd-main-pool", 1),
        ("btcd-vault", 3),
        ("second", 2),
    ]


async def test_a_pool_that_comes_later_catches_up_and_joins_the_others(rig: Rig) -> None:
    late = direct_pool(pool_id="late", contract=wallet(901), rewards_contract=wallet(902))
    rig.chain = PaperChain([*rig.pools, late])
    rig = await rig_for(rig.store, rig.pools, chain=rig.chain)
    rig.chain.range_blocks = 4
    rig.chain.deposit("late", B, 5)
    rig.chain.deposit(POOL, A, 7)
    rig.chain.mine(20)
    await rig.index()
    rig = await rig_for(rig.store, [*rig.pools, late], chain=rig.chain)
    await rig.index()
    await rig.check()
    rig.chain.calls.clear()
    rig.chain.mine()
    await rig.index()
    assert rig.chain.calls.count("logs") == 1
    rig.chain.reorg(2, keep=True)
    rig.chain.mine(3)
    await rig.index()
    await rig.check()


async def test_shares_of_a_vault_follow_their_transfers(store: Store) -> None:
    rig = await rig_for(store, [vault_pool(confirmations=1)])
    vault = rig.pools[0]
    rig.chain.deposit("btcd-vault", A, 100)
    rig.chain.mine()
    rig.chain.transfer("btcd-vault", A, B, 40)
    rig.chain.transfer("btcd-vault", B, B, 10)
    rig.chain.withdraw("btcd-vault", B, 15)
    rig.chain.mine()
    await rig.index()
    await rig.check()
    holdings = accounts.holdings("btcd-vault", vault.asset)
    assert await rig.balance(holdings) == 85
    rig.chain.emit("btcd-vault", "LossDeclared", assets=5)
    rig.chain.emit("btcd-vault", "RedeemRequested", id=1, owner=A, receiver=A, shares=0, assets=20)
    rig.chain.mine()
    await rig.index()
    queued = accounts.queued("btcd-vault", vault.asset)
    principal = accounts.principal("btcd-vault", vault.asset)
    assert [await rig.balance(a) for a in (holdings, queued, principal)] == [60, 20, 80]
    rig.chain.emit("btcd-vault", "RedeemPaid", id=1, receiver=A, assets=20)
    rig.chain.mine()
    await rig.index()
    assert [await rig.balance(a) for a in (holdings, queued, principal)] == [60, 0, 60]
    await rig.check()


async def test_a_node_that_leaves_logs_out_is_not_believed(rig: Rig) -> None:
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine()
    rig.chain.deposit(POOL, B, 50)
    rig.chain.mine(4)
    rig.chain.hide = lambda log: log.block_number == 2
    assert await rig.index() == 0
    assert await rig.open_alerts() == {"staking_chain_gap"}
    rig.chain.mine(20)
    assert (await rig.indexer.run_once())[0].behind > 20
    assert await rig.behind(POOL) > 20, "it stands still, and says so"
    rig.chain.hide = None
    assert await rig.index() == 2
    assert await rig.open_alerts() == set()
    await rig.check()


async def test_funds_that_were_distributed_and_went_away_are_a_shortfall(rig: Rig) -> None:
    """A reorg takes back a funding whose money was given out: said aloud, and filled again."""
    reserve = accounts.reward_reserve(POOL, TOKEN.asset)
    owed = accounts.rewards(POOL, A, TOKEN.asset)
    missing = accounts.shortfall(POOL, TOKEN.asset)
    rig.chain.mine(4)
    rig.chain.emit(POOL, "Funded", sender=B, amount=1_000)
    rig.chain.mine(3)
    await rig.index()
    assert await rig.balance(reserve) == 1_000
    async with rig.store.begin() as tx:
        paid = Transfer("epoch", reserve, owed, TOKEN.asset.amount(700), "epoch")
        await rig.ledger.post(tx, [paid])
    rig.chain.reorg(3, keep=False)
    await rig.index()
    assert [await rig.balance(a) for a in (reserve, missing, owed)] == [0, -700, 700]
    assert "staking_reward_shortfall" in await rig.open_alerts()
    rig.chain.emit(POOL, "Funded", sender=B, amount=1_000)
    rig.chain.mine(3)
    await rig.index()
    assert [await rig.balance(a) for a in (reserve, missing, owed)] == [300, 0, 700]
    assert "staking_reward_shortfall" not in await rig.open_alerts()
    await rig.check()


async def test_a_reorg_deeper_than_what_is_remembered_stops_the_pool(store: Store) -> None:
    rig = await rig_for(store, [direct_pool()], settings=StakingSettings(trail=16))
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine(40)
    await rig.index()
    rig.chain.reorg(30, keep=True)
    await rig.index()
    assert await rig.open_alerts() == {"staking_pool_stopped"}
    async with rig.store.read() as tx:
        (checkpoint,) = (await load(tx, [POOL])).values()
    assert "in the chain any more" in checkpoint.stopped
    assert checkpoint.number == 40
    rig.chain.mine(25)
    await rig.indexer.run_once()
    assert await rig.behind(POOL) == len(rig.chain.minted) - 1 - 40


async def test_two_indexers_at_once_do_the_work_once(rig: Rig) -> None:
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine(3)
    (group,) = await rig.indexer._groups(CHAIN)
    first = await rig.indexer._step(CHAIN, group)
    second = await rig.indexer._step(CHAIN, group)
    assert (first.events, second.events) == (1, 0)
    await rig.check()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_any_story_ends_with_books_positions_and_chain_the_same(
    store: Store, seed: int
) -> None:
    rig = await rig_for(store, [direct_pool(), vault_pool(confirmations=2)])
    chance = random.Random(f"{seed} {store.dialect}")
    rig.chain.mine(6)
    people = [wallet(n) for n in range(1, 6)]
    for _ in range(25):
        for _ in range(chance.randrange(4)):
            pool_id = chance.choice([POOL, "btcd-vault"])
            who, other = chance.choice(people), chance.choice(people)
            match chance.randrange(3 if pool_id == POOL else 4):
                case 0 | 1:
                    rig.chain.deposit(pool_id, who, chance.randrange(1, 10**20))
                case 2:
                    held = rig.chain.state[pool_id].balances.get(who, 0)
                    rig.chain.withdraw(pool_id, who, max(1, held // chance.randrange(1, 4)))
                case _:
                    held = rig.chain.state[pool_id].balances.get(who, 0)
                    rig.chain.transfer(pool_id, who, other, max(1, held // 2))
        rig.chain.mine(chance.randrange(1, 3))
        if chance.random() < 0.3:
            rig.chain.reorg(chance.randrange(1, 6), keep=chance.random() < 0.7)
        if chance.random() < 0.7:
            await rig.index()
            await rig.check()
    rig.chain.mine(3)
    await rig.index()
    await rig.check()


async def test_what_cannot_be_booked_stops_its_pool_and_no_other(store: Store) -> None:
    rig = await rig_for(store, [direct_pool(), vault_pool()])
    rig.chain.emit("btcd-vault", "RedeemPaid", id=1, receiver=A, assets=5)
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine(3)
    await rig.index()
    assert await rig.open_alerts() == {"staking_pool_stopped"}
    async with store.read() as tx:
        found = await load(tx, [POOL, "btcd-vault"])
        assert (await get_position(tx, POOL, A)).balance == 100
    assert (found[POOL].stopped, found["btcd-vault"].booked_number) == ("", -1)
    async with store.begin() as tx:
        held = accounts.principal("btcd-vault", TOKEN.asset)
        queued = accounts.queued("btcd-vault", TOKEN.asset)
        gift = Transfer("a", held, queued, TOKEN.asset.amount(10), "test")
        await rig.ledger.post(tx, [gift])
        trail = Trail(rig.clock)
        who = {"actor": "ann", "reason": "the queue is right now"}
        why = await restart(tx, "btcd-vault", alerts=rig.alerts, trail=trail, **who)
        (entry,) = await trail.read(tx)
    assert entry.before == {"stopped": why}
    assert (entry.actor, entry.action, entry.reason) == (
        "ann",
        "staking.restart",
        "the queue is right now",
    )
    await rig.index()
    assert await rig.balance(queued) == 5
    assert await rig.open_alerts() == set()
    async with store.begin() as tx:
        with pytest.raises(PoolStandingError):
            await restart(tx, "btcd-vault", alerts=rig.alerts, trail=trail, **who)


async def test_rewards_that_left_for_somebody_who_is_owed_less_hold_up_nobody(
    store: Store,
) -> None:
    """A stolen operator key posts a root of its own: the books follow, and say who lost."""
    pool = vault_pool(pool_id=POOL)
    rig = await rig_for(store, [pool])
    owed = accounts.rewards(POOL, A, TOKEN.asset)
    funds = accounts.reward_funds(POOL, TOKEN.asset)
    reserve = accounts.reward_reserve(POOL, TOKEN.asset)
    missing = accounts.shortfall(POOL, TOKEN.asset)
    four = [funds, reserve, owed, missing]
    rig.chain.mine(4)
    rig.chain.emit(POOL, "Funded", sender=B, amount=1_000)
    rig.chain.mine(3)
    await rig.index()
    async with store.begin() as tx:
        part = Transfer("epoch", reserve, owed, TOKEN.asset.amount(30), "epoch")
        await rig.ledger.post(tx, [part])
    rig.chain.emit(POOL, "Claimed", account=A, amount=100, cumulative=100)
    rig.chain.deposit(POOL, B, 7)
    rig.chain.mine(3)
    await rig.index()
    assert [await rig.balance(a) for a in four] == [900, 970, 0, -70]
    assert await rig.open_alerts() == {"staking_reward_overpaid"}
    await rig.check()
    rig.chain.reorg(3, keep=False)
    await rig.index()
    assert [await rig.balance(a) for a in four] == [1_000, 970, 30, 0]


async def test_logs_missing_of_one_pool_hold_up_no_other(store: Store) -> None:
    other = direct_pool(pool_id="second", contract=wallet(901), rewards_contract=wallet(902))
    rig = await rig_for(store, [direct_pool(), other])
    rig.chain.deposit(POOL, A, 100)
    rig.chain.deposit("second", B, 50)
    rig.chain.mine(3)
    rig.chain.hide = lambda log: log.address == rig.pools[0].contract
    await rig.index()
    async with store.read() as tx:
        assert (await get_position(tx, "second", B)).balance == 50
        assert (await get_position(tx, POOL, A)).seen == 0
    assert await rig.open_alerts() == {"staking_chain_gap"}
    rig.chain.hide = None
    await rig.index()
    await rig.check()


async def test_an_epoch_that_was_taken_back_is_seen(store: Store) -> None:
    rig = await rig_for(store, [vault_pool()])
    root = bytes.fromhex("ab" * 32)
    rig.chain.emit("btcd-vault", "EpochPosted", epoch=1, root=root, total=5, statement_hash=root)
    rig.chain.mine(1)
    await rig.index()
    async with store.read() as tx:
        posted = await last_posted(tx, "btcd-vault")
    assert posted is not None
    assert (posted.number, posted.root) == (1, "0x" + root.hex())
    rig.chain.emit("btcd-vault", "EpochRevoked", epoch=1, root=root, total=5)
    rig.chain.mine(1)
    await rig.index()
    async with store.read() as tx:
        assert await last_posted(tx, "btcd-vault") is None


@pytest.mark.parametrize("answer", [b"", None])
async def test_a_contract_that_does_not_answer_holds_up_no_other_pool(
    store: Store, monkeypatch: pytest.MonkeyPatch, answer: bytes | None
) -> None:
    gone = direct_pool(pool_id="gone", contract=wallet(901), rewards_contract=wallet(902))
    rig = await rig_for(store, [direct_pool(), gone])
    tell = rig.chain.call

    async def call(to: str, calldata: bytes, *where: Any, **how: Any) -> bytes:
        if to != gone.contract:
            return await tell(to, calldata, *where, **how)
        if answer is None:
            raise RevertedError("reverted", rpc_code=3, method="eth_call", data=b"", reason="")
        return answer

    monkeypatch.setattr(rig.chain, "call", call)
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine(3)
    await rig.index()
    async with store.read() as tx:
        assert (await get_position(tx, POOL, A)).balance == 100
    assert await rig.open_alerts() == {"staking_chain_gap"}
    monkeypatch.undo()
    await rig.index()
    await rig.check()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda log: msgspec.structs.replace(log, data=log.data[:-1]),
        lambda log: msgspec.structs.replace(log, topics=log.topics[:1]),
    ],
)
async def test_a_log_that_no_contract_of_ours_writes_holds_up_no_other_pool(
    store: Store, spoil: Any
) -> None:
    second = direct_pool(pool_id="second", contract=wallet(901), rewards_contract=wallet(902))
    rig = await rig_for(store, [direct_pool(), second])
    rig.chain.deposit(POOL, A, 100)
    rig.chain.deposit("second", B, 50)
    rig.chain.mine(3)
    for minted in rig.chain.minted:
        minted.logs = [spoil(log) if log.address == CONTRACT else log for log in minted.logs]
    await rig.index()
    async with store.read() as tx:
        assert (await get_position(tx, "second", B)).balance == 50
        assert (await get_position(tx, POOL, A)).seen == 0
    assert await rig.open_alerts() == {"staking_chain_gap"}


async def test_nodes_that_fail_now_and_then_are_caught_up_with(store: Store) -> None:
    """The further behind, the smaller the steps: one that asks a lot never comes through."""
    dice = random.Random(5)

    class Flaky(PaperChain):
        async def blocks(self, numbers: Sequence[int], *, agreed: bool = False) -> Any:

            if any(dice.random() < 0.03 for _ in numbers):
                raise NoQuorumError("0 of 1 nodes agree")
            return await super().blocks(numbers, agreed=agreed)

    pool = direct_pool()
    rig = await rig_for(store, [pool], chain=Flaky([pool]))
    for number in range(400):
        rig.chain.deposit(POOL, wallet(number % 5 + 1), number + 1)
        rig.chain.mine()
    failures = 0
    for _ in range(300):
        try:
            (progress,) = await rig.indexer.run_once()
        except NoQuorumError:
            failures += 1
        else:
            if progress.idle:
                break
    else:
        raise AssertionError("it never catches up")
    assert failures > 5
    await rig.check()


async def test_a_shallow_reorg_costs_a_few_headers(rig: Rig, monkeypatch: Any) -> None:
    rig.chain.deposit(POOL, A, 100)
    rig.chain.mine(120)
    await rig.index()
    asked: list[int] = []
    blocks = rig.chain.blocks

    async def count(numbers: Sequence[int], **options: Any) -> Any:
        asked.append(len(numbers))
        return await blocks(numbers, **options)

    rig.chain.reorg(2, keep=True)
    monkeypatch.setattr(rig.chain, "blocks", count)
    await rig.index()
    assert max(asked) <= 8
    rig.chain.reorg(60, keep=True)
    await rig.index()
    await rig.check()


async def test_tokens_that_go_round_in_circles_shut_nobody_in(store: Store) -> None:
    pool = direct_pool()
    rig = await rig_for(store, [pool], risky=True)
    async with rig.store.begin() as tx:
        limits = Limits(outflow_cap=1_000, total_24h=1_000)
        await rig.risk.set_limits(tx, "ann", Scope.pool(POOL), pool.asset.code, limits)
    rig.chain.deposit(POOL, A, 500)
    rig.chain.mine()
    for _ in range(20):
        rig.chain.deposit(POOL, B, 100)
        rig.chain.withdraw(POOL, B, 100)
    rig.chain.mine(4)
    await rig.index()
    await rig.check()
    requests = Withdrawals(rig.ledger, rig.risk, rig.clock, rig.ids)
    async with rig.store.begin() as tx:
        await requests.request(tx, pool_id=POOL, wallet=A, amount=500)
    async with rig.store.read() as tx:
        assert (await rig.risk.status(tx, Scope.pool(POOL))).held == ()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_what_an_epoch_asks_does_not_walk_through_all_that_came_before(store: Store) -> None:
    """As SQLite plans it; what PostgreSQL does depends on how full its tables are."""
    asked: list[Any] = []
    async with store.read() as tx:
        assert tx.sync_connection is not None
        event.listen(tx.sync_connection, "before_execute", lambda _c, what, *_: asked.append(what))
        await balances_before(tx, POOL, 1_000)
        await changes_between(tx, POOL, 1_000, 2_000)
        await fundings_of(tx, direct_pool(), None, 2_000)
        await last_posted(tx, POOL)
    assert len(asked) == 4
    async with store.read() as tx:
        for query, index in zip(asked, ("wallet", "time", "kind", "kind"), strict=True):
            sql = query.compile(dialect=tx.dialect, compile_kwargs={"literal_binds": True})
            plan = str((await tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")).all())
            assert f"SEARCH staking_event USING INDEX ix_staking_event_{index}" in plan, plan
            assert "SCAN" not in plan.replace("SCALAR", ""), plan
