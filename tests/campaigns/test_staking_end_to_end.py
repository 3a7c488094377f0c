"""The whole way of a stake on real nodes: deposit, epochs, rewards, claim, withdrawal, audit.

Through the product's own deployer, API, rooms and tasks, with the real contracts;
what wallets should have earned is computed beside it in rational numbers.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from millpond.staking.rewards.claims import ClaimState
from millpond.staking.rewards.claims import listed as claims_listed
from millpond.staking.withdrawals.model import WithdrawalState
from tests.campaigns.staking.people import People, open_api
from tests.campaigns.staking.rig import FAULTS, LIES
from tests.campaigns.staking.site import (
    ANN,
    BEN,
    CONFIRMATIONS,
    CYD,
    DIRECT,
    ONE,
    OPERATOR,
    POOLS,
    STAKERS,
    VAULT,
    TravelClock,
    open_site,
    write_config,
)
from tests.support.evm_faults import FaultProxy, other_logs
from tests.support.evm_nodes import Node

LONG = os.environ.get("MILLPOND_CAMPAIGN") == "long"
STAKES = {
    DIRECT: {ANN: 100 * ONE, BEN: 50 * ONE + 1, CYD: 7 * ONE + 3},
    VAULT: {ANN: 30 * ONE, BEN: 11 * ONE + 9, CYD: 500 * ONE},
}


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Node:
    """The named node, which makes blocks when it is told to."""
    found = request.getfixturevalue(f"{request.param}_node")
    assert isinstance(found, Node)
    found.automine(False)
    return found


@pytest.fixture
async def people(node: Node, store_url: str, tmp_path: Path) -> AsyncIterator[People]:
    """Two pools on a node, nothing staked."""
    text = write_config(tmp_path, node, store_url)
    async with open_site(node, text, TravelClock(node)) as opened:
        await opened.set_up()
        async with open_api(opened, tmp_path) as people:
            yield people


class Story:
    """The whole way of three people's stakes; `shaken` replaces the blocks of each step.

    Args:
        people: The stakers, who use the API of a site.
        depth: How many blocks are replaced behind each step; 0: none.
    """

    def __init__(self, people: People, depth: int = 0) -> None:
        self.people, self.site, self.depth = people, people.site, depth

    async def tell(self) -> None:
        """From the first deposit to the audit at the end."""
        for step in (self.deposit, self.fund, self.epochs, self.claims, self.withdrawals):
            await step()
        for _ in range(2):
            await self.site.next_epoch()
            await self.site.confirm()
        await self.check_end()

    async def shaken(self, *, keep: bool = True) -> None:
        """What the newest block did is seen, booked if the depth says so, and taken back."""
        if not self.depth:
            return
        site = self.site
        site.node.mine(self.depth - 1)
        await site.turn()
        site.node.reorg(self.depth, keep_txs=keep)
        await site.turn()
        site.node.mine()
        await site.turn()

    async def deposit(self) -> None:
        """Everybody stakes in both pools: seen at once, and counted when it is deep enough."""
        site = self.site
        await site.next_epoch()
        for pool_id, stakes in STAKES.items():
            for who, amount in stakes.items():
                await self.people.deposit(who, pool_id, amount)
        site.node.mine()
        made = site.node.height()
        await site.until("seen", self._all_seen)
        if not site.failed and site.node.height() - made < CONFIRMATIONS - 1:
            assert (await site.position(ANN))[1] == 0, "too early to count"
        await self.shaken()
        await site.confirm()
        for who in STAKERS:
            stake, shares = STAKES[DIRECT][who], STAKES[VAULT][who] * 10**6
            assert await self.people.position(who, DIRECT) == (stake, stake)
            assert await self.people.position(who, VAULT) == (shares, shares)
        await site.check_audit()

    async def _all_seen(self) -> bool:
        return all([(await self.site.position(who, VAULT))[0] for who in STAKERS])

    async def fund(self) -> None:
        """The operator funds the rewards, by the command's own function."""
        site = self.site
        for pool_id in POOLS:
            await site.patiently(partial(site.fund, pool_id, 100 * ONE, "first"))
        await self.shaken()
        await site.confirm()
        await site.check_audit()

    async def epochs(self) -> None:
        """Three epochs pass; the vault's roots go on chain."""
        site = self.site
        for _ in range(3):
            await site.next_epoch()
            await site.confirm()
        await self._sent_and_mined()
        await self.shaken(keep=self.depth % 2 == 0)
        await site.until("every root on chain", self._all_posted)
        await site.confirm()
        for pool_id in POOLS:
            epochs = await site.epochs(pool_id)
            assert [epoch.pot for epoch in epochs[-2:]] == [ONE + 7, ONE + 7]
            credited = await site.check_rewards(pool_id)
            assert set(credited) == {site.wallet(who) for who in STAKERS}
        await site.check_audit()

    async def _all_posted(self) -> bool:
        epochs = await self.site.epochs(VAULT)
        on_chain = self.site.call(self.site.rewards_contract(VAULT), "last_epoch")
        return bool(on_chain == epochs[-1].number)

    async def claims(self) -> None:
        """Ann takes all of her rewards, Ben a part of his; the vault's with a proof."""
        site = self.site
        before = {who: site.tokens(who) for who in STAKERS}
        self.claimed = {ANN: await site.owed(DIRECT, ANN), BEN: 12_345}
        for who, amount in self.claimed.items():
            await self.people.claim(who, amount)
        await self._sent_and_mined()
        await self.shaken(keep=self.depth % 2 == 0)
        await site.until("claims are paid", self._claims_paid)
        for who, amount in self.claimed.items():
            assert site.tokens(who) == before[who] + amount
        credited = await site.credited(VAULT)
        for who in STAKERS:
            before[who] = site.tokens(who)
            assert await self.people.claim_on_chain(who) == credited[site.wallet(who)]
        site.node.mine()
        await self.shaken()
        await site.confirm()
        for who in STAKERS:
            assert site.tokens(who) == before[who] + credited[site.wallet(who)]
        await site.check_audit()

    async def _claims_paid(self) -> bool:
        async with self.site.store.read() as tx:
            return {c.state for c in await claims_listed(tx)} == {ClaimState.PAID}

    async def withdrawals(self) -> None:
        """Ann leaves the direct pool, Ben takes a part; Cyd leaves the vault by himself."""
        site = self.site
        # Blocks that are replaced stay within one epoch: one that was closed on them would be
        # disputed, as it should be, and is not what is told here.
        await site.next_epoch()
        before = {who: site.tokens(who) for who in STAKERS}
        part = STAKES[DIRECT][BEN] // 3
        asked = [await self.people.ask(ANN), await self.people.ask(BEN, part)]
        shares, wallet = STAKES[VAULT][CYD] * 10**6, site.wallet(CYD)
        await self.people.leave(CYD, shares)
        await self._sent_and_mined()
        await self.shaken(keep=self.depth % 2 == 0)
        if self.depth % 2:
            site.send(CYD, site.contract(VAULT), "redeem", shares, wallet, wallet)

        async def completed() -> bool:
            found = [await site.withdrawal(each) for each in asked]
            return {each.state for each in found} == {WithdrawalState.COMPLETED}

        await site.until("withdrawals are paid", completed)
        await site.confirm()
        assert site.tokens(ANN) == before[ANN] + STAKES[DIRECT][ANN]
        assert site.tokens(BEN) == before[BEN] + part
        assert site.tokens(CYD) == before[CYD] + STAKES[VAULT][CYD]
        await site.check_audit()

    async def _sent_and_mined(self) -> None:
        """What is to be paid is in the newest block."""
        site = self.site
        operator = site.wallet(OPERATOR)

        async def waits() -> bool:
            return site.node.nonce(operator, "pending") > site.node.nonce(operator)

        await site.until("a transaction waits", waits)
        site.node.mine()

    async def check_end(self) -> None:
        """Rewards are the reference's to the wei, and every token is where it belongs."""
        site = self.site
        for pool_id in POOLS:
            credited = await site.check_rewards(pool_id)
            claimed = self.claimed if pool_id == DIRECT else {}
            for who in STAKERS:
                earned = credited[site.wallet(who)]
                if pool_id == DIRECT:
                    assert await site.owed(pool_id, who) == earned - claimed.get(who, 0)
        await site.check_audit()


