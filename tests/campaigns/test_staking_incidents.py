"""What people try, or forget, with two real pools on a node: nobody gains, nobody is robbed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from millpond.staking.rewards.epochs import UNDERFUNDED
from millpond.staking.rewards.errors import ClaimRefusedError, NoRewardsError
from tests.campaigns.staking.site import (
    ANN,
    BEN,
    DAN,
    DIRECT,
    EPOCH_S,
    MINTED,
    ONE,
    POOLS,
    VAULT,
    Site,
    TravelClock,
    open_site,
    write_config,
)
from tests.support.evm_nodes import Node

STAKE = 10 * ONE
POT = ONE + 7
"""What an epoch gives when the pool is funded."""


@pytest.fixture
async def site(anvil_node: Node, sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Site]:
    """Two pools in which Ann has three times as much as Ben."""
    anvil_node.automine(False)
    database = tmp_path / "store.db"
    database.write_bytes(sqlite_template.read_bytes())
    text = write_config(tmp_path, anvil_node, f"sqlite:///{database}")
    async with open_site(anvil_node, text, TravelClock(anvil_node)) as opened:
        await opened.set_up()
        await opened.next_epoch()
        for pool_id in POOLS:
            await opened.deposit(ANN, pool_id, 3 * STAKE)
            await opened.deposit(BEN, pool_id, STAKE)
        opened.node.mine()
        await opened.confirm()
        yield opened


async def pass_epochs(site: Site, count: int) -> None:
    """So many epochs go by, and are closed."""
    for _ in range(count):
        await site.next_epoch()
        await site.confirm()


def at(site: Site, seconds_before_end: int) -> None:
    """The next block is so many seconds before the end of this epoch."""
    zero_s = site.pools[DIRECT].epoch_zero_s
    end_s = zero_s + ((site.node.now_s() - zero_s) // EPOCH_S + 1) * EPOCH_S
    site.node.set_next_timestamp(end_s - seconds_before_end)


@pytest.mark.parametrize("out_before_end", [True, False])
async def test_a_flash_stake_at_the_end_of_an_epoch_earns_nothing_down_to_the_chain(
    site: Site, out_before_end: bool
) -> None:
    direct, vault, wallet = site.contract(DIRECT), site.contract(VAULT), site.wallet(DAN)
    for pool_id in POOLS:
        await site.fund(pool_id, 100 * ONE, "first")
    await pass_epochs(site, 1)
    huge = 100_000 * ONE
    for contract in (direct, vault):
        site.send(DAN, site.token, "approve", contract.address, huge)
    site.node.mine()
    at(site, 2)
    site.send(DAN, direct, "deposit", huge)
    site.send(DAN, vault, "deposit", huge, wallet)
    site.node.mine()
    assert site.tokens(DAN) == MINTED - 2 * huge
    at(site, 1 if out_before_end else 0)
    site.send(DAN, direct, "withdraw", huge)
    site.send(DAN, vault, "redeem", huge * 10**6, wallet, wallet)
    site.node.mine()
    assert site.tokens(DAN) == MINTED
    await pass_epochs(site, 3)

    ann = 0
    for pool_id in POOLS:
        credited = await site.check_rewards(pool_id)
        assert wallet not in credited
        ann, ben = (credited[site.wallet(who)] for who in (ANN, BEN))
        assert 0 <= ann - 3 * ben <= 3, "shared as if nobody had come"
    with pytest.raises(ClaimRefusedError):
        await site.claim(DAN)
    with pytest.raises(NoRewardsError):
        await site.claim_on_chain(DAN)
    # Nor is the distributor moved by an amount that others have earned.
    site.send(DAN, site.rewards_contract(VAULT), "claim", wallet, ann, [])
    site.node.mine()
    await site.confirm()
    assert site.tokens(DAN) == MINTED
    await site.check_audit()


async def test_a_donation_changes_nobodys_share(site: Site) -> None:
    for pool_id in POOLS:
        await site.fund(pool_id, 100 * ONE, "first")
    await pass_epochs(site, 2)
    direct, vault = site.contract(DIRECT), site.contract(VAULT)
    asked = ("totalAssets", "totalSupply")
    before = [site.call(vault, function) for function in asked]
    for contract in (vault, direct, *(site.rewards_contract(pool_id) for pool_id in POOLS)):
        site.send(DAN, site.token, "transfer", contract.address, 1_000 * ONE)
    site.node.mine()
    await pass_epochs(site, 2)

    assert [site.call(vault, function) for function in asked] == before
    assert site.call(vault, "convertToAssets", STAKE * 10**6) == STAKE
    for pool_id in POOLS:
        epochs = await site.epochs(pool_id)
        assert [epoch.pot for epoch in epochs[1:4]] == [POT] * 3
        await site.check_rewards(pool_id)
    await site.check_audit()
    # Whoever leaves takes out what they put in.
    had, wallet = site.tokens(BEN), site.wallet(BEN)
    site.send(BEN, vault, "redeem", STAKE * 10**6, wallet, wallet)
    site.send(BEN, direct, "withdraw", STAKE)
    site.node.mine()
    assert site.tokens(BEN) == had + 2 * STAKE
    await site.confirm()
    await site.check_audit()


async def test_an_under_funded_pool_pays_what_is_funded_says_so_and_raises_an_alert(
    site: Site,
) -> None:
    funded = POT + POT // 2
    for pool_id in POOLS:
        await site.fund(pool_id, funded, "too-little")
    await pass_epochs(site, 4)

    for pool_id in POOLS:
        epochs = (await site.epochs(pool_id))[1:4]
        assert [epoch.pot for epoch in epochs] == [POT, POT // 2, 0]
        parts = [(await site.statement(pool_id, epoch.epoch)).emission for epoch in epochs]
        assert [int(part.shortfall) for part in parts] == [0, POT - POT // 2, POT]
        credited = await site.check_rewards(pool_id)
        assert funded - len(credited) < sum(credited.values()) <= funded
    assert await short(site) == {f"pool:{pool_id}" for pool_id in POOLS}

    # What was owed to nobody stays so: later money pays later epochs.
    for pool_id in POOLS:
        await site.fund(pool_id, 100 * ONE, "enough")
    await pass_epochs(site, 3)
    assert await short(site) == set()
    for pool_id in POOLS:
        assert (await site.epochs(pool_id))[-1].pot == POT
        await site.check_rewards(pool_id)
        await _all_claimed(site, pool_id)
    await site.check_audit()


async def short(site: Site) -> set[str]:
    """What is said to be under-funded."""
    async with site.store.read() as tx:
        found = await site.rooms.alerts.open(tx)
    return {alert.subject for alert in found if alert.kind == UNDERFUNDED}


async def _all_claimed(site: Site, pool_id: str) -> None:
    """Everybody gets on chain what they were credited."""
    credited = await site.credited(pool_id)
    before = {who: site.tokens(who) for who in (ANN, BEN)}
    for who in before:
        if pool_id == VAULT:
            await site.claim_on_chain(who)
        else:
            await site.claim(who)

    async def paid() -> bool:
        return all(
            site.tokens(who) == had + credited[site.wallet(who)] for who, had in before.items()
        )

    await site.until("claims are paid", paid)
    await site.confirm()
