"""The way of a deposit and of a withdrawal, on real nodes with the real contracts."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from eth_account.signers.local import LocalAccount

from millpond.alerts import Alerts
from millpond.chains.evm.contracts import Contract, artifact
from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.settings import NodesSettings
from millpond.chains.evm.signers import KeySigner
from millpond.chains.evm.tx import EvmTransactionHandler, NodesAccess, Transactions, TxSettings
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.intents import Intents, Runner
from millpond.money.ledger import Ledger
from millpond.money.report import Verdict
from millpond.risk import RiskEngine
from millpond.staking.audit import audit_pools
from millpond.staking.deposits import Deposits, Prepared
from millpond.staking.errors import DepositRefusedError
from millpond.staking.indexer import Indexer
from millpond.staking.info import pool_info, record
from millpond.staking.paying import HotWallet
from millpond.staking.pools import PoolKind, StakingPool, Token, create_pool
from millpond.staking.positions import get_position
from millpond.staking.settings import StakingSettings
from millpond.staking.withdrawals import rows
from millpond.staking.withdrawals.effect import WithdrawalEffect
from millpond.staking.withdrawals.model import Withdrawal, WithdrawalState
from millpond.staking.withdrawals.queue import ILLIQUID, QueueEffect, QueueRun
from millpond.staking.withdrawals.run import WithdrawalRun
from millpond.staking.withdrawals.service import Withdrawals
from millpond.store import Store
from tests.support.evm_nodes import KEYS, Anvil, Node
from tests.support.postgres import PostgresServer, apart

POOL = "btcd-main-pool"
ONE = 10**18
OWNER, OPERATOR, ANN, BEN = 0, 1, 2, 3


@pytest.fixture(params=["sqlite-anvil", "postgresql-hardhat"])
def ground(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A database and a node."""
    database, _, node = request.param.partition("-")
    return database, node


@pytest.fixture
def store_url(
    ground: tuple[str, str], request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """URL of a fresh database."""
    if ground[0] == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "store.db")
        yield f"sqlite:///{tmp_path}/store.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = apart(server.create())
    yield url
    apart(server.drop(url))


