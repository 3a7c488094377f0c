"""Kill after kill while stakes come and go: everybody is paid exactly once.

`MILLPOND_CAMPAIGN_KILLS` sets how many kills (`make campaign-staking`: 200);
without it a short form runs. `MILLPOND_CAMPAIGN_SEED` replays a run's choices:
an odd seed runs on SQLite, an even one on PostgreSQL.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from millpond.chains.evm.tx.transactions import FAULT_POINTS as EVM_POINTS
from millpond.intents import IntentState
from millpond.intents.faults import FAULT_POINTS
from millpond.staking.rewards.claims import ClaimState
from millpond.staking.rewards.claims import listed as list_claims
from millpond.staking.withdrawals.model import WithdrawalState
from tests.campaigns.staking.reference import PAID, WITHDRAWN, handed_on, paid_out
from tests.campaigns.staking.rig import AT_REST, BATCHES_BIT, FAULTS, LIES, Rig
from tests.campaigns.staking.site import (
    DAN,
    DIRECT,
    MINTED,
    ONE,
    POOLS,
    STAKERS,
    VAULT,
    TravelClock,
    open_site,
    write_config,
)
from tests.campaigns.staking.victim import Plan, SharedClock
from tests.support.evm_faults import FaultProxy
from tests.support.evm_nodes import Anvil, anvil
from tests.support.postgres import apart

KILLS = int(os.environ.get("MILLPOND_CAMPAIGN_KILLS", "10"))
SEED = int(os.environ.get("MILLPOND_CAMPAIGN_SEED", "1"))
FAST = """
poll_s = 0.2
patience_s = 1.0
keeper_s = 0.3
bump_after_s = 20.0
max_tries = 1000
"""
REPLACING = ("evm_replacing", "evm_replaced")
FILLING = ("evm_filling", "evm_filled")
RELEASING = ("releasing", "released")
FREEING = "evm_freeing"
_APART = {*REPLACING, *FILLING, *RELEASING, FREEING}
POINTS = tuple(point for point in (*FAULT_POINTS, *EVM_POINTS) if point not in _APART)
"""Points that every transaction passes; the others are each led to."""


@pytest.fixture
def node() -> Iterator[Anvil]:
    with anvil(manual=True) as node:
        node.mine(8)
        yield node


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database of the kind that the seed says."""
    if SEED % 2:
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "store.db")
        yield f"sqlite:///{tmp_path}/store.db"
        return
    server = request.getfixturevalue("postgres_server")
    url = apart(server.create())
    yield url
    apart(server.drop(url))


