"""State machines: random people do random things, and the invariants hold after each.

`MILLPOND_CONTRACT_EXAMPLES` sets how many runs each machine makes.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.contracts.chain import Deployed, RevertedError
from tests.contracts.merkle import tree
from tests.contracts.worlds import DAY, World, batch, odd

RUNS = settings(
    max_examples=int(os.environ.get("MILLPOND_CONTRACT_EXAMPLES", "10")),
    stateful_step_count=25,
    deadline=None,
    derandomize="MILLPOND_CONTRACT_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
USERS = st.integers(0, 2)
AMOUNTS = st.one_of(st.integers(1, 50), st.integers(1, 10**6))
WAYS = st.sampled_from(["", "", "refuses", "lies", "hungry"])
SHARE = 10**6


class _Machine(RuleBasedStateMachine):
    """People with tokens, some of whom the token treats badly."""

    world: World

    def start(self) -> None:
        self.world = World(odd=True)
        self.batches = 0
        self.hungry: set[str] = set()

    def open(self, *contracts: Deployed) -> None:
        for user in self.world.users:
            self.world.give(user, 10**9, *contracts)

    def user(self, index: int) -> str:
        return str(self.world.users[index])

    def send(self, contract: Deployed, sender: str, name: str, *args: Any) -> Any:
        """The receipt, or None when it was refused."""
        try:
            # A token that burns all gas is given little of it, or the story takes all day.
            some = {"gas": 1_000_000} if sender in self.hungry else {}
            return contract.send(sender, name, *args, **some)
        except RevertedError as error:
            # A token that burns all gas for a user leaves none for saying why.
            if error.reason == "panic" or (not error.reason and sender not in self.hungry):
                raise
            return None

    @rule(who=USERS, way=WAYS)
    def treat(self, who: int, way: str) -> None:
        odd(self.world, self.user(who), **({way: True} if way else {}))
        change = self.hungry.add if way == "hungry" else self.hungry.discard
        change(self.user(who))


class StakingPoolMachine(_Machine):
    """total = Σ balances ≤ the pool's tokens; each user's tokens and stake are what they had."""

    @initialize()
    def begin(self) -> None:
        self.start()
        self.pool = self.world.pool()
        self.open(self.pool)
        self.stake = dict.fromkeys(self.world.users, 0)

    @rule(who=USERS, amount=AMOUNTS)
    def deposit(self, who: int, amount: int) -> None:
        if self.send(self.pool, self.user(who), "deposit", amount):
            self.stake[self.user(who)] += amount

    @rule(who=USERS, amount=AMOUNTS)
    def withdraw(self, who: int, amount: int) -> None:
        if self.send(self.pool, self.user(who), "withdraw", amount):
            self.stake[self.user(who)] -= amount

    @rule(entries=st.lists(st.tuples(USERS, st.integers(0, 10**6)), min_size=1, max_size=6))
    def pay(self, entries: list[tuple[int, int]]) -> None:
        self.batches += 1
        users = [self.user(who) for who, _ in entries]
        amounts = [amount for _, amount in entries]
        operator = self.world.operator
        receipt = self.pool.send(operator, "pay_withdrawals", batch(self.batches), users, amounts)
        paid, skipped = receipt.named("Withdrawn"), receipt.named("WithdrawalSkipped")
        assert len(paid) + len(skipped) == len(entries)
        for event in paid:
            self.stake[event["user"]] -= event["amount"]

    @rule(amount=AMOUNTS)
    def donate(self, amount: int) -> None:
        self.world.give(self.pool, amount)

    @rule()
    def rescue(self) -> None:
        self.send(self.pool, self.world.owner, "rescue", self.world.token, self.world.owner)

    @invariant()
    def books(self) -> None:
        balances = {user: self.pool.call("balance_of", user) for user in self.world.users}
        assert balances == self.stake
        assert self.pool.call("total_staked") == sum(balances.values())
        assert sum(balances.values()) <= self.world.balance(self.pool)
        for user in self.world.users:
            assert self.world.balance(user) + balances[user] == 10**9


class BatchPayoutMachine(_Machine):
    """paid + kept = total of each batch, each id once; available + owed ≤ the contract's tokens."""

    @initialize()
    def begin(self) -> None:
        self.start()
        self.payout = self.world.payout()
        self.world.give(self.world.mallory, 10**12, self.payout)
        self.funded = 0
        self.due = dict.fromkeys(self.world.users, 0)

    @rule(amount=AMOUNTS)
    def fund(self, amount: int) -> None:
        self.payout.send(self.world.mallory, "fund", amount)
        self.funded += amount

    @rule(amount=AMOUNTS)
    def defund(self, amount: int) -> None:
        if self.send(self.payout, self.world.owner, "defund", amount, self.world.owner):
            self.funded -= amount

    @rule(entries=st.lists(st.tuples(USERS, AMOUNTS), min_size=1, max_size=6), again=st.booleans())
    def pay(self, entries: list[tuple[int, int]], *, again: bool) -> None:
        self.batches += 0 if again else 1
        used = self.payout.call("batch_done", batch(self.batches))
        users = [self.user(who) for who, _ in entries]
        amounts = [amount for _, amount in entries]
        available = self.payout.call("available")
        args = (batch(self.batches), users, amounts)
        receipt = self.send(self.payout, self.world.operator, "pay", *args)
        assert bool(receipt) == (not used and sum(amounts) <= available)
        if receipt:
            told = receipt.named("Paid") + receipt.named("Kept")
            assert sum(event["amount"] for event in told) == sum(amounts)
            for user, amount in zip(users, amounts, strict=True):
                self.due[user] += amount

    @rule(who=USERS, to=USERS)
    def claim(self, who: int, to: int) -> None:
        if self.send(self.payout, self.user(who), "claim", self.user(to)):
            # Claimed to another address: theirs to give.
            amount = self.world.balance(self.user(to)) - self._had[self.user(to)]
            self.due[self.user(who)] -= amount
            self.due[self.user(to)] += amount

    @invariant()
    def books(self) -> None:
        self._had = {user: self.world.balance(user) for user in self.world.users}
        kept = {user: self.payout.call("claimable", user) for user in self.world.users}
        assert {user: self._had[user] + kept[user] for user in self.world.users} == self.due
        available, owed = self.payout.call("available"), self.payout.call("owed")
        assert owed == sum(kept.values())
        assert available + owed == self.world.balance(self.payout)
        assert available == self.funded - sum(self.due.values())


