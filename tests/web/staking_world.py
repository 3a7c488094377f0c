"""A staking platform on a real anvil, with its pages, in the test's own event loop.

Contracts are put there by the product's own deployer and everything behind the
pages is the product's; what timers do in production the test does when it says
`work`, so that nothing depends on how fast a machine is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from millpond.alerts import Alerts
from millpond.api.settings import ApiSettings
from millpond.api.staking.deps import StakingDeps
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.operations import Operations
from millpond.chains.evm.signers import KeySigner
from millpond.chains.evm.tx import TxSettings
from millpond.clock import Ids
from millpond.intents import Intents
from millpond.ops.config import Config
from millpond.ops.config.evm import EvmChainSettings
from millpond.ops.evm import EvmDesk, EvmRoom, open_room
from millpond.ops.staking import StakingDesk, Terms, Wish
from millpond.ops.stakingrooms import StakingRooms, staking_rooms
from millpond.ops.system import SystemClock, SystemEntropy
from millpond.oracle import Prices
from millpond.staking.accounts import reward_funds
from millpond.staking.info import record
from millpond.staking.pools import PoolKind, StakingPool, list_pools
from millpond.staking.settings import StakingSettings
from millpond.store import Store
from tests.api.test_shell import sample_deps
from tests.support.evm_nodes import ACCOUNTS, CHAIN_ID, KEYS, Anvil
from tests.web.serving import serving

ONE = 10**18
DIRECT, VAULT = "btcd-main-pool", "btcd-vault"
OPERATOR, ANN, BEN = 0, 1, 2
KEY = "the key"
_EPOCH_S = 60
_ROUNDS = 60


class ShiftedClock(SystemClock):
    """The machine's clock, moved forward by hand together with the chain's."""

    shift_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return super().now_ms() + self.shift_ms

    def monotonic_ns(self) -> int:
        """Nanoseconds of a clock that never goes back."""
        return super().monotonic_ns() + self.shift_ms * 1_000_000


@dataclasses.dataclass
class World:
    """The platform, its node and where its pages are."""

    url: str
    node: Anvil
    store: Store
    clock: ShiftedClock
    rooms: StakingRooms
    room: EvmRoom
    desk: StakingDesk
    token: Contract
    pools: dict[str, StakingPool]

    async def index(self) -> None:
        """Read the chain until nothing is new."""
        for _ in range(_ROUNDS):
            progress = await self.rooms.indexer.run_once()
            if all(not each.blocks and not each.undone for each in progress):
                return
        raise AssertionError("the indexer comes to an end")

    async def confirm(self) -> None:
        """Two more blocks, and what they confirm is booked."""
        self.node.mine(2)
        await self.index()
        async with self.store.begin() as tx:
            for pool in await list_pools(tx):
                await record(tx, self.rooms.ledger, pool, self.clock, StakingSettings())

    async def pass_time(self, seconds: int) -> None:
        """Let time go by, for the chain and for the platform."""
        self.clock.shift_ms += seconds * 1000
        self.node.increase_time(seconds)
        await self.confirm()

    async def reward(self) -> None:
        """Let epochs end and close them; what is owed to the chain is sent."""
        await self.pass_time(5 * _EPOCH_S)
        await self.rooms.rewards.run_all()
        await self.settle()

    async def settle(self) -> None:
        """Pay what was asked for, until nothing is under way."""
        for _ in range(3):
            await self.rooms.withdrawal_run.run_once()
            await self.rooms.claim_run.run_once()
            for runner in self.rooms.runners.values():
                for _ in range(_ROUNDS):
                    if not await runner.run_once():
                        break
            await self.confirm()
            self.clock.shift_ms += 2_000

    async def funded(self, pool_id: str) -> int:
        """What is booked as given for a pool's rewards and not paid out."""
        account = reward_funds(pool_id, self.pools[pool_id].asset)
        async with self.store.read() as tx:
            return (await self.rooms.ledger.balance(tx, account)).posted.units

    def stake(self, who: int, pool_id: str, tokens: int) -> None:
        """Deposit without a page."""
        pool, wallet = self.pools[pool_id], ACCOUNTS[who].address
        self.send(who, self.token, "approve", pool.contract, tokens * ONE)
        if pool.kind is PoolKind.VAULT:
            vault = Contract.named("Vault", pool.contract)
            self.send(who, vault, "deposit", tokens * ONE, wallet)
        else:
            self.send(who, Contract.named("StakingPool", pool.contract), "deposit", tokens * ONE)

    def tokens(self, who: int) -> int:
        """What a wallet has of the token."""
        data = self.token.encode("balanceOf", ACCOUNTS[who].address)
        answer = self.node.rpc(
            "eth_call", {"to": self.token.address, "data": "0x" + data.hex()}, "latest"
        )
        return int(answer, 16)

    def send(self, who: int, contract: Contract, function: str, *arguments: object) -> None:
        """A transaction of somebody's own."""
        data = contract.encode(function, *arguments)
        self.node.mined(
            self.node.send(ACCOUNTS[who], to=contract.address, data=data, gas=1_000_000)
        )


