"""Tokens and shares get codes of their own in the books, whatever they call themselves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.operations import Operations
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.intents import Intents
from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Asset
from millpond.money.ledger import Ledger
from millpond.money.model import Transfer
from millpond.staking.deploy.model import Roles, Spec
from millpond.staking.deploy.service import Deployer, group_of
from millpond.staking.errors import PoolConflictError
from millpond.staking.pools import PoolKind, StakingPool, Token, create_pool
from millpond.staking.registering import (
    TokenDecimalsError,
    as_it_was_made,
    code_for,
    named,
    read_share,
    read_token,
    vault_share,
)
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


class OddToken:
    """A chain with one contract, which says of itself what it likes."""

    def __init__(self, symbol: str = "ODD", decimals: int = 18) -> None:
        said = symbol.encode()
        padded = said + bytes(-len(said) % 32)
        token = Contract.named("BTCD", wallet(500))
        self._answers = {
            token.encode("decimals"): decimals.to_bytes(32, "big"),
            token.encode("symbol"): b"".join(
                [(32).to_bytes(32, "big"), len(said).to_bytes(32, "big"), padded]
            ),
        }

    async def call(self, to: str, calldata: bytes, block: Any = "latest", **_: Any) -> bytes:
        return self._answers[calldata]

    async def code(self, address: str, *, agreed: bool = False) -> bytes:
        return b"code"


@pytest.mark.parametrize("decimals", [37, 255])
async def test_a_token_with_more_decimals_than_the_books_can_write_is_refused(decimals: int):
    with pytest.raises(TokenDecimalsError, match=f"{decimals} decimals; at most 36"):
        await read_token(OddToken(decimals=decimals), CHAIN, wallet(500))
    assert (await read_token(OddToken(decimals=36), CHAIN, wallet(500))).asset.decimals == 36


async def test_a_vault_whose_shares_would_have_too_many_decimals_is_refused():
    chain = OddToken(decimals=31)
    token = await read_token(chain, CHAIN, wallet(500))
    with pytest.raises(TokenDecimalsError, match="shares would have 37"):
        await read_share(chain, token, wallet(501))


@pytest.mark.parametrize(
    ("kind", "decimals"), [(PoolKind.DIRECT, 37), (PoolKind.VAULT, 37), (PoolKind.VAULT, 31)]
)
async def test_nothing_is_deployed_for_a_token_that_no_pool_can_have(
    store: Store, kind: PoolKind, decimals: int
):
    clock, entropy = ManualClock(), SeededEntropy(1)
    operations = Operations(Intents(store, clock, Ids(clock, entropy), entropy))
    own = wallet(1)
    spec = Spec(
        pool_id="odd",
        kind=kind,
        chain_id=CHAIN,
        deployer=own,
        roles=Roles(owner=own, operator=own, guardian=own),
        token=wallet(500),
    )

    async def follow(key: str):
        raise AssertionError(f"{key} was ordered")

    deployer = Deployer(store, operations, OddToken(decimals=decimals), follow, print)
    with pytest.raises(TokenDecimalsError):
        await deployer.run(spec, actor="ann")
    async with store.read() as tx:
        assert not await operations.of_group(tx, group_of(spec))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("USD₮0", "USD₮0"),
        ("x" * 10_000, "x" * 32),
        ("A\x1b[31m\u202eB\0\nC\u200b", "A[31mBC"),
        ("\u202e\0\n", "token"),
        ("", "token"),
    ],
)
async def test_symbols_are_short_and_printable_whatever_a_contract_answers(said: str, shown: str):
    chain = OddToken(symbol=said)
    token = await read_token(chain, CHAIN, wallet(500))
    assert token.symbol == shown
    assert (await read_share(chain, token, wallet(501))).symbol == shown
