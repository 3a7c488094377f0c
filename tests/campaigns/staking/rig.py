"""A platform whose chain workers are killed, and people who go on regardless.

One loop drives everything: people act, a block comes, sometimes the chain turns
back, until the process at work is dead; then the next one starts. All choices of a
life come from the campaign's seed and the life's number.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from millpond.chains.evm.operations import OperationEffect
from millpond.chains.evm.tx import EvmEffect, EvmTransactionHandler
from millpond.errors import MillpondError
from millpond.intents import Intent, IntentState, Operator
from millpond.intents.model import FINAL
from millpond.staking.rewards.claims import Claim, ClaimState
from millpond.staking.rewards.claims import listed as list_claims
from millpond.staking.rewards.epochs import Epochs
from millpond.staking.rewards.model import EpochState
from millpond.staking.rewards.paying import ClaimEffect
from millpond.staking.rewards.posting import PostingEffect
from millpond.staking.withdrawals.effect import WithdrawalEffect
from millpond.staking.withdrawals.model import Withdrawal, WithdrawalState
from millpond.staking.withdrawals.queue import QueueEffect
from millpond.tasks import list_tasks, run_now
from tests.campaigns.staking.site import (
    CONFIRMATIONS,
    DAN,
    DIRECT,
    EPOCH_S,
    ONE,
    POOLS,
    STAKERS,
    VAULT,
    Site,
)
from tests.campaigns.staking.victim import Plan, SharedClock, work
from tests.support import evm_faults as faults
from tests.support.evm_faults import Fault, FaultProxy
from tests.support.evm_nodes import NodeError

LIFE_S = 60.0
"""How long a process may take to come to where it dies, in real seconds."""

REST_S = 120.0
BATCHES_BIT = 4
AT_REST = "at rest"
_TASKS = ("staking-rewards", "staking-payments")

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.campaigns.staking.victim"])

FAULTS = (
    faults.lost_before(),
    faults.lost_after(),
    faults.lost_after("eth_sendRawTransaction"),
    faults.already_known(),
    faults.nonce_too_low_after(),
    faults.rate_limited(),
    faults.http_status(502),
    faults.truncated(),
    faults.garbage(),
    faults.wrong_id(),
    faults.missing(),
    faults.stale_nonce(),
    faults.refused(-32_603, "internal error"),
)
"""What happens to an honest node's answers."""

LIES = (
    *FAULTS,
    faults.missing_logs(),
    faults.other_logs(),
    faults.other_receipt(),
    faults.other_block(),
    faults.other_block("eth_getBlockByHash"),
)
"""What one of two nodes may say besides, where both have to agree."""


