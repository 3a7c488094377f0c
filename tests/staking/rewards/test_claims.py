"""Rewards of direct pools are claimed: reserved when asked for, paid once, booked by the chain."""

from __future__ import annotations

import msgspec
import pytest

from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.tx import Call, CallRevertedError, Market
from millpond.chains.evm.types import Receipt
from millpond.intents import Intent, Intents
from millpond.risk import HoldKind, RiskEngine, Scope
from millpond.staking import accounts
from millpond.staking.books import OVERPAID_ALERT, Bookkeeper
from millpond.staking.model import Event, EventKind, EventState
from millpond.staking.paying import GAS_ALERT, NO_GAS, HotWallet
from millpond.staking.pools import create_pool
from millpond.staking.rewards.claims import Claim, ClaimBooks, Claims, ClaimState, listed
from millpond.staking.rewards.errors import ClaimRefusedError
from millpond.staking.rewards.paying import BATCH, ClaimEffect, ClaimRun
from millpond.store import Store
from tests.staking.rewards.chain import ALICE, BOB, CAROL, E18, World, vault, wallet

OPERATOR = wallet(0x99)


class Gas:
    """The paying side of a chain."""

    wei = 10**20
    refuses = ""
    available = 10**30

    async def balance(self, address: str) -> int:
        return self.wei

    async def market(self) -> Market:
        return Market(10**10, 10**9)

    async def simulate(self, sender: str, call: Call) -> bytes:
        if self.refuses:
            raise CallRevertedError(self.refuses)
        _, args = Contract.named("BatchPayout", call.to).decode_input(call.data)
        if sum(args[2]) > self.available:
            raise CallRevertedError("funds")
        return b""


class Desk:
    """A pool in which Alice earned 7.5 and Bob 2.5."""

    def __init__(self, store: Store) -> None:
        self.world = World(store)
        self.store = store
        world = self.world
        self.pool = world.pool
        self.risk = RiskEngine(world.ledger, world.clock, world.ids)
        self.claims = Claims(world.ledger, self.risk, world.clock, world.ids)
        self.intents = Intents(store, world.clock, world.ids, world.entropy)
        self.gas = Gas()
        wallets = {self.pool.chain_id: HotWallet(self.gas, OPERATOR)}
        self.run = ClaimRun(
            store, self.intents, self.claims, wallets, alerts=world.alerts, ids=world.ids
        )
        self.effect = ClaimEffect(self.claims, world.alerts)
        self.books = Bookkeeper(
            world.ledger, world.alerts, world.clock, claims=ClaimBooks(self.claims)
        )

    async def ask(self, who: str, amount: int | None = None) -> Claim:
        self.world.clock.advance(1)  # Identifiers sort by time.
        async with self.store.begin() as tx:
            return await self.claims.request(
                tx, pool_id=self.pool.pool_id, wallet=who, amount=amount
            )

    async def now(self, claim: Claim) -> Claim:
        async with self.store.read() as tx:
            return next(one for one in await listed(tx) if one.id == claim.id)

    async def batch(self) -> Intent:
        self.world.clock.advance(1)
        assert await self.run.run_pool(self.pool) == ""
        async with self.store.read() as tx:
            return (await self.intents.listed(tx, kind=BATCH.intent))[0]

    def event(self, kind: EventKind, who: str, amount: int, key: str, *, round_: int = 0) -> Event:
        self.world.seq += 1
        return Event(
            pool_id=self.pool.pool_id,
            seq=self.world.seq,
            block_number=9,
            block_hash="0x" + "11" * 32,
            block_time_s=9,
            tx_hash="0x" + key[2:4] * 32,
            log_index=0,
            ordinal=int(who[-2:], 16),
            round=round_,
            kind=kind,
            wallet=who,
            amount=amount,
            balance=None,
            details={"batch_id": key},
            state=EventState.BOOKED,
        )

    async def book(self, *events: Event) -> None:
        async with self.store.begin() as tx:
            await self.books.book(tx, self.pool, list(events))

    async def owed(self, who: str) -> tuple[int, int]:
        """Posted and free."""
        account = accounts.rewards(self.pool.pool_id, who, self.pool.asset)
        async with self.store.read() as tx:
            assert await self.world.ledger.verify(tx) == []
            balance = await self.world.ledger.balance(tx, account)
        return balance.posted.units, balance.available.units

    async def missing(self) -> int:
        """What left of the funds and was owed to nobody, or owed and taken away."""
        account = accounts.shortfall(self.pool.pool_id, self.pool.asset)
        async with self.store.read() as tx:
            return -(await self.world.ledger.balance(tx, account)).posted.units

    async def funds(self) -> int:
        account = accounts.reward_funds(self.pool.pool_id, self.pool.asset)
        async with self.store.read() as tx:
            return (await self.world.ledger.balance(tx, account)).posted.units


A, B = 75 * E18 // 10, 25 * E18 // 10


async def desk_with(store: Store, funded: int) -> Desk:
    desk = Desk(store)
    world = await desk.world.create()
    await world.fund(0, funded)
    await world.hold(1, ALICE, 3)
    await world.hold(1, BOB, 1)
    await world.mark(900)
    await world.close_all()
    return desk