class RewardDistributorMachine(_Machine):
    """claimed ≤ distributed ≤ funded, and nobody gets more than their leaf."""

    @initialize()
    def begin(self) -> None:
        self.start()
        self.distributor = self.world.distributor()
        self.world.give(self.world.mallory, 10**12, self.distributor)
        self.earned = dict.fromkeys(self.world.users, 0)
        self.epochs: list[dict[str, int]] = [{}]

    @rule(amount=AMOUNTS)
    def fund(self, amount: int) -> None:
        self.distributor.send(self.world.mallory, "fund", amount)

    @rule(amount=AMOUNTS)
    def defund(self, amount: int) -> None:
        self.send(self.distributor, self.world.owner, "defund", amount, self.world.owner)

    @rule(shares=st.tuples(AMOUNTS, AMOUNTS, AMOUNTS))
    def post(self, shares: tuple[int, int, int]) -> None:
        users = self.world.users
        entries = {user: self.earned[user] + n for user, n in zip(users, shares, strict=True)}
        room = self.distributor.call("funded") - self.distributor.call("distributed")
        root, _ = tree(entries)
        args = (len(self.epochs), root, sum(shares), bytes(32))
        receipt = self.send(self.distributor, self.world.operator, "post_epoch", *args)
        assert bool(receipt) == (sum(shares) <= room)
        if receipt:
            self.earned = entries
            self.epochs.append(entries)

    @precondition(lambda self: len(self.epochs) > 1)
    @rule(who=USERS, back=st.integers(0, 3))
    def claim(self, who: int, back: int) -> None:
        entries = self.epochs[max(1, len(self.epochs) - 1 - back)]
        _, proofs = tree(entries)
        user = self.user(who)
        before = self.world.balance(user)
        args = (user, entries[user], proofs[user])
        receipt = self.send(self.distributor, user, "claim", *args)
        if receipt:
            assert entries == self.earned
            assert self.world.balance(user) == entries[user] > before

    @invariant()
    def books(self) -> None:
        funded, distributed, claimed = (
            self.distributor.call(name) for name in ("funded", "distributed", "claimed_total")
        )
        assert claimed <= distributed <= funded
        assert self.world.balance(self.distributor) == funded - claimed
        assert distributed == sum(self.earned.values())
        for user in self.world.users:
            taken = self.distributor.call("claimed", user)
            assert self.world.balance(user) == taken <= self.earned[user]


