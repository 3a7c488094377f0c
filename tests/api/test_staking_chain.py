"""Through the API and a real chain: a pool made, funded, staked in, earning, and left."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from millpond.alerts import Alerts
from millpond.api.staking.deps import StakingDeps
from millpond.chains.evm.contracts import Contract, artifact
from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.operations import OperationEffect, Operations
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.signers import KeySigner
from millpond.chains.evm.tx import EvmTransactionHandler, NodesAccess, Transactions, TxSettings
from millpond.clock import Ids, SeededEntropy
from millpond.intents import Intents, Runner
from millpond.oracle import Prices
from millpond.risk import RiskEngine
from millpond.staking.indexer import Indexer
from millpond.store import Store
from millpond.trail import Trail
from millpond.web.site import create_site
from tests.api.real_pool import RealPool
from tests.api.staked import ANN, HOST, ONE, OPERATOR, Platform
from tests.support.evm_nodes import KEYS, Anvil

FUNDER = 0


@pytest.fixture
def node() -> Iterator[Anvil]:
    """A node that mines only when it is told to."""
    with Anvil(manual=True) as anvil:
        yield anvil


@dataclasses.dataclass
class Ground:
    """A node with the contracts of a pool that nobody knows of yet."""

    node: Anvil
    client: httpx.AsyncClient
    platform: RealPool
    indexer: Indexer
    runner: Runner
    token: Contract
    pool: str
    payout: str

    async def work(self) -> None:
        """Let what was ordered be sent and confirmed."""
        for _ in range(12):
            self.platform.clock.advance(2)
            while await self.runner.run_once():
                pass
            self.node.mine(2)
        await self.index()

    async def index(self) -> None:
        """Until nothing is new."""
        for _ in range(20):
            (progress,) = await self.indexer.run_once()
            if not progress.blocks and not progress.undone:
                return
        raise AssertionError("the indexer comes to an end")

    async def ask(self, method: str, path: str, *, by: dict[str, str], **body: Any) -> Any:
        """Ask, and expect it to be done."""
        answer = await self.client.request(
            method, f"/api/{path}", headers=by, json=body if method != "GET" else None
        )
        assert answer.status_code < 300, answer.text
        return answer.json()

    def allowance(self) -> int:
        """What the rewards' contract may take of the funder's tokens."""
        owner = self.node.accounts[FUNDER].address
        data = "0x" + self.token.encode("allowance", owner, self.payout).hex()
        return int(
            self.node.rpc("eth_call", {"to": self.token.address, "data": data}, "latest"), 16
        )

    def sign(self, transactions: list[dict[str, Any]]) -> None:
        """As a browser's wallet does: in their order."""
        account = next(each for each in self.node.accounts if each.address == ANN.address)
        for each in transactions:
            assert each["sender"] == ANN.address
            data = bytes.fromhex(each["data"][2:])
            self.node.send(account, to=each["to"], data=data, gas=500_000)