@pytest.fixture
async def rig(node: Anvil, database: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Two funded pools with approvals, and nobody at work."""
    async with FaultProxy(node.url) as proxy:
        text = write_config(tmp_path, node, database)
        async with open_site(node, text, TravelClock(node)) as site:
            await site.set_up()
            pools = site.pools
        # Where two nodes have to agree, the faulty one may lie as well.
        urls = [proxy.url, node.url] if SEED % 4 > 1 else [proxy.url]
        write_config(tmp_path, node, database, urls=urls, quorum=len(urls), tx=FAST)
        # The people and the auditor ask the node itself.
        people = tmp_path / "people"
        people.mkdir()
        text = write_config(people, node, database, tx=FAST)
        clock = SharedClock(tmp_path / "clock")
        clock.advance(max(0, node.now_s() - clock.now_ms() // 1000))
        async with open_site(node, text, clock) as opened:
            opened.adopt(pools)
            made = Rig(opened, tmp_path, proxy, SEED, LIES if len(urls) > 1 else FAULTS)
            yield made
            made.end()


class Campaign:
    """Ways to die, each in turn."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.site = rig, rig.site
        self._points: list[str] = []

    def ways(self) -> list[Callable[[random.Random], Awaitable[None]]]:
        return [
            self.at_a_point,
            self.at_a_statement,
            self.at_any_time,
            self.at_a_point,
            self.side_by_side,
            self.at_a_point,
            self.replacing,
            self.at_a_statement,
            self.releasing,
            self.at_a_point,
            self.side_by_side,
            self.filling,
            self.at_a_statement,
            self.at_a_point,
            self.freeing,
        ]

    async def at_a_point(self, dice: random.Random) -> None:
        """At a named point, each of them in turn."""
        self._points = self._points or list(POINTS)
        point = self._points.pop(dice.randrange(len(self._points)))
        await self._alone(dice, Plan(point=point, times=dice.choice((1, 1, 2))), point)

    async def at_a_statement(self, dice: random.Random) -> None:
        """At any statement: in the middle of indexing, of an epoch, of writing a batch."""
        number = dice.choice((dice.randrange(1, 60), dice.randrange(1, 900)))
        await self._alone(dice, Plan(statement=number), "statement")

    async def at_any_time(self, dice: random.Random) -> None:
        """From outside, after some steps."""
        process = self.rig.start()
        for _ in range(dice.randrange(2, 12)):
            await self.rig.step(dice)
        self.rig.kill(process, "any time")

    async def side_by_side(self, dice: random.Random) -> None:
        """Two at once, each killed where it will."""
        plans = [Plan(point=dice.choice(POINTS), times=2), Plan(statement=dice.randrange(60, 900))]
        pair = [self.rig.start(plan) for plan in plans]
        await self.rig.live(dice, lambda: not all(p.is_alive() for p in pair), "the first dies")
        for _ in range(dice.randrange(1, 5)):
            await self.rig.step(dice)
        for process in pair:
            self.rig.kill(process, "side by side")

    async def replacing(self, dice: random.Random) -> None:
        """While a transaction that no block takes is replaced."""
        await self._something_to_pay(dice)
        self.rig.mining = False
        await self._alone(dice, Plan(point=dice.choice(REPLACING)), "replacing")
        self.rig.mining = True

    async def releasing(self, dice: random.Random) -> None:
        """While a batch that the contract has begun to refuse returns its reservations."""
        await self._something_to_pay(dice)
        pool = self.site.contract(DIRECT)
        self.site.send(DAN, pool, "pause", BATCHES_BIT, 0)
        self.rig.node.mine()
        await self._alone(dice, Plan(point=dice.choice(RELEASING)), "releasing")
        self.site.send(DAN, pool, "unpause", BATCHES_BIT)
        self.rig.node.mine()

    async def filling(self, dice: random.Random) -> None:
        """While the nonce of a batch that was given up is used up."""
        await self._something_to_pay(dice)
        await self._alone(dice, Plan(point="signed"), "signed")
        (intent, *_) = await self.rig.intents(IntentState.SIGNED)
        await self.rig.person.freeze(intent.id, actor="anna", reason="not any more")
        await self.rig.person.abandon(intent.id, actor="anna", reason="not any more")
        await self._alone(dice, Plan(point=dice.choice(FILLING)), "filling")

    async def freeing(self, dice: random.Random) -> None:
        """While the nonce of a batch that was overtaken is taken from it."""
        await self._something_to_pay(dice)
        self.rig.mining = False
        await self._alone(dice, Plan(point="evm_reserved"), "evm_reserved")
        first, *_ = await self.rig.intents(IntentState.CREATED)
        self.rig.held = frozenset({first.id})
        await self.rig.person.freeze(first.id, actor="anna", reason="wait")
        await self._alone(dice, Plan(point=FREEING), "freeing")
        self.rig.held = frozenset()
        self.rig.mining = True

    async def _alone(self, dice: random.Random, plan: Plan, why: str) -> None:
        process = self.rig.start(plan)
        await self.rig.live(dice, lambda: not process.is_alive(), f"killed at {why}")
        self.rig.kill(process, why)

    async def _something_to_pay(self, dice: random.Random) -> None:
        """Nothing is under way but one new batch, written by another process."""
        process = self.rig.start()
        self.rig.proxy.clear()
        await self.rig.rest()
        for who in STAKERS:
            self.site.send(who, self.site.contract(DIRECT), "deposit", 10 * ONE)
        await self.rig.rest()
        self.rig.kill(process, AT_REST)
        await self.rig.ask(dice, dice.choice(STAKERS))
        await self.site.rooms.withdrawal_run.run_once()
        self.rig.trouble(dice)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
async def test_whoever_is_killed_everybody_is_paid_exactly_once(rig: Rig) -> None:
    campaign = Campaign(rig)
    await rig.begin()
    while sum(rig.deaths.values()) < KILLS:
        for way in campaign.ways():
            dice = rig.dice()
            rig.trouble(dice)
            await way(dice)
            if sum(rig.deaths.values()) >= KILLS:
                break
    rig.start()
    await rig.rest()
    await rig.leave()
    print(f"seed {SEED}: {dict(rig.deaths)}; {dict(rig.acts)}")
    await check_everybody_paid_once(rig)


async def check_everybody_paid_once(rig: Rig) -> None:
    """Requests, books and chain say the same, and the tokens are where they belong."""
    site = rig.site
    assert await rig.under_way() == []
    given = handed_on(rig.node, site.pools[VAULT].contract)
    credited = {pool_id: await site.credited(pool_id) for pool_id in POOLS}
    for who in STAKERS:
        wallet = site.wallet(who)
        assert await site.position(who) == await site.position(who, VAULT) == (0, 0)
        earned = [found.get(wallet, 0) for found in credited.values()]
        # What a wallet gave others, or had from them, left the vault with whoever had it last.
        shares = given[wallet]
        assert shares % 10**6 == 0
        assert site.tokens(who) == MINTED + sum(earned) + shares // 10**6, (wallet, earned)
    await _check_withdrawals(rig)
    await _check_claims(rig)
    for pool_id in POOLS:
        epochs = await site.epochs(pool_id)
        assert epochs[-1].cumulative <= epochs[-1].emitted <= epochs[-1].funded
        if not rig.acts["accepted"]:
            await site.check_rewards(pool_id)
    await site.check_audit()


async def _check_withdrawals(rig: Rig) -> None:
    """Each accepted request came to one end, and each payment has one request."""
    found = {each.id: each for each in await rig.site.withdrawals()}
    assert {each.id for each in rig.asked} <= found.keys()
    assert {each.state for each in found.values()} <= {
        WithdrawalState.COMPLETED,
        WithdrawalState.FAILED,
    }
    completed = [each for each in found.values() if each.state is WithdrawalState.COMPLETED]
    booked = Counter((each.wallet, each.tx_hash, each.amount) for each in completed)
    assert booked == paid_out(rig.node, rig.site.pools[DIRECT].contract, WITHDRAWN)
    assert set(booked.values()) <= {1}


async def _check_claims(rig: Rig) -> None:
    async with rig.site.store.read() as tx:
        found = {each.id: each for each in await list_claims(tx, limit=1000)}
    assert {each.id for each in rig.claimed} <= found.keys()
    assert {each.state for each in found.values()} <= {ClaimState.PAID, ClaimState.FAILED}
    paid = [each for each in found.values() if each.state is ClaimState.PAID]
    booked = Counter((each.wallet, each.tx_hash, each.amount) for each in paid)
    contract = rig.site.rewards_contract(DIRECT).address
    assert contract is not None
    assert booked == paid_out(rig.node, contract, PAID)
    assert set(booked.values()) <= {1}
