"""Claims under way while the reward funds go away: the pool is followed, and people wait."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from millpond.clock import SeededEntropy
from millpond.intents import Intent, Intents
from millpond.money.model import Balance, Resolution, Transfer
from millpond.money.report import Verdict
from millpond.staking import accounts
from millpond.staking.audit import audit_pools
from millpond.staking.books import OVERPAID_ALERT, SHORTFALL_ALERT
from millpond.staking.indexer import Indexer
from millpond.staking.paying import HotWallet
from millpond.staking.restarting import STOPPED_ALERT
from millpond.staking.rewards.claims import Claim, ClaimBooks, Claims, ClaimState, listed
from millpond.staking.rewards.paying import BATCH, ClaimEffect, ClaimRun
from millpond.store import Store
from tests.staking.chain import wallet
from tests.staking.rewards.test_claims import OPERATOR, Gas, key_of, receipt
from tests.staking.rig import Rig, rig_for
from tests.staking.samples import CHAIN, TOKEN, direct_pool

POOL = "btcd-main-pool"
ALICE, BOB, CAROL, OWNER = wallet(1), wallet(2), wallet(3), wallet(4)
A, B = 75, 25
_S = ClaimState


@dataclass
class Thin:
    """A direct pool with 100 funded, all of it distributed: 75 to Alice, 25 to Bob."""

    rig: Rig
    claims: Claims
    intents: Intents
    run: ClaimRun
    effect: ClaimEffect
    gas: Gas

    @classmethod
    async def create(cls, store: Store) -> Thin:
        rig = await rig_for(store, [direct_pool()], risky=True)
        claims = Claims(rig.ledger, rig.risk, rig.clock, rig.ids)
        rig.indexer = Indexer(
            store,
            {CHAIN: rig.chain},
            ledger=rig.ledger,
            alerts=rig.alerts,
            clock=rig.clock,
            risk=rig.risk,
            claims=ClaimBooks(claims),
        )
        intents, gas = Intents(store, rig.clock, rig.ids, SeededEntropy(3)), Gas()
        wallets = {CHAIN: HotWallet(gas, OPERATOR)}
        run = ClaimRun(store, intents, claims, wallets, alerts=rig.alerts, ids=rig.ids)
        effect = ClaimEffect(claims, rig.alerts)
        rig.chain.deposit(POOL, ALICE, 500)
        rig.chain.mine(4)
        await cls(rig, claims, intents, run, effect, gas).see("Funded", sender=OWNER, amount=A + B)
        parts = [
            Transfer(
                who,
                accounts.reward_reserve(POOL, TOKEN.asset),
                accounts.rewards(POOL, who, TOKEN.asset),
                TOKEN.asset.amount(units),
                "epoch",
            )
            for who, units in ((ALICE, A), (BOB, B))
        ]
        async with store.begin() as tx:
            await rig.ledger.post(tx, parts)
        return cls(rig, claims, intents, run, effect, gas)

    async def see(self, event: str, **args: object) -> None:
        """The contract says it, as deep as the pool wants."""
        self.rig.chain.emit(POOL, event, **args)
        self.rig.chain.mine(3)
        await self.rig.index()

    async def pay(self, who: str, units: int, batch: Intent | str, *, event: str = "Paid") -> None:
        """A batch pays or keeps."""
        key = batch if isinstance(batch, str) else key_of(batch)
        await self.see(event, batch_id=bytes.fromhex(key[2:]), payee=who, amount=units)

    async def ask(self, who: str) -> Claim:
        self.rig.clock.advance(1)  # Identifiers sort by time.
        async with self.rig.store.begin() as tx:
            return await self.claims.request(tx, pool_id=POOL, wallet=who)

    async def batch(self) -> Intent:
        self.rig.clock.advance(1)
        assert await self.run.run_pool(self.rig.pools[0]) == ""
        async with self.rig.store.read() as tx:
            return (await self.intents.listed(tx, kind=BATCH.intent))[0]

    async def give_up(self, batch: Intent) -> None:
        """A person gives up a batch that was sent and may yet happen."""
        sent = msgspec.structs.replace(batch, sends=1)
        async with self.rig.store.begin() as tx:
            await self.effect.release(tx, sent, "abandoned by ann")

    async def now(self, claim: Claim) -> Claim:
        async with self.rig.store.read() as tx:
            return next(one for one in await listed(tx) if one.id == claim.id)

    async def owed(self, who: str) -> Balance:
        async with self.rig.store.read() as tx:
            return await self.rig.ledger.balance(tx, accounts.rewards(POOL, who, TOKEN.asset))

    async def funds(self) -> tuple[int, int]:
        """What the books have for rewards, and what is missing of it."""
        funds = await self.rig.balance(accounts.reward_funds(POOL, TOKEN.asset))
        missing = await self.rig.balance(accounts.shortfall(POOL, TOKEN.asset))
        return funds, missing

    async def check_followed(self) -> None:
        """What others do is booked too, and books, claims and chain say the same."""
        self.rig.chain.deposit(POOL, CAROL, 7)
        self.rig.chain.mine(3)
        await self.rig.index()
        assert STOPPED_ALERT not in await self.rig.open_alerts()
        await self.rig.check()
        async with self.rig.store.read() as tx:
            funds = accounts.reward_funds(POOL, TOKEN.asset)
            assert (await self.rig.ledger.balance(tx, funds)).outgoing.units == 0
        rows = await audit_pools(self.rig.store, self.rig.ledger, {CHAIN: self.rig.chain})
        drifts = {row.check for row in rows if row.verdict is not Verdict.OK}
        assert drifts == ({"distributed_le_funded"} if (await self.funds())[1] else set())


@pytest.fixture
async def thin(store: Store) -> Thin:
    return await Thin.create(store)


async def test_an_owner_who_takes_funds_back_lets_claims_wait_and_stops_nobody(thin: Thin):
    claim = await thin.ask(ALICE)
    await thin.see("Defunded", to=OWNER, amount=60)
    await thin.check_followed()
    assert await thin.funds() == (40, -60)
    assert SHORTFALL_ALERT in await thin.rig.open_alerts()
    thin.gas.available = 40
    assert "funds" in await thin.run.run_pool(thin.rig.pools[0])
    waiting = await thin.now(claim)
    assert (waiting.state, waiting.reserved) == (_S.PENDING, True)
    await thin.see("Funded", sender=OWNER, amount=60)
    assert await thin.funds() == (100, 0)
    thin.gas.available = 100
    await thin.pay(ALICE, A, await thin.batch())
    assert (await thin.now(claim)).state is _S.PAID
    assert (await thin.funds(), (await thin.owed(ALICE)).posted.units) == ((25, 0), 0)
    await thin.check_followed()


@pytest.mark.parametrize("under_way", [False, True], ids=["waits", "under-way"])
async def test_a_reorg_that_takes_funding_back_lets_claims_wait_and_stops_nobody(
    thin: Thin, under_way: bool
):
    claim = await thin.ask(ALICE)
    if under_way:
        await thin.batch()
    thin.rig.chain.reorg(3, keep=False, blocks=6)
    await thin.rig.index()
    await thin.check_followed()
    assert await thin.funds() == (0, -100)
    assert SHORTFALL_ALERT in await thin.rig.open_alerts()
    now = await thin.now(claim)
    assert (now.state, now.reserved) == (_S.PROCESSING if under_way else _S.PENDING, True)
    await thin.see("Funded", sender=OWNER, amount=100)
    assert await thin.funds() == (100, 0)
    assert (await thin.owed(ALICE)).outgoing.units == A


async def test_a_stolen_key_stops_nobody_while_all_that_is_owed_is_claimed(thin: Thin):
    await thin.ask(ALICE)
    await thin.batch()
    await thin.ask(BOB)
    await thin.pay(CAROL, 50, "0x" + "aa" * 32)
    await thin.check_followed()
    assert await thin.funds() == (50, -50)
    assert OVERPAID_ALERT in await thin.rig.open_alerts()


async def test_what_was_kept_can_be_fetched_while_funds_are_short_and_others_claim(thin: Thin):
    kept = await thin.ask(ALICE)
    await thin.pay(ALICE, A, await thin.batch(), event="Kept")
    assert (await thin.now(kept)).state is _S.PAID
    # The contract holds 75 for Alice; the rest, which is owed to Bob, may be taken back.
    await thin.see("Defunded", to=OWNER, amount=B)
    claim = await thin.ask(BOB)
    await thin.see("Claimed", payee=ALICE, amount=A, receiver=CAROL)
    await thin.check_followed()
    assert await thin.funds() == (0, -B)
    assert (await thin.now(claim)).state is _S.PENDING


async def test_a_batch_that_was_given_up_and_happens_stops_nobody(thin: Thin):
    first = await thin.ask(ALICE)
    given_up = await thin.batch()
    await thin.give_up(given_up)
    again = await thin.ask(ALICE)
    second = await thin.batch()
    await thin.ask(BOB)
    await thin.pay(ALICE, A, given_up)
    await thin.check_followed()
    assert await thin.funds() == (25, -A)
    assert [(await thin.now(c)).state for c in (first, again)] == [_S.PAID, _S.PROCESSING]
    # The contract has not the funds for it a second time.
    async with thin.rig.store.begin() as tx:
        await thin.effect.settle(tx, second, receipt(0))
    assert (await thin.now(again)).state is _S.PENDING


@pytest.mark.parametrize("first_again", [True, False], ids=["in-order", "second-first"])
async def test_a_reorg_takes_back_two_payments_of_what_was_owed_once(thin: Thin, first_again: bool):
    """The newer claim reserves what is owed; the older one's transaction decides without."""
    await thin.see("Funded", sender=OWNER, amount=A)
    one = await thin.ask(ALICE)
    first = await thin.batch()
    await thin.give_up(first)
    two = await thin.ask(ALICE)
    second = await thin.batch()
    await thin.pay(ALICE, A, first)
    await thin.pay(ALICE, A, second)
    assert await thin.funds() == (25, -A)
    thin.rig.chain.reorg(6, keep=False, blocks=9)
    await thin.rig.index()
    await thin.check_followed()
    assert await thin.funds() == (175, 0)
    states = [await thin.now(one), await thin.now(two)]
    assert [(c.state, c.reserved) for c in states] == [
        (_S.PROCESSING, False),
        (_S.PROCESSING, True),
    ]
    owed = await thin.owed(ALICE)
    assert (owed.posted.units, owed.available.units) == (A, 0)
    for batch in (first, second) if first_again else (second, first):
        await thin.pay(ALICE, A, batch)
    assert [(await thin.now(c)).state for c in (one, two)] == [_S.PAID, _S.PAID]
    assert await thin.funds() == (25, -A)
    await thin.check_followed()