@pytest.fixture
async def desk(sqlite_store: Store) -> Desk:
    return await desk_with(sqlite_store, 100 * E18)


@pytest.fixture
async def thin(sqlite_store: Store) -> Desk:
    """All that was funded is owed."""
    return await desk_with(sqlite_store, A + B)


def key_of(intent: Intent) -> str:
    return str(intent.payload["chain_key"])


def receipt(status: int) -> Receipt:
    return Receipt(
        tx_hash="0x",
        tx_index=0,
        block_number=1,
        block_hash="0x",
        sender=OPERATOR,
        to=None,
        status=status,
        gas_used=1,
        effective_gas_price=1,
        contract_address=None,
        logs=(),
    )


async def test_a_claim_reserves_is_paid_by_a_batch_and_booked_by_its_event(desk: Desk):
    one, two = await desk.ask(ALICE), await desk.ask(BOB, E18)
    assert (one.amount, two.amount) == (A, E18)
    assert await desk.owed(ALICE) == (A, 0)
    assert await desk.ask(ALICE) == one
    with pytest.raises(ClaimRefusedError):
        await desk.ask(ALICE, 5)
    intent = await desk.batch()
    call = await desk.effect.call(intent)
    assert call.to == desk.pool.rewards_contract
    name, args = Contract.named("BatchPayout", call.to).decode_input(call.data)
    assert name == "pay"
    assert [list(part) for part in args[1:]] == [[ALICE, BOB], [A, E18]]
    assert (await desk.now(one)).state is ClaimState.PROCESSING

    paid = [
        desk.event(EventKind.REWARD_PAID, who, units, key_of(intent))
        for who, units in ((ALICE, A), (BOB, E18))
    ]
    await desk.book(*paid)
    assert (await desk.now(one)).state is ClaimState.PAID
    assert (await desk.owed(ALICE), await desk.owed(BOB)) == ((0, 0), (B - E18, B - E18))
    assert await desk.funds() == 100 * E18 - A - E18
    async with desk.store.begin() as tx:
        await desk.effect.settle(tx, intent, receipt(1))
    assert (await desk.now(one)).state is ClaimState.PAID


async def test_what_the_contract_keeps_stays_owed_by_another_account(desk: Desk):
    claim = await desk.ask(ALICE)
    intent = await desk.batch()
    await desk.book(desk.event(EventKind.REWARD_KEPT, ALICE, A, key_of(intent)))
    now = await desk.now(claim)
    assert (now.state, "keeps it" in now.reason) == (ClaimState.PAID, True)
    assert await desk.owed(ALICE) == (0, 0)
    kept = accounts.kept(desk.pool.pool_id, ALICE, desk.pool.asset)
    async with desk.store.read() as tx:
        assert (await desk.world.ledger.balance(tx, kept)).posted.units == A
    assert await desk.funds() == 100 * E18


async def test_a_payment_that_the_chain_takes_back_is_reserved_again(desk: Desk):
    claim = await desk.ask(ALICE)
    intent = await desk.batch()
    event = desk.event(EventKind.REWARD_PAID, ALICE, A, key_of(intent))
    await desk.book(event)
    async with desk.store.begin() as tx:
        await desk.books.undo(tx, desk.pool, [event])
    assert (await desk.now(claim)).state is ClaimState.PROCESSING
    assert await desk.owed(ALICE) == (A, 0)
    await desk.book(desk.event(EventKind.REWARD_PAID, ALICE, A, key_of(intent), round_=1))
    assert (await desk.now(claim)).state is ClaimState.PAID
    assert await desk.owed(ALICE) == (0, 0)


async def test_a_batch_that_came_to_nothing_is_made_again_unless_it_may_yet_happen(desk: Desk):
    claim = await desk.ask(ALICE)
    intent = await desk.batch()
    async with desk.store.begin() as tx:
        await desk.effect.settle(tx, intent, receipt(0))
    assert (await desk.now(claim)).state is ClaimState.PENDING
    second = await desk.batch()
    assert key_of(second) != key_of(intent)
    async with desk.store.begin() as tx:
        await desk.effect.release(tx, second, "refused")
    assert (await desk.now(claim)).state is ClaimState.PENDING
    third = await desk.batch()
    async with desk.store.begin() as tx:
        await desk.effect.release(tx, msgspec.structs.replace(third, sends=1), "given up")
    assert (await desk.now(claim)).state is ClaimState.FAILED
    assert await desk.owed(ALICE) == (A, A)
    async with desk.store.read() as tx:
        assert await desk.world.alerts.find_open(tx, BATCH.refused_alert, desk.pool.pool_id)
    # It was mined after all: booked, although a new claim waits for the same money.
    again = await desk.ask(ALICE)
    await desk.book(desk.event(EventKind.REWARD_PAID, ALICE, A, key_of(third)))
    assert (await desk.now(claim)).state is ClaimState.PAID
    assert (await desk.now(again)).state is ClaimState.FAILED
    assert await desk.owed(ALICE) == (0, 0)