class Rig:
    """The site, the processes beside it, and what was asked for."""

    def __init__(
        self, site: Site, folder: Path, proxy: FaultProxy, seed: int, lies: Sequence[Fault]
    ) -> None:
        assert isinstance(site.clock, SharedClock)
        self.site, self.node, self.proxy, self.seed = site, site.node, proxy, seed
        self.clock: SharedClock = site.clock
        self.folder, self.lies = folder, lies
        self.alive: list[Any] = []
        self.deaths: Counter[str] = Counter()
        self.acts: Counter[str] = Counter()
        self.asked: list[Withdrawal] = []
        self.claimed: list[Claim] = []
        self.mining = True
        self.life = self.goal = 0
        self._names = 0
        rooms, transactions = site.rooms, site.room.transactions
        effects: list[EvmEffect] = [
            WithdrawalEffect(rooms.withdrawals, rooms.alerts),
            ClaimEffect(site.claims, rooms.alerts),
            QueueEffect(),
            PostingEffect(rooms.store, rooms.intents, rooms.alerts),
            OperationEffect(site.clock, rooms.store),
        ]
        handlers = [EvmTransactionHandler(transactions, effect) for effect in effects]
        self.person = Operator(rooms.intents, handlers)
        self.epochs = Epochs(
            rooms.ledger, site.clock, rooms.alerts, rooms.trail, post=rooms.posting.post
        )

    # -- processes ---------------------------------------------------------------

    def start(self, plan: Plan | None = None) -> Any:
        """Start the part `chains` in a process of its own."""
        self._names += 1
        # Each has a directory of its own, as on machines of their own.
        data = self.folder / f"worker-{self._names}"
        arguments = (
            str(self.folder / "pool.toml"),
            str(data),
            str(self.folder / "clock"),
            plan or Plan(),
        )
        process = _processes.Process(target=work, args=arguments, daemon=True)
        process.start()
        self.alive.append(process)
        return process

    def kill(self, process: Any, why: str) -> None:
        """`kill -9`, or see that it died so by itself; who had nothing to do is not counted."""
        if process.is_alive():
            process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"it ended by itself: {self.output()}"
        process.close()
        self.alive.remove(process)
        if why != AT_REST:
            self.deaths[why] += 1
        print(
            f"seed {self.seed}, life {self.life}: {why} at block {self.node.height()}", flush=True
        )

    def end(self) -> None:
        """Kill whatever still runs."""
        for process in self.alive:
            process.kill()
            process.join()
            process.close()
        self.alive = []

    def output(self) -> str:
        """The end of what the newest process has said."""
        path = self.folder / f"worker-{self._names}" / "logs" / "chains.log"
        return path.read_text()[-3000:] if path.exists() else "nothing"

    def trouble(self, dice: random.Random) -> None:
        """So many of the calls meet a fault from now on."""
        rate = dice.choice((0.0, 0.01, 0.03))
        self.proxy.chaos(dice.randrange(2**32), rate, self.lies)

    async def explain(self) -> str:
        """What a person needs to find out why it went wrong."""
        async with self.site.store.read() as tx:
            alerts = [
                f"{a.kind} {a.subject}: {a.message}" for a in await self.site.rooms.alerts.open(tx)
            ]
            tasks = await list_tasks(tx, self.clock)
        said = [
            (
                f"seed {self.seed}, life {self.life}, block {self.node.height()}"
                f" at {self.node.now_s()}, clock {self.clock.now_ms()}"
            ),
            *alerts,
            *(f"{t.name}: {t.last_result} {t.last_error} holder {t.holder}" for t in tasks),
        ]
        for pool_id in POOLS:
            last = (await self.site.epochs(pool_id))[-1:]
            said += [f"{pool_id}: {e.epoch} {e.state} until {e.end_s} {e.note}" for e in last]
        return "\n".join([*said, self.output()])

    # -- a life ------------------------------------------------------------------

    def dice(self) -> random.Random:
        """The next life's choices."""
        self.life += 1
        return random.Random(f"{self.seed}:{self.life}")

    async def live(self, dice: random.Random, until: Callable[[], bool], what: str) -> None:
        """Go on until it is so."""
        deadline = time.monotonic() + LIFE_S
        while not until():
            assert time.monotonic() < deadline, f"never {what}: {await self.explain()}"
            await self.step(dice)

    async def step(self, dice: random.Random, *, acts: bool = True) -> None:
        """Somebody does something, time passes, a block comes, or goes."""
        if acts:
            await self._act(dice)
        self.clock.advance(dice.choice((0.2, 0.5, 1)))
        if dice.random() < 0.07:
            # All leases run out, those of the living too.
            self.node.increase_time(dice.choice((5, 20, EPOCH_S)))
            self.clock.advance(241)
        if self.mining:
            self.node.mine(dice.choice((1, 1, 2)))
            if acts and dice.random() < 0.12:
                self.node.reorg(dice.choice((1, 1, 2, 2, 3, 4, 5)))
                self.acts["reorg"] += 1
        async with self.site.store.begin() as tx:
            for name in _TASKS:
                await self._run_now(tx, name)
        await self._person_looks()
        await asyncio.sleep(0.05)

    async def _run_now(self, tx: Any, name: str) -> None:
        try:
            await run_now(tx, name, "campaign", self.clock)
        except MillpondError:
            assert self.life <= 1, "the first process writes the rows of tasks"

    async def _act(self, dice: random.Random) -> None:
        who = dice.choice(STAKERS)
        act = dice.choice(
            (
                self.deposit,
                self.deposit,
                self.ask,
                self.ask,
                self.claim,
                self.claim,
                self.take_out,
                self.redeem,
                self.hand_on,
                self.claim_on_chain,
                self.fund,
            )
        )
        try:
            await act(dice, who)
        except (MillpondError, NodeError):
            self.acts[f"{act.__name__} refused"] += 1
        else:
            self.acts[act.__name__] += 1

    # -- what people do -----------------------------------------------------------

    async def deposit(self, dice: random.Random, who: int) -> None:
        """Stake; approved once and for all at the beginning."""
        amount = dice.randrange(1, 50 * ONE)
        if dice.random() < 0.5:
            self.site.send(who, self.site.contract(DIRECT), "deposit", amount)
        else:
            vault = self.site.contract(VAULT)
            self.site.send(who, vault, "deposit", amount, self.site.wallet(who))

    async def ask(self, dice: random.Random, who: int) -> None:
        """Ask to be paid out; an open request is answered with itself."""
        _, balance = await self.site.position(who)
        if balance:
            self._note(self.asked, await self.site.ask(who, dice.randrange(1, balance + 1)))

    async def claim(self, dice: random.Random, who: int) -> None:
        """Ask for rewards, all or a part."""
        owed = await self.site.owed(DIRECT, who)
        if owed:
            amount = dice.choice((None, dice.randrange(1, owed + 1)))
            self._note(self.claimed, await self.site.claim(who, amount))

    async def take_out(self, dice: random.Random, who: int) -> None:
        """Leave the direct pool by oneself, past the platform."""
        balance = self.site.call(self.site.contract(DIRECT), "balance_of", self.site.wallet(who))
        if balance and dice.random() < 0.5:
            amount = dice.randrange(1, balance + 1)
            self.site.send(who, self.site.contract(DIRECT), "withdraw", amount)

    async def redeem(self, dice: random.Random, who: int) -> None:
        """Leave the vault."""
        wallet, vault = self.site.wallet(who), self.site.contract(VAULT)
        shares = self.site.call(vault, "balanceOf", wallet)
        if shares:
            # Whole tokens' worth of shares, so that nothing is rounded.
            part = dice.randrange(1, shares // 10**6 + 1) * 10**6
            self.site.send(who, vault, "redeem", part, wallet, wallet)

    async def hand_on(self, dice: random.Random, who: int) -> None:
        """Give shares to somebody else."""
        vault = self.site.contract(VAULT)
        shares = self.site.call(vault, "balanceOf", self.site.wallet(who)) // 10**6
        if shares:
            other = self.site.wallet(dice.choice(STAKERS))
            self.site.send(who, vault, "transfer", other, dice.randrange(1, shares + 1) * 10**6)

    async def claim_on_chain(self, dice: random.Random, who: int) -> None:
        """Claim a vault's rewards with the proof."""
        del dice
        await self.site.claim_on_chain(who)

    async def fund(self, dice: random.Random, who: int) -> None:
        """Somebody funds rewards; anybody may."""
        del who
        pool_id = dice.choice(POOLS)
        amount = dice.randrange(1, 3 * ONE)
        self.site.send(DAN, self.site.rewards_contract(pool_id), "fund", amount)

    @staticmethod
    def _note(asked: list[Any], one: Any) -> None:
        if all(one.id != other.id for other in asked):
            asked.append(one)

    # -- the person ----------------------------------------------------------------

    async def _person_looks(self) -> None:
        """Lets frozen transactions go on and disputed epochs stand, as a person would."""
        for intent in await self.intents(IntentState.FROZEN):
            if intent.id not in self.held:
                await self.person.release(intent.id, actor="anna", reason="the node is well again")
                self.acts["released"] += 1
        for pool_id in POOLS:
            for epoch in await self.site.epochs(pool_id):
                if epoch.state is EpochState.DISPUTED:
                    async with self.site.store.begin() as tx:
                        await self.epochs.accept(
                            tx, "anna", pool_id, epoch.epoch, reason="the chain turned back"
                        )
                    self.acts["accepted"] += 1

    held: frozenset[str] = frozenset()
    """Intents that the person leaves frozen."""

    async def intents(self, *states: IntentState) -> list[Intent]:
        """Intents in these states, or all."""
        async with self.site.store.read() as tx:
            found = await self.site.rooms.intents.listed(tx, limit=10_000)
        return [intent for intent in found if not states or intent.state in states]

    # -- beginning and end ----------------------------------------------------------

    async def begin(self) -> None:
        """Everybody stakes, rewards are funded, and the first process has seen it."""
        for pool_id in POOLS:
            for who in STAKERS:
                allowed = self.site.pools[pool_id].contract
                self.site.send(who, self.site.token, "approve", allowed, 2**256 - 1)
            rewards = self.site.rewards_contract(pool_id)
            self.site.send(DAN, self.site.token, "approve", rewards.address, 2**256 - 1)
            self.node.mine()
            self.site.send(DAN, rewards, "fund", 20 * ONE)
        vault = self.site.contract(VAULT)
        for who in STAKERS:
            self.site.send(who, self.site.contract(DIRECT), "deposit", 100 * ONE)
            self.site.send(who, vault, "deposit", 100 * ONE, self.site.wallet(who))
        self.node.mine()
        process = self.start()
        await self.rest()
        self.kill(process, AT_REST)

    async def leave(self) -> None:
        """Everybody takes out everything, and then all the rewards."""
        vault = self.site.contract(VAULT)
        for who in STAKERS:
            wallet = self.site.wallet(who)
            shares = self.site.call(vault, "balanceOf", wallet)
            if shares:
                self.site.send(who, vault, "redeem", shares, wallet, wallet)
            if (await self.site.position(who))[1]:
                self.asked.append(await self.site.ask(who))
        await self.rest()
        left_s = self.node.now_s()
        deadline = time.monotonic() + REST_S
        while min([(await self.site.epochs(pool_id))[-1].end_s for pool_id in POOLS]) < left_s:
            assert time.monotonic() < deadline, f"no epoch: {await self.explain()}"
            await self.step(random.Random(self.seed), acts=False)
        await self.rest()
        for who in STAKERS:
            if await self.site.owed(DIRECT, who):
                self.claimed.append(await self.site.claim(who))
            await self.site.claim_on_chain(who)
        await self.rest()

    # -- coming to rest -------------------------------------------------------------

    async def under_way(self) -> list[str]:
        """What has not come to its end."""
        open_intents = [i for i in await self.intents() if i.state not in FINAL]
        ends = {WithdrawalState.COMPLETED, WithdrawalState.FAILED}
        async with self.site.store.read() as tx:
            claims = await list_claims(tx, limit=1000)
        found = [f"intent {i.kind} {i.state} {i.reason}" for i in open_intents]
        found += [
            f"withdrawal {w.state} {w.reason}"
            for w in await self.site.withdrawals()
            if w.state not in ends
        ]
        finished = {ClaimState.PAID, ClaimState.FAILED}
        found += [f"claim {c.state} {c.reason}" for c in claims if c.state not in finished]
        behind = await self.site.booked_to() < self.goal
        return [*found, "the indexer is behind"] if behind else found

    async def rest(self) -> None:
        """No more faults; blocks come until nothing is under way."""
        self.proxy.clear()
        self.mining, self.goal = True, self.node.height()
        dice = random.Random(f"{self.seed}:rest:{self.life}")
        quiet, deadline = 0, time.monotonic() + REST_S
        while quiet < CONFIRMATIONS + 4:
            left = await self.under_way()
            assert time.monotonic() < deadline, f"{left}: {await self.explain()}"
            quiet = 0 if left else quiet + 1
            await self.step(dice, acts=False)
            await asyncio.sleep(0.1)