async def test_a_claim_without_reservation_whose_transaction_is_reverted_fails(thin: Thin):
    await thin.see("Funded", sender=OWNER, amount=A)
    one = await thin.ask(ALICE)
    first = await thin.batch()
    await thin.give_up(first)
    await thin.ask(ALICE)
    second = await thin.batch()
    await thin.pay(ALICE, A, first)
    await thin.pay(ALICE, A, second)
    thin.rig.chain.reorg(6, keep=False, blocks=9)
    await thin.rig.index()
    async with thin.rig.store.begin() as tx:
        await thin.effect.settle(tx, first, receipt(0))
        await thin.effect.settle(tx, second, receipt(0))
    assert (await thin.now(one)).state is _S.FAILED
    await thin.pay(ALICE, A, await thin.batch())
    assert (await thin.owed(ALICE)).posted.units == 0
    await thin.check_followed()


@pytest.fixture
async def earlier(thin: Thin, monkeypatch: pytest.MonkeyPatch) -> Claim:
    """A claim of Alice that is reserved against the funds, as claims once were."""
    with monkeypatch.context() as old:
        funds = accounts.reward_funds(POOL, TOKEN.asset)
        old.setattr(accounts, "claiming", lambda *_: funds)
        claim = await thin.ask(ALICE)
    async with thin.rig.store.read() as tx:
        assert (await thin.rig.ledger.balance(tx, funds)).outgoing.units == A
    return claim


