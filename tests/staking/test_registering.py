"""Tokens and shares get codes of their own in the books, whatever they call themselves."""

from __future__ import annotations

import msgspec
import pytest

from millpond.clock import ManualClock
from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Asset
from millpond.money.ledger import Ledger
from millpond.money.model import Transfer
from millpond.staking.errors import PoolConflictError
from millpond.staking.pools import StakingPool, Token, create_pool
from millpond.staking.registering import as_it_was_made, code_for, named, vault_share
from millpond.staking.rewards.weights import Weights
from millpond.store import Store
from millpond.trail import Trail
from tests.staking.chain import wallet
from tests.staking.samples import CHAIN, TOKEN, direct_pool, vault_pool


async def taken_in(store: Store, pool: StakingPool) -> StakingPool:
    async with store.begin() as tx:
        return await create_pool(tx, await named(tx, pool), ManualClock())


def vault_of(token: Token, name: str, number: int) -> StakingPool:
    contract, rewards = wallet(number), wallet(number + 1)
    share = vault_share(token, contract, "stBTCD")
    return vault_pool(
        pool_id=name, token=token, share=share, contract=contract, rewards_contract=rewards
    )


async def test_two_vaults_of_one_token_and_two_tokens_of_one_symbol_stand_side_by_side(
    store: Store,
):
    first = await taken_in(store, vault_of(TOKEN, "one", 100))
    second = await taken_in(store, vault_of(TOKEN, "two", 200))
    assert first.share is not None
    assert second.share is not None
    assert (first.token, first.share.code) == (TOKEN, "stBTCD")
    assert second.token == TOKEN
    assert second.share.code == f"stBTCD-{CHAIN}-{wallet(200)[2:10].lower()}"
    twin = msgspec.structs.replace(TOKEN, address=wallet(300))
    third = await taken_in(
        store,
        direct_pool(
            pool_id="three", token=twin, contract=wallet(301), rewards_contract=wallet(302)
        ),
    )
    assert third.token.code not in {TOKEN.code, second.token.code}
    assert third.token.symbol == "BTCD"
    # Again, each is what it was.
    assert await taken_in(store, vault_of(TOKEN, "two", 200)) == second


async def test_a_token_that_calls_itself_as_a_currency_of_the_platform_is_told_apart(
    store: Store,
):
    ltc = Asset("LTC", 8)
    sides = [
        Account(AccountType.ASSET, "x", "wallet", ltc),
        Account(AccountType.EQUITY, "x", "y", ltc),
    ]
    async with store.begin() as tx:
        moved = Transfer("a", sides[0], sides[1], ltc.amount(1), "test")
        await Ledger(ManualClock()).post(tx, [moved])
    token = Token("LTC", "LTC", 8, CHAIN, wallet(400))
    pool = await taken_in(store, direct_pool(token=token))
    assert pool.asset != ltc


@pytest.mark.parametrize(
    ("symbol", "code"),
    [("USD₮0", "USD0"), ("₿", "token"), ("st.A-b_", "st.A-b_"), ("x" * 40, "x" * 32)],
)
def test_symbols_are_written_as_codes_can_be(symbol: str, code: str):
    assert code_for(symbol) == code


@pytest.mark.parametrize("begun", [True, False])
async def test_a_rate_is_compared_with_the_one_a_pool_was_made_with_if_that_is_known(
    store: Store, begun: bool
):
    clock = ManualClock()
    zero_s = clock.now_ms() // 1000 + (0 if begun else 86_400)
    pool = direct_pool(epoch_zero_s=zero_s, reward_per_minute=5)
    await taken_in(store, pool)
    async with store.begin() as tx:
        await Weights(clock, Trail(clock)).set_rate(tx, "ann", pool.pool_id, 7, reason="more")
        again = await as_it_was_made(tx, pool, rate_named=True, zero_named=True)
        assert (await create_pool(tx, again, clock)).reward_per_minute == 7
        other = msgspec.structs.replace(pool, reward_per_minute=6)
        if begun:
            with pytest.raises(PoolConflictError):
                await as_it_was_made(tx, other, rate_named=True, zero_named=True)
        else:  # The first terms were replaced before they were in force.
            again = await as_it_was_made(tx, other, rate_named=True, zero_named=True)
            assert again.reward_per_minute == 7