@pytest.mark.parametrize(
    ("node", "store_url"),
    [("anvil", "sqlite"), ("anvil", "postgresql"), ("hardhat", "sqlite")],
    indirect=True,
)
async def test_the_whole_way_of_a_stake_and_books_equal_to_the_chain(people: People) -> None:
    await Story(people).tell()
    assert people.site.failed == []


@pytest.mark.parametrize(
    ("node", "depth"),
    [("anvil", depth) for depth in range(1, 6)]
    + [("hardhat", depth) for depth in (range(1, 6) if LONG else (2, 4))],
    indirect=["node"],
)
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_reorg_at_every_step_changes_nothing_that_anybody_gets(
    people: People, depth: int
) -> None:
    # Two blocks are below the confirmation depth, three and more take back what was booked.
    await Story(people, depth).tell()


@pytest.mark.parametrize("seed", range(10) if LONG else [1])
@pytest.mark.parametrize(("node", "store_url"), [("anvil", "sqlite")], indirect=True)
async def test_nodes_that_fail_at_random_delay_the_way_of_a_stake_and_change_nothing(
    node: Node, store_url: str, tmp_path: Path, seed: int
) -> None:
    async with FaultProxy(node.url) as proxy:
        text = write_config(tmp_path, node, store_url, urls=[proxy.url])
        async with open_site(node, text, TravelClock(node)) as site:
            await site.set_up()
            proxy.chaos(seed, 0.03, FAULTS)
            async with open_api(site, tmp_path) as people:
                await Story(people, depth=seed % 5 + 1).tell()
            assert site.failed != [], "there were faults"


@pytest.mark.parametrize(("node", "store_url"), [("anvil", "sqlite")], indirect=True)
async def test_one_lying_node_of_two_that_must_agree_can_delay_and_not_deceive(
    node: Node, store_url: str, tmp_path: Path
) -> None:
    async with FaultProxy(node.url) as liar:
        text = write_config(tmp_path, node, store_url, urls=[node.url, liar.url], quorum=2)
        async with open_site(node, text, TravelClock(node)) as site:
            await site.set_up()
            # As long as it lies, nothing is believed, and people are told.
            liar.inject(other_logs(times=None))
            await site.deposit(ANN, DIRECT, STAKES[DIRECT][ANN])
            site.node.mine(CONFIRMATIONS + 1)
            for _ in range(5):
                await site.turn()
            assert await site.position(ANN) == (0, 0)
            assert "evm_equivocation" in await site.alerts()
            liar.clear()
            site.send(ANN, site.contract(DIRECT), "withdraw", STAKES[DIRECT][ANN])
            site.node.mine()
            await site.confirm()
            # And lies now and then only cost time.
            liar.chaos(7, 0.02, LIES)
            async with open_api(site, tmp_path) as people:
                await Story(people).tell()
            assert site.failed != [], "there were lies"
