"""Leaving a vault, and what counts as a holder's part of it."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode

from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.errors import RevertedError
from millpond.chains.evm.tx import Call, Market
from millpond.clock import SeededEntropy
from millpond.intents import Intents
from millpond.money.model import Transfer
from millpond.risk import HoldKind, Scope
from millpond.staking import accounts
from millpond.staking.deposits import Deposits
from millpond.staking.errors import DepositRefusedError
from millpond.staking.exposure import StakingExposure
from millpond.staking.paying import HotWallet
from millpond.staking.pools import StakingPool
from millpond.staking.reconcile import ALERT, Reconciliation
from millpond.staking.withdrawals.queue import KIND, QueueRun
from millpond.store import Store
from tests.staking.chain import wallet
from tests.staking.rig import Rig, rig_for
from tests.staking.samples import CHAIN, TOKEN, direct_pool, vault_pool

A, B, OPERATOR = wallet(1), wallet(2), wallet(9)


class Vault:
    """A vault with one request in its queue; `refuses` are functions and its words."""

    def __init__(self, pool: StakingPool) -> None:
        self.refuses: dict[str, str] = {}
        self._vault = Contract.named("Vault", pool.contract)

    async def call(self, to: str, calldata: bytes, block: Any = "latest", **_: Any) -> bytes:
        name, _arguments = self._vault.decode_input(calldata)
        if name in self.refuses:
            raise RevertedError(
                "execution reverted", rpc_code=3, method="eth_call", reason=self.refuses[name]
            )
        if name == "requests":
            kinds = ["address", "address", "uint256", "uint256", "uint256"]
            return encode(kinds, [A, A, 10, 1, 1])
        found = {"queue_head": 1, "queue_tail": 2, "totalAssets": 90, "queued_assets": 10}
        return encode(["uint256"], [found.get(name, 0)])

    async def estimate_gas(self, to: str | None, calldata: bytes, **_: Any) -> int:
        return 100_000

    async def balance(self, address: str) -> int:
        return 10**20

    async def market(self) -> Market:
        return Market(10**10, 10**9)

    async def simulate(self, sender: str, call: Call) -> bytes:
        return b""


@pytest.fixture
async def rig(store: Store) -> Rig:
    return await rig_for(store, [vault_pool()])


@pytest.mark.parametrize("reason", ["illiquid", "withdraw limit", "user withdraw limit", "paused"])
async def test_who_cannot_leave_a_vault_at_once_is_given_the_queue(rig: Rig, reason: str):
    (pool,) = rig.pools
    vault = Vault(pool)
    deposits = Deposits(rig.store, vault, rig.ledger, rig.risk)
    assert (await deposits.withdraw(pool, A, 5)).what == "redeem"
    vault.refuses = {"redeem": reason}
    assert (await deposits.withdraw(pool, A, 5)).what == "request_redeem"
    vault.refuses |= {"request_redeem": "balance"}
    with pytest.raises(DepositRefusedError, match=reason):
        await deposits.withdraw(pool, A, 5)


async def test_a_breaker_of_the_token_holds_a_vaults_queue(rig: Rig):
    (pool,) = rig.pools
    vault = Vault(pool)
    intents = Intents(rig.store, rig.clock, rig.ids, SeededEntropy(1))
    wallets = {CHAIN: HotWallet(vault, OPERATOR)}
    run = QueueRun(
        rig.store, intents, rig.risk, {CHAIN: vault}, wallets, alerts=rig.alerts, ids=rig.ids
    )
    async with rig.store.begin() as tx:
        hold = await rig.risk.trip(
            tx,
            HoldKind.RECONCILIATION,
            Scope.pool(pool.pool_id),
            "less is there than the books say",
            asset=TOKEN.code,
            exits_because="less is there than the books say",
        )
    assert "held" in await run.run_pool(pool)
    async with rig.store.begin() as tx:
        assert await intents.listed(tx, kind=KIND) == []
        await rig.risk.reset_breaker(tx, "ann", hold.id, "found", role=hold.reset_role)
    assert await run.run_pool(pool) == ""
    async with rig.store.begin() as tx:
        assert len(await intents.listed(tx, kind=KIND)) == 1


async def test_a_users_part_of_a_vault_is_measured_in_its_token(rig: Rig):
    (pool,) = rig.pools
    exposure = StakingExposure(rig.ledger)
    async with rig.store.begin() as tx:
        sides = {
            "assets": (
                accounts.principal(pool.pool_id, pool.asset),
                accounts.holdings(pool.pool_id, pool.asset),
                pool.asset.amount(300),
            ),
            "a": (
                accounts.shares(pool.pool_id, pool.stake),
                accounts.staked(pool.pool_id, A, pool.stake),
                pool.stake.amount(200 * 10**6),
            ),
            "b": (
                accounts.shares(pool.pool_id, pool.stake),
                accounts.staked(pool.pool_id, B, pool.stake),
                pool.stake.amount(100 * 10**6),
            ),
        }
        moved = [Transfer(name, *each, "test") for name, each in sides.items()]
        await rig.ledger.post(tx, moved)
        scope = Scope.pool(pool.pool_id)
        assert await exposure.locked(tx, scope, pool.asset, None) == 300
        assert await exposure.locked(tx, scope, pool.asset, A) == 200
        assert await exposure.locked(tx, scope, pool.asset, wallet(7)) == 0
        assert await exposure.locked(tx, Scope.user(B), pool.asset, None) == 100
        assert await exposure.locked(tx, scope, pool.stake, B) == 100 * 10**6


async def test_a_wallet_that_has_another_balance_than_its_events_is_an_alert(store: Store):
    rig = await rig_for(store, [direct_pool()])
    pool_id = rig.pools[0].pool_id
    rig.chain.deposit(pool_id, A, 100)
    rig.chain.deposit(pool_id, B, 100)
    rig.chain.mine(3)
    await rig.index()
    watch = Reconciliation(store, rig.ledger, {}, rig.alerts, rig.risk)
    assert await watch.run_once() == []
    async with store.begin() as tx:
        # The sum stays what it was; only the wallets are wrong.
        one, other = (accounts.staked(pool_id, who, TOKEN.asset) for who in (A, B))
        await rig.ledger.post(tx, [Transfer("x", one, other, TOKEN.asset.amount(1), "test")])
    assert len(await watch.run_once()) == 2
    assert ALERT in await rig.open_alerts()