async def test_reservations_against_the_funds_are_made_anew_before_the_funds_move(
    thin: Thin, earlier: Claim
):
    other = await thin.ask(BOB)
    await thin.see("Defunded", to=OWNER, amount=60)
    await thin.check_followed()
    assert await thin.funds() == (40, -60)
    for claim, units in ((earlier, A), (other, B)):
        now, owed = await thin.now(claim), await thin.owed(claim.wallet)
        assert (now.state, now.reserved, owed.outgoing.units) == (_S.PENDING, True, units)
    await thin.see("Funded", sender=OWNER, amount=60)
    await thin.pay(ALICE, A, await thin.batch())
    assert (await thin.now(earlier)).state is _S.PAID
    await thin.check_followed()


async def test_a_reservation_against_the_funds_returns_when_its_claim_fails(
    thin: Thin, earlier: Claim
):
    async with thin.rig.store.begin() as tx:
        await thin.claims.fail(tx, [earlier], "asked to")
    assert (await thin.owed(ALICE)).available.units == A
    await thin.check_followed()


async def test_a_payment_that_was_booked_by_its_reservation_is_taken_back_like_any_other(
    thin: Thin, earlier: Claim, monkeypatch: pytest.MonkeyPatch
):
    batch = await thin.batch()

    async def not_yet(*_: object) -> None:
        """As it was, nothing was made anew."""

    async def resolved(self: ClaimBooks, tx, pool, event) -> None:
        """As it was, the payment was the reservation's own end."""
        hold = Resolution(f"{event.identity}:hold", earlier.hold_id, reference=event.reference)
        await thin.rig.ledger.post_pending(tx, [hold])

    with monkeypatch.context() as old:
        old.setattr(ClaimBooks, "ready", not_yet)
        old.setattr(ClaimBooks, "make_room", resolved)
        old.setattr("millpond.staking.books.transfer_of", lambda pool, event: None)
        await thin.pay(ALICE, A, batch)
    assert await thin.funds() == (25, 0)
    thin.rig.chain.reorg(3, keep=False, blocks=6)
    await thin.rig.index()
    await thin.check_followed()
    assert await thin.funds() == (100, 0)
    now = await thin.now(earlier)
    assert (now.state, now.reserved, now.hold) == (_S.PROCESSING, True, 2)
    await thin.pay(ALICE, A, batch)
    assert (await thin.now(earlier)).state is _S.PAID
    await thin.check_followed()
