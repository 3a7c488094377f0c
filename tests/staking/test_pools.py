"""Pools are rows: as many as one likes, each token with one code."""

from __future__ import annotations

import msgspec
import pytest

from millpond.clock import ManualClock
from millpond.staking.errors import PoolConflictError, PoolNotFoundError, PoolTermsError
from millpond.staking.pools import (
    PoolKind,
    PoolState,
    Token,
    change_pool,
    create_pool,
    get_pool,
    list_pools,
)
from millpond.store import Store
from tests.staking.samples import CHAIN, SHARE, direct_pool, vault_pool


async def test_pools_of_several_chains_and_kinds_stand_side_by_side(store: Store) -> None:
    clock = ManualClock()
    other = Token("BTCD.10", "BTCD", 6, 10, "0x1111111111111111111111111111111111111111")
    third = direct_pool(pool_id="other", chain_id=10, token=other)
    async with store.begin() as tx:
        for pool in (direct_pool(), vault_pool(), third):
            await create_pool(tx, pool, clock)
    async with store.read() as tx:
        assert [p.pool_id for p in await list_pools(tx)] == [
            "btcd-main-pool",
            "btcd-vault",
            "other",
        ]
        assert [p.pool_id for p in await list_pools(tx, chain_id=10)] == ["other"]
        vault = await get_pool(tx, "btcd-vault")
    assert vault.kind is PoolKind.VAULT
    assert vault.share == SHARE
    assert vault.stake.code == "vBTCD"
    assert vault.asset.code == "BTCD"


async def test_the_same_pool_again_is_answered_with_the_first(store: Store) -> None:
    clock = ManualClock()
    async with store.begin() as tx:
        first = await create_pool(tx, direct_pool(), clock)
    clock.advance(5)
    async with store.begin() as tx:
        assert await create_pool(tx, direct_pool(), clock) == first
        with pytest.raises(PoolConflictError):
            await create_pool(tx, direct_pool(start_block=7), clock)


async def test_two_tokens_of_one_symbol_cannot_share_a_code(store: Store) -> None:
    clock = ManualClock()
    async with store.begin() as tx:
        await create_pool(tx, direct_pool(), clock)
    twin = Token("BTCD", "BTCD", 18, CHAIN, "0x9999999999999999999999999999999999999999")
    pool = direct_pool(pool_id="twin", token=twin, contract=twin.address, rewards_contract=None)
    async with store.begin() as tx:
        with pytest.raises(PoolConflictError):
            await create_pool(tx, pool, clock)
        renamed = msgspec.structs.replace(pool, token=msgspec.structs.replace(twin, code="BTCD.2"))
        await create_pool(tx, renamed, clock)


async def test_one_contract_is_one_pool(store: Store) -> None:
    async with store.begin() as tx:
        await create_pool(tx, direct_pool(), ManualClock())
        with pytest.raises(PoolConflictError):
            await create_pool(tx, direct_pool(pool_id="again"), ManualClock())


async def test_terms_change_and_identities_do_not(store: Store) -> None:
    clock = ManualClock()
    async with store.begin() as tx:
        await create_pool(tx, direct_pool(), clock)
        changed = await change_pool(
            tx, "btcd-main-pool", clock, reward_per_minute=7, state=PoolState.PAUSED
        )
        assert await get_pool(tx, "btcd-main-pool") == changed
        assert (changed.reward_per_minute, changed.state) == (7, PoolState.PAUSED)
        with pytest.raises(PoolTermsError):
            await change_pool(tx, "btcd-main-pool", clock, contract="0x0")
        with pytest.raises(PoolNotFoundError):
            await change_pool(tx, "nobody", clock, weight_ppm=1)


@pytest.mark.parametrize(
    "terms",
    [
        {"pool_id": "Not A Word"},
        {"confirmations": 0},
        {"weight_ppm": 1_000_001},
        {"reward_per_minute": -1},
        {"epoch_s": 0},
        {"min_withdrawal": 0},
        {"chain_id": 5},
        {"share": SHARE},
        {"kind": PoolKind.VAULT},
    ],
    ids=str,
)
async def test_terms_that_no_pool_can_have_are_refused(store: Store, terms) -> None:
    async with store.begin() as tx:
        with pytest.raises(PoolTermsError):
            await create_pool(tx, direct_pool(**terms), ManualClock())
        assert await list_pools(tx) == []