@contextlib.asynccontextmanager
async def staking_world(
    tmp_path: Path, template: Path, kinds: tuple[PoolKind, ...]
) -> AsyncIterator[World]:
    """A funded pool of each of `kinds`, and two wallets with 1,000 tokens each."""
    clock, entropy = ShiftedClock(), SystemEntropy()
    ids = Ids(clock, entropy)
    async with contextlib.AsyncExitStack() as stack:
        shutil.copy(template, tmp_path / "a.db")
        node = stack.enter_context(Anvil())
        chain = EvmChainSettings(
            name="anvil",
            chain_id=CHAIN_ID,
            urls=(node.url,),
            tx=TxSettings(confirmations=1, poll_s=0.05, patience_s=10.0),
        )
        config = Config(data_dir=str(tmp_path), evm=(chain,))
        settings = ApiSettings(port=0, poll_interval_s=0.5)
        deps = await sample_deps(tmp_path, settings=settings, clock=clock, entropy=entropy)
        stack.push_async_callback(deps.store.close)
        intents, alerts = Intents(deps.store, clock, ids, entropy), Alerts(clock, ids)
        signers = [KeySigner(bytes.fromhex(KEYS[OPERATOR][2:]))]
        room = await stack.enter_async_context(
            open_room(chain, intents, alerts, clock, signers=signers)
        )
        operations = Operations(intents)
        desk = StakingDesk(
            EvmDesk(config, deps.store, intents, alerts, clock, room, operations),
            actor="test",
            say=lambda _: None,
        )
        rooms = staking_rooms(config, intents, [room], name="test")
        stack.push_async_callback(rooms.feeds.close)
        pools, token = await _pools(desk, kinds)
        staking = StakingDeps(
            ledger=rooms.ledger,
            ids=ids,
            risk=rooms.risk,
            alerts=rooms.alerts,
            trail=rooms.trail,
            operations=operations,
            prices=Prices(clock, ()),
            chains={CHAIN_ID: room.nodes},
            signers={CHAIN_ID: room.first_signer},
        )
        url = await stack.enter_async_context(serving(dataclasses.replace(deps, staking=staking)))
        world = World(url, node, deps.store, clock, rooms, room, desk, token, pools)
        await world.confirm()
        yield world


async def _pools(
    desk: StakingDesk, kinds: tuple[PoolKind, ...]
) -> tuple[dict[str, StakingPool], Contract]:
    terms = Terms(per_minute="2", epoch_s=_EPOCH_S, confirmations=2)
    pools: dict[str, StakingPool] = {}
    address = None
    for kind in kinds:
        wish = Wish(DIRECT if kind is PoolKind.DIRECT else VAULT, kind, token=address)
        await desk.deploy(wish)
        pool = pools[wish.pool_id] = await desk.take_in(wish, terms)
        address = pool.token.address
    token = Contract.named("BTCD", address)
    for who, tokens in ((OPERATOR, 20_000), (ANN, 1_000), (BEN, 1_000)):
        holder = ACCOUNTS[who].address
        await desk.do(f"mint:{who}", "mint", "mint", token, "mint", holder, tokens * ONE)
    for pool_id in pools:
        await desk.fund(pool_id, 5_000 * ONE, order="test")
    return pools, token