class VaultMachine(_Machine):
    """Assets cover shares, queue and unclaimed; the rate falls only by a declared loss; the queue
    is paid in order; nobody takes out more than they put in, but for what others lost to rounding.
    """

    @initialize()
    def begin(self) -> None:
        self.start()
        self.vault = self.world.vault()
        self.open(self.vault)
        self.treasury = self.world.others[0]
        self.world.token.send(self.treasury, "approve", self.vault, 2**255)
        self.vault.send(self.world.owner, "set_deployment", self.treasury, 10**8)
        self.rate = (1, SHARE)
        self.promised: dict[int, tuple[str, int]] = {}
        self.lost = False

    def _ask(self, who: int, name: str, preview: str, amount: int, *args: Any) -> None:
        expected = self.vault.call(preview, amount)
        receipt = self.send(self.vault, self.user(who), name, amount, *args)
        if receipt:
            assert receipt.value == expected

    @rule(who=USERS, to=USERS, assets=AMOUNTS)
    def deposit(self, who: int, to: int, assets: int) -> None:
        self._ask(who, "deposit", "previewDeposit", assets, self.user(to))

    @rule(who=USERS, shares=st.integers(1, 10**13))
    def mint(self, who: int, shares: int) -> None:
        self._ask(who, "mint", "previewMint", shares, self.user(who))

    @rule(who=USERS, most=st.booleans(), part=AMOUNTS)
    def withdraw(self, who: int, most: bool, part: int) -> None:
        user = self.user(who)
        odd(self.world, user)
        limit = self.vault.call("maxWithdraw", user)
        assets = limit if most else min(part, limit)
        if assets:
            expected = self.vault.call("previewWithdraw", assets)
            assert self.vault.send(user, "withdraw", assets, user, user).value == expected

    @rule(who=USERS, most=st.booleans(), part=AMOUNTS)
    def redeem(self, who: int, most: bool, part: int) -> None:
        user = self.user(who)
        odd(self.world, user)
        limit = self.vault.call("maxRedeem", user)
        shares = limit if most else min(part * SHARE, limit)
        expected = self.vault.call("previewRedeem", shares)
        if expected:
            assert self.vault.send(user, "redeem", shares, user, user).value == expected

    @rule(who=USERS, to=USERS, part=AMOUNTS)
    def request(self, who: int, to: int, part: int) -> None:
        user = self.user(who)
        shares = min(part * SHARE, self.vault.call("balanceOf", user))
        args = (shares, self.user(to), user)
        receipt = self.send(self.vault, user, "request_redeem", *args)
        if receipt:
            (told,) = receipt.named("RedeemRequested")
            self.promised[told["id"]] = (told["receiver"], told["assets"])

    @rule(most=st.integers(0, 5))
    def process(self, most: int) -> None:
        head = self.vault.call("queue_head")
        receipt = self.vault.send(self.world.operator, "process_queue", most)
        left = receipt.named("RedeemPaid") + receipt.named("RedeemClaimable")
        assert sorted(event["id"] for event in left) == list(range(head, head + receipt.value))
        for event in left:
            assert self.promised[event["id"]] == (event["receiver"], event["assets"])
        for event in receipt.named("RedeemPaid"):
            del self.promised[event["id"]]

    @precondition(lambda self: self.promised)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.promised)))
        if self.send(self.vault, self.world.mallory, "claim_queued", number):
            del self.promised[number]

    @rule(amount=AMOUNTS)
    def lend(self, amount: int) -> None:
        self.send(self.vault, self.world.operator, "deploy_funds", amount)

    @rule(amount=AMOUNTS)
    def give_back(self, amount: int) -> None:
        amount = min(amount, self.vault.call("deployed_assets"))
        if amount:
            self.vault.send(self.treasury, "return_funds", amount)

    @rule(amount=AMOUNTS)
    def lose(self, amount: int) -> None:
        lost = min(amount, self.vault.call("deployed_assets"), self.vault.call("totalAssets") // 2)
        if lost:
            self.vault.send(self.world.owner, "report_loss", lost)
            self.rate = (0, 1)
            self.lost = True

    @rule(amount=AMOUNTS)
    def donate(self, amount: int) -> None:
        self.world.give(self.vault, amount)

    @rule()
    def rescue(self) -> None:
        self.send(self.vault, self.world.owner, "rescue", self.world.token, self.world.owner)

    @rule(days=st.integers(0, 8))
    def wait(self, days: int) -> None:
        self.world.chain.travel(days * DAY)

    @invariant()
    def books(self) -> None:
        total, queued, unclaimed, deployed = (
            self.vault.call(name)
            for name in ("totalAssets", "queued_assets", "unclaimed_assets", "deployed_assets")
        )
        assert self.world.balance(self.vault) + deployed >= total + queued + unclaimed
        assert queued + unclaimed == sum(assets for _, assets in self.promised.values())
        supply = self.vault.call("totalSupply")
        held = [self.vault.call("balanceOf", user) for user in self.world.users]
        assert supply == sum(held)
        assert sum(self.vault.call("convertToAssets", shares) for shares in held) <= total
        rate = (total + 1, supply + SHARE)
        assert rate[0] * self.rate[1] >= self.rate[0] * rate[1]
        self.rate = rate

    @invariant()
    def nobody_gains(self) -> None:
        due = sum(assets for _, assets in self.promised.values())
        wealth = sum(
            self.world.balance(user)
            + self.vault.call("convertToAssets", self.vault.call("balanceOf", user))
            for user in self.world.users
        )
        assert wealth + due <= 3 * 10**9


TestStakingPoolMachine = StakingPoolMachine.TestCase
TestStakingPoolMachine.settings = RUNS
TestBatchPayoutMachine = BatchPayoutMachine.TestCase
TestBatchPayoutMachine.settings = RUNS
TestRewardDistributorMachine = RewardDistributorMachine.TestCase
TestRewardDistributorMachine.settings = RUNS
TestVaultMachine = VaultMachine.TestCase
TestVaultMachine.settings = RUNS