@pytest.fixture
async def ground(sqlite_template: Path, tmp_path: Path, node: Anvil) -> AsyncIterator[Ground]:
    """Everything put together as in production, the worker with the key beside the API without."""
    shutil.copy(sqlite_template, tmp_path / "one.db")
    store = await Store.open(f"sqlite:///{tmp_path}/one.db")
    mining = await RealPool.make(store)
    clock, entropy, ledger = mining.clock, SeededEntropy(9), mining.ledger
    ids = Ids(clock, entropy)
    nodes = Nodes([RpcEndpoint(node.url)], chain_id=node.chain_id, clock=clock)
    alerts, intents = Alerts(clock, ids), Intents(store, clock, ids, entropy)
    risk = RiskEngine(ledger, clock, ids)
    rooms = StakingDeps(
        ledger=ledger,
        ids=ids,
        risk=risk,
        alerts=alerts,
        trail=Trail(clock),
        operations=Operations(intents),
        prices=Prices(clock, ()),
        chains={node.chain_id: nodes},
        signers={node.chain_id: node.accounts[FUNDER].address},
    )
    settings = TxSettings(confirmations=2, poll_s=1, patience_s=5, lease_s=10)
    signer = KeySigner(bytes.fromhex(KEYS[FUNDER][2:]))
    transactions = Transactions(intents, NodesAccess(nodes), [signer], settings, alerts)
    handler = EvmTransactionHandler(transactions, OperationEffect(clock, store))

    def deploy(name: str, *arguments: object) -> str:
        contract = Contract(None, artifact(name).abi)
        code = bytes.fromhex(artifact(name).bytecode[2:])
        address = node.deploy(code + contract.encode_constructor(*arguments), gas=8_000_000)
        return Contract(address, artifact(name).abi).address

    owner = node.accounts[FUNDER].address
    token = Contract.named("BTCD", deploy("BTCD", owner))
    roles = (token.address, owner, owner, owner)
    pool, payout = deploy("StakingPool", *roles), deploy("BatchPayout", *roles)
    for who in (owner, ANN.address):
        data = token.encode("mint", who, 1_000 * ONE)
        node.send(node.accounts[FUNDER], to=token.address, data=data, gas=500_000)
    node.mine()
    site = create_site(dataclasses.replace(mining.deps, staking=rooms))
    transport = httpx.ASGITransport(site, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        yield Ground(
            node=node,
            client=client,
            platform=mining,
            indexer=Indexer(
                store, {node.chain_id: nodes}, ledger=ledger, alerts=alerts, clock=clock, risk=risk
            ),
            runner=Runner(intents, [handler], "w1"),
            token=token,
            pool=pool,
            payout=payout,
        )
    await nodes.close()
    await store.close()


def wish_for(ground: Ground) -> dict[str, Any]:
    """A pool on the contracts that stand there."""
    return {
        "pool_id": "btcd-two",
        "kind": "direct",
        "chain_id": ground.node.chain_id,
        "token": ground.token.address,
        "contract": ground.pool,
        "rewards_contract": ground.payout,
        "confirmations": 2,
        "reward_per_minute": "1.5",
        "epoch_s": 60,
    }


async def test_a_pool_asked_for_again_is_the_pool_that_was_made(ground: Ground):
    wish = wish_for(ground) | {"reward_per_minute": "2.5"}
    made = await ground.ask("POST", "admin/pools", by=OPERATOR, **wish)
    ground.platform.clock.advance(200)  # Other epochs would begin now.
    assert await ground.ask("POST", "admin/pools", by=OPERATOR, **wish) == made
    told = {"reason": "spring"}
    await ground.ask("PUT", "admin/pools/btcd-two/rate", by=OPERATOR, reward_per_minute="3", **told)
    await ground.ask("PUT", "admin/pools/btcd-two/weight", by=OPERATOR, weight="0.5", **told)
    assert await ground.ask("POST", "admin/pools", by=OPERATOR, **wish) == made
    unnamed = {name: value for name, value in wish.items() if name != "reward_per_minute"}
    assert await ground.ask("POST", "admin/pools", by=OPERATOR, **unnamed) == made
    for other in ({"reward_per_minute": "3"}, {"epoch_zero_s": 60}, {"epoch_s": 120}):
        refused = await ground.client.post("/api/admin/pools", headers=OPERATOR, json=wish | other)
        assert (refused.status_code, refused.json()["code"]) == (409, "staking_pool_conflict")
    pool = await ground.ask("GET", "pools/btcd-two", by={})
    assert pool["reward_per_minute"]["units"] == str(ONE * 3 // 2)


async def test_a_pool_cannot_begin_at_a_block_that_is_not_there_yet(ground: Ground):
    head = int(ground.node.rpc("eth_blockNumber"), 16)
    early = wish_for(ground) | {"start_block": head + 1}
    refused = await ground.client.post("/api/admin/pools", headers=OPERATOR, json=early)
    assert (refused.status_code, refused.json()["code"]) == (400, "staking_pool_terms")
    assert refused.json()["detail"].endswith(f"at block {head + 1}; the chain is at {head}")
    await ground.ask("POST", "admin/pools", by=OPERATOR, **early | {"start_block": head})


async def test_fundings_ordered_together_arrive_all_of_them(ground: Ground):
    await ground.ask("POST", "admin/pools", by=OPERATOR, **wish_for(ground))
    # A larger allowance than the one before: had they crossed, the first would have used it.
    for amount, order in (("100", "a"), ("200", "b"), ("50", "c")):
        await ground.ask(
            "POST", "admin/pools/btcd-two/fund", by=OPERATOR, amount=amount, order=order
        )
    for _ in range(3):
        await ground.work()
    for order in ("a", "b", "c"):
        done = await ground.ask("GET", f"admin/pools/btcd-two/fundings/{order}", by=OPERATOR)
        assert [each["state"] for each in done["transactions"]] == ["done", "done"], done
    ground.node.mine(2)
    await ground.index()
    pool = await ground.ask("GET", "pools/btcd-two", by={})
    assert pool["reserve"]["units"] == str(350 * ONE)


async def test_a_funding_whose_allowance_went_elsewhere_goes_on_when_it_is_ordered_again(
    ground: Ground,
):
    await ground.ask("POST", "admin/pools", by=OPERATOR, **wish_for(ground))
    order = {"amount": "200", "order": "a"}
    await ground.ask("POST", "admin/pools/btcd-two/fund", by=OPERATOR, **order)
    while not ground.allowance():
        ground.platform.clock.advance(2)
        await ground.runner.run_once()
        ground.node.mine()
    # Somebody with the same key sets another allowance before it is used.
    owner = ground.node.accounts[FUNDER]
    less = ground.token.encode("approve", ground.payout, ONE)
    ground.node.send(owner, to=ground.token.address, data=less, gas=100_000)
    ground.node.mine(2)
    await ground.work()
    told = await ground.ask("GET", "admin/pools/btcd-two/fundings/a", by=OPERATOR)
    assert [each["state"] for each in told["transactions"]] == ["done", "failed"]
    again = await ground.ask("POST", "admin/pools/btcd-two/fund", by=OPERATOR, **order)
    assert [each["state"] for each in again["transactions"]] == ["under_way", "under_way"]
    await ground.work()
    told = await ground.ask("GET", "admin/pools/btcd-two/fundings/a", by=OPERATOR)
    assert [each["state"] for each in told["transactions"]] == ["done", "done"]
    assert ground.allowance() == 0


async def test_a_pool_is_made_funded_and_staked_in_through_the_api(ground: Ground):
    wish = wish_for(ground)
    made = await ground.ask("POST", "admin/pools", by=OPERATOR, **wish)
    assert (made["pool_id"], made["asset"]) == ("btcd-two", "BTCD")
    again = await ground.ask("POST", "admin/pools", by=OPERATOR, **wish)
    assert again == made
    crossed = wish | {"pool_id": "btcd-three", "contract": ground.payout}
    refused = await ground.client.post("/api/admin/pools", headers=OPERATOR, json=crossed)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_input")
    taken = await ground.client.post(
        "/api/admin/pools", headers=OPERATOR, json=wish | {"pool_id": ground.platform.terms.pool_id}
    )
    assert (taken.status_code, taken.json()["code"]) == (409, "pool_id_taken")

    order = {"amount": "100", "order": "first"}
    funding = await ground.ask("POST", "admin/pools/btcd-two/fund", by=OPERATOR, **order)
    assert [each["state"] for each in funding["transactions"]] == ["under_way", "under_way"]
    await ground.ask("POST", "admin/pools/btcd-two/fund", by=OPERATOR, **order)
    await ground.work()
    done = await ground.ask("GET", "admin/pools/btcd-two/fundings/first", by=OPERATOR)
    assert [each["state"] for each in done["transactions"]] == ["done", "done"]
    too_much = {"amount": "5000", "order": "second"}
    poor = await ground.client.post(
        "/api/admin/pools/btcd-two/fund", headers=OPERATOR, json=too_much
    )
    assert poor.status_code == 409

    own = await Platform.sign_in(None, ground.client, ANN)  # type: ignore[arg-type]
    deposit = await ground.ask("POST", "pools/btcd-two/deposit", by=own, amount="40")
    ground.sign(deposit["transactions"])
    ground.node.mine(2)
    await ground.index()
    ground.platform.clock.advance(3)
    pool = await ground.ask("GET", "pools/btcd-two", by={})
    assert (pool["tvl"]["units"], pool["stakers"]) == (str(40 * ONE), 1)
    assert pool["reserve"]["units"] == str(100 * ONE)
    leave = await ground.ask("POST", "pools/btcd-two/withdraw", by=own, amount="15", myself=True)
    ground.sign(leave["transactions"])
    ground.node.mine(2)
    await ground.index()
    position = await ground.ask("GET", f"pools/btcd-two/balance/{ANN.address}", by=own)
    assert position["staked"]["units"] == str(25 * ONE)
    acts = await ground.ask("GET", "admin/trail", by=OPERATOR)
    assert [each["action"] for each in acts["items"]] == ["staking.fund", "staking.init"]
