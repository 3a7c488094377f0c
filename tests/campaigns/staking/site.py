"""A platform with two pools on a node, put together by production's own functions.

`Site` is what one process of the platform has: the rooms of the part `chains`, the
operator's desk, and beside them the stakers, who act with keys of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

from millpond.alerts import Alerts
from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.errors import EquivocationError
from millpond.chains.evm.keystore import write_keystore
from millpond.chains.evm.operations import Operations
from millpond.clock import Ids
from millpond.errors import MillpondError, UnavailableError
from millpond.intents import Intents
from millpond.money.report import Verdict
from millpond.ops.config import Config, load_text
from millpond.ops.evm import EvmDesk, EvmRoom, open_room
from millpond.ops.staking import StakingDesk, Terms, Wish
from millpond.ops.stakingrooms import StakingRooms, staking_rooms
from millpond.ops.stakingtasks import staking_tasks
from millpond.ops.system import SystemClock, SystemEntropy
from millpond.staking import accounts
from millpond.staking.audit import audit_pools
from millpond.staking.deposits import Deposits
from millpond.staking.history import booked_mark
from millpond.staking.pools import PoolKind, StakingPool
from millpond.staking.positions import get_position
from millpond.staking.rewards import rows as reward_rows
from millpond.staking.rewards.claims import Claim, Claims
from millpond.staking.rewards.model import Epoch
from millpond.staking.rewards.statement import Statement, decode
from millpond.staking.rewards.statements import export, proof
from millpond.staking.withdrawals import rows as withdrawal_rows
from millpond.staking.withdrawals.model import Withdrawal
from millpond.store import Store
from tests.campaigns.staking.reference import earned, facts_of
from tests.support.evm_nodes import KEYS, Node

ONE = 10**18
SHARE = 10**24
DIRECT, VAULT = "main-pool", "main-vault"
POOLS = (DIRECT, VAULT)
OPERATOR, ANN, BEN, CYD, DAN = range(5)
STAKERS = (ANN, BEN, CYD)
MINTED = 1_000_000 * ONE
CONFIRMATIONS = 3
EPOCH_S = 60
PER_MINUTE = "1.000000000000000007"
PASSWORD = b"correct horse"
_ROUNDS = 150


class TravelClock(SystemClock):
    """A clock that moves when it is told to; a sleep makes a block."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._now_ns = node.now_s() * 1_000_000_000

    def now_ms(self) -> int:
        return self._now_ns // 1_000_000

    def monotonic_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        self._now_ns += round(seconds * 1e9)

    async def sleep(self, seconds: float) -> None:
        self._node.mine()
        self.advance(max(seconds, 1.0))


def write_config(
    folder: Path,
    node: Node,
    store_url: str,
    *,
    urls: Sequence[str] = (),
    quorum: int = 1,
    tx: str = "",
) -> str:
    """The configuration of a platform on a node, and its key file; returns the TOML text."""
    key, secret = folder / "key.json", folder / "password"
    if not key.exists():
        secret.write_bytes(PASSWORD)
        write_keystore(key, bytes.fromhex(KEYS[OPERATOR][2:]), password=PASSWORD, iterations=2)
    quoted = ", ".join(f'"{url}"' for url in urls or [node.url])
    text = f"""
data_dir = "{folder}/data"
[database]
url = "{store_url}"
[log]
to = "files"
[devevm]
enabled = "no"
[[evm]]
name = "local"
chain_id = {node.chain_id}
urls = [{quoted}]
[[evm.keys]]
file = "{key}"
unlock = "file:{secret}"
[evm.nodes]
quorum = {quorum}
timeout_s = 5
interval_s = 1.0
finality_depth = 8
backoff_s = 0.2
backoff_max_s = 1.0
[evm.tx]
confirmations = {CONFIRMATIONS}
lease_s = 6.0
{tx or "poll_s = 1.0"}
[staking]
poll_s = 0.2
"""
    path = folder / "pool.toml"
    path.write_text(text)
    path.chmod(0o600)
    return text


