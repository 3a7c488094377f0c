"""A platform with staking pools beside the mining pool, out of the real rooms.

The pools' events are a paper chain's, indexed and booked by the real indexer;
epochs are closed by the real engine. What nodes are asked is answered by
`ToldNodes`; `tests/api/test_staking_chain.py` asks a real one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct

from millpond.alerts import Alerts
from millpond.api.deps import ApiDeps
from millpond.api.settings import ApiSettings
from millpond.api.staking.deps import StakingDeps
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.errors import RevertedError, RpcUnavailableError
from millpond.chains.evm.operations import Operations
from millpond.chains.evm.types import Block
from millpond.clock import Ids, SeededEntropy
from millpond.identity import action_message
from millpond.intents import Intents
from millpond.oracle import Oracle
from millpond.oracle.build import build_feeds
from millpond.oracle.settings import OracleSettings, PriceSettings
from millpond.risk import RiskEngine
from millpond.staking.exposure import StakingExposure
from millpond.staking.indexer import Indexer
from millpond.staking.pools import PRODUCT, StakingPool, create_pool
from millpond.staking.rewards.cycle import RewardCycle
from millpond.staking.rewards.epochs import Epochs
from millpond.staking.settings import StakingSettings
from millpond.store import Store
from millpond.trail import Trail
from millpond.web.site import create_site
from tests.api.real_pool import OPERATOR_KEY, RealPool
from tests.staking.chain import PaperChain
from tests.staking.samples import CHAIN, direct_pool, vault_pool
from tests.support.evm_nodes import ACCOUNTS, KEYS

POOL, VAULT = "btcd-main-pool", "btcd-vault"
ONE = 10**18
START_S = 1_700_000_000
HOST = "127.0.0.1:8080"
FUNDER = ACCOUNTS[9].address


@dataclass(frozen=True)
class Staker:
    """A key and its address."""

    key: str
    address: str

    @classmethod
    def number(cls, number: int) -> Staker:
        return cls(KEYS[number], ACCOUNTS[number].address)

    def sign(self, text: str) -> str:
        signed = Account.sign_message(encode_defunct(text=text), self.key)
        return "0x" + bytes(signed.signature).hex()

    def headers(
        self, pool: StakingPool, action: str, body: bytes, *, at_ms: int, nonce: str
    ) -> dict[str, str]:
        """A signed request."""
        text = action_message(
            pool_id=pool.pool_id,
            wallet=self.address,
            action=action,
            body=body,
            timestamp_ms=at_ms,
            nonce=nonce,
            contract=f"eip155:{pool.chain_id}:{pool.contract}",
        )
        return {
            "millpond-timestamp": str(at_ms),
            "millpond-nonce": nonce,
            "millpond-signature": self.sign(text),
            "content-type": "application/json",
        }


ANN, BOB, EVE = Staker.number(1), Staker.number(2), Staker.number(3)


@dataclass
class ToldNodes:
    """What a node answers about tokens; every other call goes through."""

    balance: int = 1_000 * ONE
    allowance: int = 0
    refuses: str = ""
    contract_wallets: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def call(
        self,
        to: str,
        calldata: bytes,
        block: int | str = "latest",
        *,
        sender: str | None = None,
        value: int = 0,
        agreed: bool = False,
    ) -> bytes:
        """Answer a call."""
        token = Contract.named("BTCD", to)
        self.calls.append(calldata[:4].hex())
        told = {
            token.encode("balanceOf", to)[:4]: self.balance,
            token.encode("allowance", to, to)[:4]: self.allowance,
            token.encode("nonces", to)[:4]: 0,
            token.encode("decimals")[:4]: 18,
        }
        if calldata[:4] in told:
            return told[calldata[:4]].to_bytes(32, "big")
        if calldata[:4] in {token.encode("name")[:4], token.encode("symbol")[:4]}:
            return (32).to_bytes(32, "big") + (4).to_bytes(32, "big") + b"BTCD".ljust(32, b"\0")
        if calldata[:4].hex() == "1626ba7e":
            return self.contract_wallets.get(to, b"")
        if self.refuses:
            raise RevertedError(
                "execution reverted", rpc_code=3, method="eth_call", reason=self.refuses
            )
        return b""

    async def estimate_gas(
        self, to: str | None, calldata: bytes, *, sender: str, value: int = 0
    ) -> int:
        """A guess."""
        return 60_000

    async def head(self, *, agreed: bool = False) -> Block:
        """None: nothing that is asked of this chain comes so far."""
        raise RpcUnavailableError("no blocks here")


@dataclass
class Platform:
    """Everything, and its site."""

    store: Store
    mining: RealPool
    chain: PaperChain
    nodes: ToldNodes
    rooms: StakingDeps
    indexer: Indexer
    cycle: RewardCycle
    pools: dict[str, StakingPool]
    oracle: Oracle
    deps: ApiDeps

    @classmethod
    async def make(cls, store: Store, settings: ApiSettings | None = None) -> Platform:
        """Two pools, nothing on the chain yet."""
        mining = await RealPool.make(store, settings)
        clock, entropy = mining.clock, SeededEntropy(9)
        ids = Ids(clock, entropy)
        ledger, alerts, trail = mining.ledger, Alerts(clock, ids), Trail(clock)
        terms: dict[str, Any] = {
            "confirmations": 2,
            "epoch_s": 60,
            "epoch_zero_s": START_S,
            "reward_per_minute": ONE,
        }
        pools = [direct_pool(**terms), vault_pool(**terms)]
        chain = PaperChain(pools)
        async with store.begin() as tx:
            for pool in pools:
                await create_pool(tx, pool, clock)
        nodes = ToldNodes()
        price = PriceSettings(asset="BTCD", tiers=[["fixed"]])
        feeds = build_feeds(
            OracleSettings(prices=[price], constants={"fixed": "2.5"}), clock, {}
        ).feeds
        oracle = Oracle(store, clock, ids, alerts, feeds)
        rooms = StakingDeps(
            ledger=ledger,
            ids=ids,
            risk=RiskEngine(
                ledger, clock, ids, trail, alerts, exposures={PRODUCT: StakingExposure(ledger)}
            ),
            alerts=alerts,
            trail=trail,
            operations=Operations(Intents(store, clock, ids, entropy)),
            prices=oracle.prices,
            chains={CHAIN: nodes},
            signers={CHAIN: FUNDER},
        )
        indexer = Indexer(
            store,
            {CHAIN: chain},
            ledger=ledger,
            alerts=alerts,
            clock=clock,
            settings=StakingSettings(),
        )
        cycle = RewardCycle(store, Epochs(ledger, clock, alerts, trail), clock, entropy, alerts)
        return cls(
            store=store,
            mining=mining,
            chain=chain,
            nodes=nodes,
            rooms=rooms,
            indexer=indexer,
            cycle=cycle,
            pools={pool.pool_id: pool for pool in pools},
            oracle=oracle,
            deps=dataclasses.replace(mining.deps, staking=rooms),
        )

    async def with_history(self) -> Platform:
        """Ann stakes 300 and Bob 100 in both pools, funded with 100; five epochs are closed."""
        for pool_id in self.pools:
            self.chain.emit(pool_id, "Funded", sender=FUNDER, amount=100 * ONE)
            self.chain.deposit(pool_id, ANN.address, 300 * ONE)
            self.chain.deposit(pool_id, BOB.address, 100 * ONE)
        await self.pass_time(30)
        return self

    async def pass_time(self, blocks: int = 5) -> None:
        """Mine, index, close what is over."""
        self.chain.mine(blocks)
        now_s = self.chain.head.timestamp_s
        self.mining.clock.advance(max(0.0, now_s - self.mining.clock.now_ms() / 1000))
        for _ in range(50):
            if not any(run.blocks or run.undone for run in await self.indexer.run_once()):
                break
        await self.cycle.run_all()

    def client(self, **options: Any) -> httpx.AsyncClient:
        """Talks to the site in this process, as one on this machine does."""
        transport = httpx.ASGITransport(create_site(self.deps), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", **options)

    async def sign_in(self, client: httpx.AsyncClient, who: Staker) -> dict[str, str]:
        """Headers of a session."""
        asked = await client.post("/api/v1/auth/challenge", json={"wallet": who.address})
        assert asked.status_code == 201, asked.text
        told = asked.json()
        body = {
            "wallet": who.address,
            "nonce": told["nonce"],
            "signature": who.sign(told["message"]),
        }
        answer = await client.post("/api/v1/auth/session", json=body)
        assert answer.status_code == 201, answer.text
        return {"authorization": f"Bearer {answer.json()['token']}"}


OPERATOR = {"authorization": f"Bearer {OPERATOR_KEY}"}