async def test_a_payment_of_what_nobody_is_owed_is_missing_from_the_funds(thin: Desk):
    """Also while all that is owed is asked for, of funds that are just enough for it."""
    await thin.ask(ALICE)
    await thin.ask(BOB)
    await thin.book(thin.event(EventKind.REWARD_PAID, CAROL, 1, "0x" + "77" * 32))
    async with thin.store.read() as tx:
        assert await thin.world.alerts.find_open(tx, OVERPAID_ALERT, thin.pool.pool_id)
    assert (await thin.missing(), await thin.funds()) == (1, A + B - 1)


async def test_a_claim_paid_twice_because_it_was_given_up_stops_nobody(thin: Desk):
    """Also while all the funds are asked for; the contract needs more for the second time."""
    desk = thin
    await desk.ask(ALICE)
    first = await desk.batch()
    async with desk.store.begin() as tx:
        given_up = msgspec.structs.replace(first, sends=1)
        await desk.effect.release(tx, given_up, "given up")
    again = await desk.ask(ALICE)
    second = await desk.batch()
    await desk.ask(BOB)
    await desk.book(desk.event(EventKind.REWARD_PAID, ALICE, A, key_of(first)))
    assert (await desk.missing(), await desk.funds()) == (A, B)
    await desk.book(desk.event(EventKind.FUNDED, CAROL, A, "0x" + "77" * 32))
    await desk.book(desk.event(EventKind.REWARD_PAID, ALICE, A, key_of(second), round_=1))
    assert (await desk.now(again)).state is ClaimState.PAID
    assert (await desk.owed(ALICE), await desk.owed(BOB)) == ((0, 0), (B, 0))
    assert (await desk.missing(), await desk.funds()) == (0, B)


async def test_a_shortage_of_gas_or_a_refusing_contract_lets_claims_wait(desk: Desk):
    claim = await desk.ask(ALICE)
    desk.gas.wei = 5
    assert await desk.run.run_pool(desk.pool) == NO_GAS
    desk.gas.wei, desk.gas.refuses = 10**20, "paused"
    assert "paused" in (await desk.run.run_once())[desk.pool.pool_id]
    async with desk.store.read() as tx:
        kinds = {alert.kind for alert in await desk.world.alerts.open(tx)}
    assert kinds == {BATCH.refused_alert}
    desk.gas.refuses = ""
    await desk.batch()
    assert (await desk.now(claim)).state is ClaimState.PROCESSING
    async with desk.store.read() as tx:
        assert not await desk.world.alerts.open(tx, kinds={GAS_ALERT, BATCH.refused_alert})


async def test_claims_that_are_held_wait_and_say_why(desk: Desk):
    claim = await desk.ask(ALICE)
    pool = desk.pool
    async with desk.store.begin() as tx:
        hold = await desk.risk.trip(
            tx,
            HoldKind.RECONCILIATION,
            Scope.pool(pool.pool_id),
            "less is there than the books say",
            asset=pool.asset.code,
        )
    assert await desk.run.run_pool(pool) == "claims are held: less is there than the books say"
    assert (await desk.now(claim)).state is ClaimState.PENDING
    async with desk.store.begin() as tx:
        await desk.risk.reset_breaker(tx, "ann", hold.id, "found", role=hold.reset_role)
    await desk.batch()


async def test_a_claim_too_large_for_the_funds_does_not_hold_up_those_before_it(desk: Desk):
    small, large = await desk.ask(BOB, E18), await desk.ask(ALICE)
    desk.gas.available = 2 * E18
    assert "funds" in await desk.run.run_pool(desk.pool)
    assert (await desk.now(small)).state is ClaimState.PROCESSING
    assert (await desk.now(large)).state is ClaimState.PENDING
    async with desk.store.read() as tx:
        assert len(await desk.intents.listed(tx, kind=BATCH.intent)) == 1
        assert await desk.world.alerts.find_open(tx, BATCH.refused_alert, desk.pool.pool_id)
    desk.gas.available = A
    assert await desk.run.run_pool(desk.pool) == ""
    assert (await desk.now(large)).state is ClaimState.PROCESSING


async def test_people_see_why_their_claim_waits(desk: Desk):
    claim = await desk.ask(ALICE)
    intent = await desk.batch()
    waiting = msgspec.structs.replace(intent, reason="gas costs more than the cap")
    async with desk.store.begin() as tx:
        await desk.effect.changed(tx, intent, waiting)
    assert (await desk.now(claim)).reason == "gas costs more than the cap"


async def test_what_cannot_be_claimed_is_refused(desk: Desk):
    for who, amount in ((CAROL, None), (ALICE, A + 1), (ALICE, 0), (ALICE, -1)):
        with pytest.raises(ClaimRefusedError):
            await desk.ask(who, amount)
    other = vault()
    async with desk.store.begin() as tx:
        await create_pool(tx, other, desk.world.clock)
        with pytest.raises(ClaimRefusedError, match="on chain"):
            await desk.claims.request(tx, pool_id=other.pool_id, wallet=ALICE)
    assert await desk.owed(ALICE) == (A, A)