class Site:
    """One process of the platform and the people around it."""

    def __init__(
        self, node: Node, config: Config, rooms: StakingRooms, desk: EvmDesk, clock: SystemClock
    ) -> None:
        self.node, self.config, self.rooms, self.desk, self.clock = node, config, rooms, desk, clock
        self.store = rooms.store
        self.tasks = {task.name: task.run for task in staking_tasks(config, rooms, clock)}
        self.claims = Claims(rooms.ledger, rooms.risk, clock, rooms.intents.ids)
        self.said: list[str] = []
        self.failed: list[str] = []
        self.by_hand = StakingDesk(desk, actor="operator", say=self.said.append)
        self.pools: dict[str, StakingPool] = {}
        self.token = Contract(None, ())

    @property
    def room(self) -> EvmRoom:
        """The one chain."""
        return self.desk.room

    # -- setting up ------------------------------------------------------------

    async def set_up(self) -> None:
        """Deploy both pools, take them in, and give everybody tokens.

        The operator's key deploys and works; owner and guardian is Dan, who funds as well.
        """
        terms = Terms(per_minute=PER_MINUTE, epoch_s=EPOCH_S, confirmations=CONFIRMATIONS)
        others = {"owner": self.wallet(DAN), "guardian": self.wallet(DAN)}
        direct = Wish(DIRECT, PoolKind.DIRECT, **others)
        await self.by_hand.deploy(direct)
        self.pools[DIRECT] = await self.by_hand.take_in(direct, terms)
        token = self.pools[DIRECT].token.address
        vault = Wish(VAULT, PoolKind.VAULT, token=token, **others)
        await self.by_hand.deploy(vault)
        self.pools[VAULT] = await self.by_hand.take_in(vault, terms)
        self.token = Contract.named("BTCD", token)
        for who in (OPERATOR, *STAKERS, DAN):
            amount = (self.wallet(who), MINTED)
            await self.by_hand.do(f"mint:{who}", "mint", "mint", self.token, "mint", *amount)

    def adopt(self, pools: dict[str, StakingPool]) -> None:
        """Take over pools that another process has set up."""
        self.pools = dict(pools)
        self.token = Contract.named("BTCD", pools[DIRECT].token.address)

    async def fund(self, pool_id: str, amount: int, order: str) -> None:
        """Fund rewards as the operator does."""
        await self.by_hand.fund(pool_id, amount, order=order)

    # -- people ----------------------------------------------------------------

    def wallet(self, who: int) -> str:
        return str(self.node.accounts[who].address)

    def contract(self, pool_id: str) -> Contract:
        """The contract that holds the stakes."""
        pool = self.pools[pool_id]
        name = "StakingPool" if pool.kind is PoolKind.DIRECT else "Vault"
        return Contract.named(name, pool.contract)

    def rewards_contract(self, pool_id: str) -> Contract:
        """The contract that holds the rewards."""
        pool = self.pools[pool_id]
        assert pool.rewards_contract is not None
        name = "BatchPayout" if pool.kind is PoolKind.DIRECT else "RewardDistributor"
        return Contract.named(name, pool.rewards_contract)

    def send(self, who: int, contract: Contract, function: str, *arguments: object) -> str:
        """A transaction of somebody's own; in a block when one is mined."""
        data = contract.encode(function, *arguments)
        account = self.node.accounts[who]
        return self.node.send(account, to=contract.address, data=data, gas=600_000)

    async def deposit(self, who: int, pool_id: str, amount: int) -> None:
        """Prepare, sign and send, as a page with a browser's wallet does."""
        deposits = Deposits(self.store, self.room.nodes, self.rooms.ledger, self.rooms.risk)

        async def prepare() -> Any:
            return await deposits.prepare(
                self.pools[pool_id], self.wallet(who), amount, now_s=self.clock.now_ms() // 1000
            )

        for each in (await self.patiently(prepare)).transactions:
            data = bytes.fromhex(each.data[2:])
            self.node.send(self.node.accounts[who], to=each.to, data=data, gas=600_000)

    async def ask(self, who: int, amount: int | None = None) -> Withdrawal:
        """Request a withdrawal out of the direct pool."""
        async with self.store.begin() as tx:
            return await self.rooms.withdrawals.request(
                tx, pool_id=DIRECT, wallet=self.wallet(who), amount=amount
            )

    async def claim(self, who: int, amount: int | None = None) -> Claim:
        """Ask for rewards of the direct pool."""
        async with self.store.begin() as tx:
            return await self.claims.request(
                tx, pool_id=DIRECT, wallet=self.wallet(who), amount=amount
            )

    async def claim_on_chain(self, who: int) -> int:
        """Claim a vault's rewards with the proof; returns all that was earned ever."""
        async with self.store.read() as tx:
            found = await proof(tx, VAULT, self.wallet(who))
        siblings = [bytes.fromhex(one[2:]) for one in found.proof]
        contract = self.rewards_contract(VAULT)
        self.send(who, contract, "claim", self.wallet(who), found.cumulative, siblings)
        return int(found.cumulative)

    # -- work ------------------------------------------------------------------

    async def turn(self) -> None:
        """Every loop and task of the part `chains` once; what fails comes again."""
        assert isinstance(self.clock, TravelClock)
        self.clock.advance(2)
        for step in (
            self.rooms.indexer.run_once,
            self.tasks["staking-rewards"],
            self.tasks["staking-payments"],
            self._transactions,
            self.room.keeper.run_once,
            self.rooms.indexer.run_once,
        ):
            await self._try(step)

    async def _transactions(self) -> None:
        for _ in range(20):
            if not await self.rooms.runners[self.node.chain_id].run_once():
                return

    async def _try(self, step: Callable[[], Awaitable[object]]) -> None:
        try:
            await step()
        except MillpondError as error:
            self.failed.append(error.code)

    async def patiently(self, step: Callable[[], Awaitable[Any]]) -> Any:
        """Do something that nodes may fail at, again and again."""
        for _ in range(_ROUNDS):
            try:
                return await step()
            except (UnavailableError, EquivocationError) as error:
                self.failed.append(error.code)
                await self.clock.sleep(1)
        raise AssertionError(f"it never goes through: {self.failed[-5:]}")

    async def until(self, what: str, look: Callable[[], Awaitable[bool]]) -> None:
        """Blocks come and the platform works until it is so."""
        for _ in range(_ROUNDS):
            await self.turn()
            if await look():
                return
            self.node.mine()
        raise AssertionError(f"never: {what}; {self.failed[-5:]}")

    async def confirm(self) -> None:
        """As many blocks as make what happened certain, and the platform sees them."""
        self.node.mine(CONFIRMATIONS)
        head = self.node.height()

        async def followed() -> bool:
            return await self.booked_to() >= head - CONFIRMATIONS + 1

        await self.until("everything indexed", followed)

    async def next_epoch(self, into_s: int = 5) -> None:
        """Go on to the beginning of the next epoch."""
        assert isinstance(self.clock, TravelClock)
        zero_s = self.pools[DIRECT].epoch_zero_s
        now_s = self.node.now_s()
        target = zero_s + ((now_s - zero_s) // EPOCH_S + 1) * EPOCH_S + into_s
        self.node.set_next_timestamp(target)
        self.node.mine()
        self.clock.advance(241)

    # -- looking ---------------------------------------------------------------

    async def position(self, who: int, pool_id: str = DIRECT) -> tuple[int, int]:
        """What is seen, and what counts."""
        async with self.store.read() as tx:
            found = await get_position(tx, pool_id, self.wallet(who))
        return found.seen, found.balance

    async def booked_to(self) -> int:
        """The block up to which all pools are booked."""
        async with self.store.read() as tx:
            return min([(await booked_mark(tx, pool_id)).number for pool_id in POOLS])

    async def credited(self, pool_id: str) -> dict[str, int]:
        """What wallets were credited ever, by the last epoch's snapshot."""
        async with self.store.read() as tx:
            last = await reward_rows.last_epoch(tx, pool_id)
            lines = [] if last is None else await reward_rows.snapshots(tx, pool_id, last.epoch)
        return {line.wallet: line.cumulative for line in lines}

    async def owed(self, pool_id: str, who: int) -> int:
        """Rewards of a wallet in the books."""
        pool = self.pools[pool_id]
        account = accounts.rewards(pool_id, self.wallet(who), pool.asset)
        async with self.store.read() as tx:
            return (await self.rooms.ledger.balance(tx, account)).posted.units

    async def epochs(self, pool_id: str) -> list[Epoch]:
        """Closed epochs, oldest first."""
        async with self.store.read() as tx:
            return (await reward_rows.epochs_page(tx, pool_id, limit=1000))[::-1]

    async def statement(self, pool_id: str, epoch: int) -> Statement:
        async with self.store.read() as tx:
            return decode(await export(tx, pool_id, epoch))

    async def withdrawals(self) -> list[Withdrawal]:
        async with self.store.read() as tx:
            return await withdrawal_rows.listed(tx, limit=1000)

    async def withdrawal(self, withdrawal: Withdrawal) -> Withdrawal:
        """As it is now."""
        async with self.store.read() as tx:
            return await withdrawal_rows.fetch(tx, withdrawal.id)

    async def alerts(self) -> set[str]:
        """Kinds of alerts that are open."""
        async with self.store.read() as tx:
            return {alert.kind for alert in await self.rooms.alerts.open(tx)}

    def call(self, contract: Contract, function: str, *arguments: object) -> Any:
        """Ask a contract, directly at the node."""
        assert contract.address is not None
        asked = {"to": contract.address, "data": "0x" + contract.encode(function, *arguments).hex()}
        answer = self.node.rpc("eth_call", asked, "latest")
        return contract.decode_output(function, bytes.fromhex(answer[2:]))

    def tokens(self, who: int) -> int:
        """What a wallet has of the token."""
        return int(self.call(self.token, "balanceOf", self.wallet(who)))

    def reference(self, pool_id: str, epochs: Sequence[Epoch]) -> dict[str, Any]:
        """What wallets should have earned in these epochs, exactly."""
        pool = self.pools[pool_id]
        assert pool.rewards_contract is not None
        vault = pool.kind is PoolKind.VAULT
        facts = facts_of(self.node, pool.contract, pool.rewards_contract, vault=vault)
        exact, _ = earned(
            facts,
            per_minute=pool.reward_per_minute,
            zero_s=pool.epoch_zero_s,
            epoch_s=pool.epoch_s,
            epochs=range(epochs[0].epoch, epochs[-1].epoch + 1),
        )
        return exact

    async def check_rewards(self, pool_id: str) -> dict[str, int]:
        """Everybody was credited what the reference says, to the wei; returns it."""
        epochs = await self.epochs(pool_id)
        exact = self.reference(pool_id, epochs)
        found = await self.credited(pool_id)
        # Parts are carried in 2**-64 of a wei, so that only an exact part as close as that
        # to a whole number may be credited an epoch sooner or later.
        near = Fraction(len(epochs), 2**64)
        for wallet, amount in exact.items():
            assert floor(amount - near) <= found[wallet] <= floor(amount + near), wallet
        assert sum(found.values()) == epochs[-1].cumulative
        return found

    async def check_audit(self) -> None:
        """Books, events and contracts say the same."""
        nodes = {self.node.chain_id: self.room.nodes}
        for _ in range(_ROUNDS):
            found = await audit_pools(self.store, self.rooms.ledger, nodes)
            assert [row for row in found if row.verdict is Verdict.DRIFT] == []
            if all(row.verdict is Verdict.OK for row in found):
                break
            # A node failed while it was asked.
            await self.clock.sleep(1)
        else:
            raise AssertionError("the audit never comes to an end")
        async with self.store.read() as tx:
            assert await self.rooms.ledger.verify(tx) == []


@contextlib.asynccontextmanager
async def open_site(node: Node, text: str, clock: SystemClock) -> AsyncIterator[Site]:
    """Open the platform as the part `chains` does."""
    config = load_text(text, {})
    async with contextlib.AsyncExitStack() as stack:
        store = await Store.open(config.database_url, pool_size=4)
        stack.push_async_callback(store.close)
        entropy = SystemEntropy()
        ids = Ids(clock, entropy)
        intents = Intents(store, clock, ids, entropy)
        alerts = Alerts(clock, ids)
        (chain,) = config.the_chains
        room = await stack.enter_async_context(open_room(chain, intents, alerts, clock))
        rooms = staking_rooms(config, intents, [room], name=f"site-{ids.new()}")
        stack.push_async_callback(rooms.feeds.close)
        desk = EvmDesk(config, store, intents, alerts, clock, room, Operations(intents))
        yield Site(node, config, rooms, desk, clock)
