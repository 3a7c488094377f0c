"""Orders are done once, also when they are given again."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import update

from millpond.chains.evm.operations import (
    Operation,
    OperationConflictError,
    OperationEffect,
    Operations,
    OperationState,
    OperationUndecidedError,
    Order,
)
from millpond.chains.evm.tx import Call, rows
from millpond.chains.evm.tx.model import Attempt, AttemptState, NonceState
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.intents import Intents, IntentState
from millpond.intents.tables import intent_table
from millpond.store import Store

SIGNER = "0x" + "11" * 20
ORDER = Order(
    key="fund:pool:may",
    group="fund:pool:may",
    what="fund 5",
    chain_id=31337,
    signer=SIGNER,
    call=Call(to="0x" + "22" * 20, data=b"\x01"),
)


class Desk:
    """Operations of one database, and an intent that a test plays to its end."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = ManualClock()
        entropy = SeededEntropy(3)
        self.ids = Ids(self.clock, entropy)
        self.intents = Intents(store, self.clock, self.ids, entropy)
        self.operations = Operations(self.intents)

    async def order(self, order: Order = ORDER, *, again: bool = False) -> Operation:
        self.clock.advance(1)
        async with self.store.begin() as tx:
            return await self.operations.order(tx, order, actor="ann", again=again)

    async def signed(self, operation: Operation) -> None:
        """Its nonce is used by a signed transaction."""
        async with self.store.begin() as tx:
            nonce = await rows.reserve(
                tx, 31337, SIGNER, operation.intent_id, count=0, now_ms=self.clock.now_ms()
            )
            await rows.change(tx, nonce, now_ms=self.clock.now_ms(), state=NonceState.USED)
            await rows.add_attempt(
                tx,
                Attempt(
                    id=self.ids.new(),
                    chain_id=31337,
                    signer=SIGNER,
                    nonce=nonce.nonce,
                    attempt=1,
                    intent_id=operation.intent_id,
                    tx_hash="0x" + f"{nonce.nonce:064x}",
                    raw=b"raw",
                    to_address=ORDER.call.to,
                    value=0,
                    data=b"\x01",
                    gas=21_000,
                    max_fee=1,
                    max_priority_fee=1,
                    state=AttemptState.SENT,
                    sends=1,
                    answer="",
                    created_ms=0,
                    sent_ms=0,
                ),
            )

    async def abandoned(self, operation: Operation, *, sends: int) -> None:
        """A person gave it up."""
        async with self.store.begin() as tx:
            state = {"state": IntentState.ABANDONED.value, "sends": sends}
            where = intent_table.c.id == operation.intent_id
            await tx.execute(update(intent_table).where(where).values(**state))
            intent = await self.intents.get(tx, operation.intent_id)
            nonce = await rows.nonce_of_intent(tx, intent.id)
            if nonce is not None:
                await rows.change(tx, nonce, now_ms=1, state=NonceState.FILLING)
            await OperationEffect(self.clock, self.store).release(tx, intent, "ann: it hangs")

    async def used_up(self, operation: Operation, mined: bool) -> None:
        """The chain has the nonce for good."""
        async with self.store.begin() as tx:
            nonce = await rows.nonce_of_intent(tx, operation.intent_id)
            assert nonce is not None
            done = NonceState.DONE if mined else NonceState.FOREIGN
            await rows.change(tx, nonce, now_ms=2, state=done)
            tx_hash = "0x" + f"{nonce.nonce:064x}" if mined else None
            await rows.settle_attempts(tx, 31337, SIGNER, nonce.nonce, tx_hash)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


async def test_the_same_order_is_answered_with_the_first(desk: Desk):
    first = await desk.order()
    assert await desk.order() == first
    assert await desk.order(again=True) == first
    other = msgspec.structs.replace(ORDER, call=Call(to=ORDER.call.to, data=b"\x02"))
    with pytest.raises(OperationConflictError):
        await desk.order(other)


async def test_what_never_left_may_be_ordered_again(desk: Desk):
    first = await desk.order()
    await desk.abandoned(first, sends=0)
    assert (await desk.order()).state is OperationState.FAILED
    second = await desk.order(again=True)
    assert (second.attempt, second.state) == (2, OperationState.UNDER_WAY)
    assert second.intent_id != first.intent_id


async def test_what_was_given_up_after_it_left_is_not_done_twice(desk: Desk):
    first = await desk.order()
    await desk.signed(first)
    await desk.abandoned(first, sends=1)
    with pytest.raises(OperationUndecidedError, match="may still happen"):
        await desk.order(again=True)
    await desk.used_up(first, mined=True)
    with pytest.raises(OperationUndecidedError, match="has happened"):
        await desk.order(again=True)
    assert (await desk.order()).intent_id == first.intent_id


async def test_what_was_given_up_and_is_dead_may_be_ordered_again(desk: Desk):
    first = await desk.order()
    await desk.signed(first)
    await desk.abandoned(first, sends=1)
    await desk.used_up(first, mined=False)
    assert (await desk.order(again=True)).attempt == 2
