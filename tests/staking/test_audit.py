"""The audit of staking pools: clean when all agree, and each planted error is found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import update

from millpond.chains.evm.errors import RpcUnavailableError
from millpond.money.model import Transfer
from millpond.money.report import Row, Verdict
from millpond.risk import RiskEngine
from millpond.staking import accounts
from millpond.staking.audit import audit_pools
from millpond.staking.rewards.claims import Claims
from millpond.staking.rewards.tables import claim_table
from millpond.staking.tables import position_table
from millpond.staking.withdrawals.service import Withdrawals
from millpond.staking.withdrawals.tables import withdrawal_table
from millpond.store import Store, Tx
from tests.staking.chain import wallet
from tests.staking.rig import Rig, rig_for
from tests.staking.samples import CHAIN, TOKEN, direct_pool, vault_pool

POOL = "btcd-main-pool"
A, B = wallet(1), wallet(2)


@pytest.fixture
async def rig(store: Store) -> Rig:
    """A direct pool and a vault with stakes, funds, and an open withdrawal."""
    rig = await rig_for(store, [direct_pool(), vault_pool()])
    rig.chain.deposit(POOL, A, 100)
    rig.chain.deposit("btcd-vault", B, 50)
    rig.chain.emit(POOL, "Funded", sender=B, amount=1_000)
    rig.chain.mine()
    rig.chain.transfer("btcd-vault", B, A, 20)
    rig.chain.mine(4)
    await rig.index()
    risk = RiskEngine(rig.ledger, rig.clock, rig.ids)
    withdrawals = Withdrawals(rig.ledger, risk, rig.clock, rig.ids)
    async with store.begin() as tx:
        await withdrawals.request(tx, pool_id=POOL, wallet=A, amount=40)
    return rig


async def _audit(rig: Rig) -> list[Row]:
    return await audit_pools(rig.store, rig.ledger, {CHAIN: rig.chain})


async def test_all_agrees_also_while_the_chain_goes_on(rig: Rig) -> None:
    rig.chain.deposit(POOL, B, 7)
    rig.chain.mine()
    await rig.index()
    rows = await _audit(rig)
    assert [row for row in rows if row.verdict is not Verdict.OK] == []
    assert {row.check for row in rows} >= {
        "tvl",
        "positions",
        "withdrawals",
        "claims",
        "custody",
        "rewards_backed",
        "distributed_le_funded",
        "principal_on_chain",
        "shares_on_chain",
        "queue_on_chain",
        "position_on_chain",
        "principal_tokens_on_chain",
        "reward_funds_on_chain",
        "reward_tokens_on_chain",
    }


async def _wrong_position(rig: Rig, tx: Tx) -> None:
    await tx.execute(update(position_table).values(balance=1, staked=1))


async def _stake_from_nowhere(rig: Rig, tx: Tx) -> None:
    staked = accounts.staked(POOL, B, TOKEN.asset)
    principal = accounts.principal(POOL, TOKEN.asset)
    await rig.ledger.post(tx, [Transfer("x", principal, staked, TOKEN.asset.amount(5), "x")])


async def _stake_moved_elsewhere(rig: Rig, tx: Tx) -> None:
    staked = accounts.staked(POOL, A, TOKEN.asset)
    owed = accounts.rewards(POOL, A, TOKEN.asset)
    await rig.ledger.post(tx, [Transfer("x", staked, owed, TOKEN.asset.amount(5), "x")])


async def _forgotten_hold(rig: Rig, tx: Tx) -> None:
    await tx.execute(update(withdrawal_table).values(reserved=False, state="failed"))


async def _forgotten_claim(rig: Rig, tx: Tx) -> None:
    reserve = accounts.reward_reserve(POOL, TOKEN.asset)
    owed = accounts.rewards(POOL, A, TOKEN.asset)
    await rig.ledger.post(tx, [Transfer("epoch", reserve, owed, TOKEN.asset.amount(30), "epoch")])
    claims = Claims(rig.ledger, rig.risk, rig.clock, rig.ids)
    await claims.request(tx, pool_id=POOL, wallet=A)
    await tx.execute(update(claim_table).values(reserved=False, state="failed"))


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (_wrong_position, {"positions"}),
        (_stake_from_nowhere, {"positions", "principal_on_chain", "position_on_chain"}),
        (_stake_moved_elsewhere, {"tvl", "positions", "rewards_backed", "position_on_chain"}),
        (_forgotten_hold, {"withdrawals"}),
        (_forgotten_claim, {"claims"}),
    ],
)
async def test_a_planted_error_is_found(
    rig: Rig, plant: Callable[[Rig, Tx], Awaitable[None]], found: set[str]
) -> None:
    async with rig.store.begin() as tx:
        await plant(rig, tx)
    rows = await _audit(rig)
    assert {row.check for row in rows if row.verdict is Verdict.DRIFT} == found


async def test_a_chain_that_does_not_answer_is_unknown_and_not_well(rig: Rig) -> None:
    async def away(*_: object, **__: object) -> bytes:
        raise RpcUnavailableError("nobody is there")

    rig.chain.call = away  # type: ignore[method-assign]
    rows = await _audit(rig)
    assert [row.subject for row in rows if row.verdict is Verdict.UNKNOWN] == [
        POOL,
        "btcd-vault",
    ]
    others = await audit_pools(rig.store, rig.ledger, {})
    assert sum(row.verdict is Verdict.UNKNOWN for row in others) == 2


async def test_funds_that_the_books_missed_and_tokens_that_went_away_are_found(rig: Rig) -> None:
    rig.chain.hide = lambda log: log.block_number == len(rig.chain.minted) - 4
    rig.chain.emit(POOL, "Funded", sender=B, amount=9)
    rig.chain.mine(4)
    await rig.index()
    rows = await _audit(rig)
    assert {row.check for row in rows if row.verdict is Verdict.DRIFT} == {"reward_funds_on_chain"}
    rig.chain.tokens = 49
    rows = await _audit(rig)
    found = {(row.check, row.subject) for row in rows if row.verdict is Verdict.DRIFT}
    assert found >= {
        ("principal_tokens_on_chain", POOL),
        ("principal_tokens_on_chain", "btcd-vault"),
        ("reward_tokens_on_chain", POOL),
    }