@pytest.fixture
def node(ground: tuple[str, str], request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node that mines only when it is told to."""
    if ground[1] == "hardhat":
        hardhat: Node = request.getfixturevalue("hardhat_node")
        hardhat.automine(False)
        yield hardhat
        return
    with Anvil(manual=True) as anvil:
        yield anvil


class Site:
    """A deployed pool and everything that serves it."""

    def __init__(self, store: Store, node: Node, nodes: Nodes) -> None:
        self.store, self.node, self.nodes = store, node, nodes
        self.clock = ManualClock()
        entropy = SeededEntropy(5)
        self.ids = Ids(self.clock, entropy)
        self.ledger, self.alerts = Ledger(self.clock), Alerts(self.clock, self.ids)
        self.risk = RiskEngine(self.ledger, self.clock, self.ids)
        self.withdrawals = Withdrawals(self.ledger, self.risk, self.clock, self.ids)
        self.intents = Intents(store, self.clock, self.ids, entropy)
        access = NodesAccess(nodes)
        operator = node.accounts[OPERATOR].address
        self.run = WithdrawalRun(
            store,
            self.intents,
            self.risk,
            {node.chain_id: HotWallet(access, operator)},
            alerts=self.alerts,
            clock=self.clock,
            ids=self.ids,
        )
        settings = TxSettings(confirmations=2, poll_s=1, patience_s=5, lease_s=10)
        signer = KeySigner(bytes.fromhex(KEYS[OPERATOR][2:]))
        transactions = Transactions(self.intents, access, [signer], settings, self.alerts)
        effect = WithdrawalEffect(self.withdrawals, self.alerts)
        handlers = [EvmTransactionHandler(transactions, e) for e in (effect, QueueEffect())]
        self.runner = Runner(self.intents, handlers, "w1")
        self.queue = QueueRun(
            store,
            self.intents,
            self.risk,
            {node.chain_id: nodes},
            {node.chain_id: HotWallet(access, operator)},
            alerts=self.alerts,
            ids=self.ids,
        )
        self.indexer = Indexer(
            store,
            {node.chain_id: nodes},
            ledger=self.ledger,
            alerts=self.alerts,
            clock=self.clock,
            risk=self.risk,
        )
        self.deposits = Deposits(store, nodes, self.ledger, self.risk)
        self.token = Contract.named("BTCD", self._deploy("BTCD", self._address(OWNER)))
        roles = [self._address(OWNER), self._address(OPERATOR), self._address(OWNER)]
        self.contract = self._deploy("StakingPool", self.token.address, *roles)
        self.payout = self._deploy("BatchPayout", self.token.address, *roles)
        self.pool = StakingPool(
            pool_id=POOL,
            kind=PoolKind.DIRECT,
            chain_id=node.chain_id,
            token=Token("BTCD", "BTCD", 18, node.chain_id, self.token.address),
            contract=self.contract,
            rewards_contract=self.payout,
            start_block=1,
            confirmations=2,
            reward_per_minute=ONE,
        )
        engine = self._deploy("RiskEngine", *roles)
        vault = ("Vault", self.token.address, "Vault", "vBTCD", engine, *roles)
        self.vault = Contract.named("Vault", self._deploy(*vault))
        self.vault_pool = msgspec.structs.replace(
            self.pool,
            pool_id="btcd-vault",
            kind=PoolKind.VAULT,
            share=Token("vBTCD", "vBTCD", 24, node.chain_id, self.vault.address),
            contract=self.vault.address,
            rewards_contract=None,
        )
        for who in (ANN, BEN, OWNER):
            self.send(OWNER, self.token, "mint", self._address(who), 1_000 * ONE)
        node.mine()

    def _address(self, who: int) -> str:
        return self.node.accounts[who].address

    def _deploy(self, name: str, *arguments: object) -> str:
        contract = Contract(None, artifact(name).abi)
        code = bytes.fromhex(artifact(name).bytecode[2:])
        address = self.node.deploy(code + contract.encode_constructor(*arguments), gas=8_000_000)
        return Contract(address, artifact(name).abi).address

    def account(self, who: int) -> LocalAccount:
        """A key of the node."""
        return self.node.accounts[who]

    def send(self, who: int, contract: Contract, function: str, *arguments: object) -> str:
        """A transaction of somebody's own."""
        data = contract.encode(function, *arguments)
        return self.node.send(self.account(who), to=contract.address, data=data, gas=500_000)

    def sign(self, who: int, prepared: Prepared) -> None:
        """Sign and send what was prepared, as a browser's wallet does."""
        for each in prepared.transactions:
            data = bytes.fromhex(each.data[2:])
            self.node.send(self.account(who), to=each.to, data=data, gas=500_000)

    async def deposit(self, who: int, amount: int) -> None:
        """Prepare, sign, send; in the chain's pool."""
        wallet = self._address(who)
        prepared = await self.deposits.prepare(self.pool, wallet, amount, now_s=1)
        self.sign(who, prepared)

    async def index(self) -> None:
        """Until nothing is new."""
        for _ in range(20):
            (progress,) = await self.indexer.run_once()
            if progress.idle:
                return
        raise AssertionError("the indexer comes to an end")

    async def work(self, seconds: float = 2) -> None:
        """Let the runner work off what is due."""
        self.clock.advance(seconds)
        for _ in range(50):
            if not await self.runner.run_once():
                return
        raise AssertionError("the runner comes to rest")

    async def position(self, who: int, pool_id: str = POOL) -> int:
        """The confirmed position."""
        async with self.store.read() as tx:
            return (await get_position(tx, pool_id, self._address(who))).balance

    async def ask(self, who: int, amount: int) -> Withdrawal:
        """Request a withdrawal."""
        wallet = self._address(who)
        async with self.store.begin() as tx:
            return await self.withdrawals.request(tx, pool_id=POOL, wallet=wallet, amount=amount)

    async def get(self, withdrawal: Withdrawal) -> Withdrawal:
        """As it is now."""
        async with self.store.read() as tx:
            return await rows.fetch(tx, withdrawal.id)

    async def tokens(self, who: int) -> int:
        """What a wallet has of the token."""
        data = self.token.encode("balanceOf", self._address(who))
        answer = await self.nodes.call(self.token.address, data)
        found: int = self.token.decode_output("balanceOf", answer)
        return found

    async def audit(self) -> None:
        """Books are as the chain says."""
        found = await audit_pools(self.store, self.ledger, {self.node.chain_id: self.nodes})
        assert [row for row in found if row.verdict is not Verdict.OK] == []


@pytest.fixture
async def site(store: Store, node: Node) -> AsyncIterator[Site]:
    """A pool on a node, nothing staked."""
    settings = NodesSettings(fail_after=1_000_000)
    nodes = Nodes(
        [RpcEndpoint(node.url)], chain_id=node.chain_id, clock=ManualClock(), settings=settings
    )
    made = Site(store, node, nodes)
    async with store.begin() as tx:
        await create_pool(tx, made.pool, made.clock)
        await create_pool(tx, made.vault_pool, made.clock)
    yield made
    await nodes.close()


async def test_deposit_reorg_withdrawal_reorg_and_the_audit_agrees(site: Site) -> None:
    await site.deposit(ANN, 100 * ONE)
    await site.deposit(BEN, 50 * ONE)
    site.node.mine(2)
    await site.index()
    assert [await site.position(who) for who in (ANN, BEN)] == [100 * ONE, 50 * ONE]
    await site.audit()
    # Booked, taken back, and booked again in other blocks.
    site.node.reorg(3)
    site.node.mine(3)
    await site.index()
    assert [await site.position(who) for who in (ANN, BEN)] == [100 * ONE, 50 * ONE]
    await site.audit()

    first, second = await site.ask(ANN, 60 * ONE), await site.ask(BEN, 50 * ONE)
    (result,) = await site.run.run_once()
    assert result.payees == 2
    pool = Contract.named("StakingPool", site.contract)
    site.send(BEN, pool, "withdraw", 10 * ONE)
    site.node.mine()
    await site.work()
    site.node.mine(3)
    await site.work()
    await site.index()
    paid, skipped = await site.get(first), await site.get(second)
    assert (paid.state, skipped.state) == (WithdrawalState.COMPLETED, WithdrawalState.FAILED)
    assert await site.tokens(ANN) == 960 * ONE
    assert await site.tokens(BEN) == 960 * ONE
    assert [await site.position(who) for who in (ANN, BEN)] == [40 * ONE, 40 * ONE]
    await site.audit()
    (intent,) = result.batches
    async with site.store.read() as tx:
        assert (await site.intents.get(tx, intent.id)).state == "settled"


async def test_figures_of_a_pool_and_what_its_deposits_need(site: Site) -> None:
    wallet = site.account(ANN).address
    first = await site.deposits.prepare(site.pool, wallet, 10 * ONE, now_s=1)
    assert [(t.what, t.simulated) for t in first.transactions] == [
        ("approve", True),
        ("deposit", False),
    ]
    assert first.permit is not None
    assert first.permit["message"]["value"] == str(10 * ONE)
    site.sign(ANN, first)
    site.node.mine()
    site.send(ANN, site.token, "approve", site.contract, 5 * ONE)
    site.send(OWNER, site.token, "approve", site.payout, 100 * ONE)
    site.send(OWNER, Contract.named("BatchPayout", site.payout), "fund", 100 * ONE)
    site.node.mine(2)
    await site.index()
    allowed = await site.deposits.prepare(site.pool, wallet, 5 * ONE, now_s=1)
    assert [(t.what, t.simulated) for t in allowed.transactions] == [("deposit", True)]
    assert allowed.permit is None
    assert allowed.transactions[0].gas is not None
    with pytest.raises(DepositRefusedError):
        await site.deposits.prepare(site.pool, wallet, 2_000 * ONE, now_s=1)
    leave = await site.deposits.withdraw(site.pool, wallet, 10 * ONE)
    assert (leave.what, leave.simulated) == ("withdraw", True)
    with pytest.raises(DepositRefusedError):
        await site.deposits.withdraw(site.pool, wallet, 11 * ONE)
    async with site.store.begin() as tx:
        await record(tx, site.ledger, site.pool, site.clock, StakingSettings())
        info = await pool_info(tx, site.ledger, site.pool)
    assert (info.tvl, info.stakers, info.reserve) == (10 * ONE, 1, 100 * ONE)
    assert info.apr_ppm == 52_560_000_000, "one a minute for ten is 52,560 times a year"
    assert info.runs_out_s == 6_000
    await site.audit()


async def test_a_vault_is_left_through_its_queue_when_it_is_not_liquid(site: Site) -> None:
    ann, operator = site.account(ANN).address, site.account(OPERATOR).address
    prepared = await site.deposits.prepare(site.vault_pool, ann, 100 * ONE, now_s=1)
    site.sign(ANN, prepared)
    site.send(OWNER, site.vault, "set_deployment", operator, 80 * ONE)
    site.node.mine()
    site.send(ANN, site.vault, "transfer", site.account(BEN).address, 30 * ONE * 10**6)
    site.send(OPERATOR, site.vault, "deploy_funds", 80 * ONE)
    site.node.mine(2)
    await site.index()
    assert await site.position(ANN, "btcd-vault") == 70 * ONE * 10**6
    assert await site.position(BEN, "btcd-vault") == 30 * ONE * 10**6
    await site.audit()

    leave = await site.deposits.withdraw(site.vault_pool, ann, 70 * ONE * 10**6)
    assert leave.what == "request_redeem"
    data = bytes.fromhex(leave.data[2:])
    site.node.send(site.account(ANN), to=leave.to, data=data, gas=500_000)
    site.node.mine(2)
    await site.index()
    assert await site.queue.run_once() == {"btcd-vault": ILLIQUID}
    await site.audit()

    site.send(OPERATOR, site.token, "approve", site.vault.address, 80 * ONE)
    site.send(OPERATOR, site.vault, "return_funds", 80 * ONE)
    site.node.mine()
    assert await site.queue.run_once() == {"btcd-vault": ""}
    assert await site.queue.run_once() == {"btcd-vault": ""}, "one is under way"
    await site.work()
    site.node.mine(3)
    await site.work()
    await site.index()
    async with site.store.read() as tx:
        (intent,) = await site.intents.listed(tx, kind="staking-queue")
    assert intent.state == "settled"
    assert await site.tokens(ANN) == 970 * ONE
    await site.audit()
