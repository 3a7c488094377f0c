"""Fundings of one pool do not cross, and what came to nothing goes on when it is ordered again."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import update

from millpond.chains.evm.operations import (
    Operation,
    OperationConflictError,
    OperationEffect,
    Operations,
    OperationState,
)
from millpond.chains.evm.operations.tables import operation_table
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.intents import Intents, NotReadyError
from millpond.staking.funding import order_funding
from millpond.staking.pools import StakingPool, create_pool
from millpond.store import Store
from tests.staking.chain import wallet
from tests.staking.samples import direct_pool, vault_pool

SIGNER = wallet(9)
DONE, FAILED, UNDER_WAY = OperationState.DONE, OperationState.FAILED, OperationState.UNDER_WAY


class Desk:
    """Two pools to fund, and a worker that a test plays. No time passes between orders."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = ManualClock()
        entropy = SeededEntropy(3)
        self.intents = Intents(store, self.clock, Ids(self.clock, entropy), entropy)
        self.operations = Operations(self.intents)
        self.effect = OperationEffect(self.clock, store)
        self.pool = direct_pool()

    async def create(self) -> Desk:
        async with self.store.begin() as tx:
            for pool in (self.pool, vault_pool()):
                await create_pool(tx, pool, self.clock)
        return self

    async def order(
        self, name: str, amount: int = 100, pool: StakingPool | None = None
    ) -> list[Operation]:
        async with self.store.begin() as tx:
            return await order_funding(
                tx,
                self.operations,
                pool or self.pool,
                amount,
                order=name,
                signer=SIGNER,
                actor="ann",
            )

    async def end(self, operation: Operation, state: OperationState) -> None:
        async with self.store.begin() as tx:
            where = operation_table.c.intent_id == operation.intent_id
            await tx.execute(update(operation_table).where(where).values(state=state.value))

    async def goes(self, operation: Operation) -> bool:
        """Whether a worker would send it now."""
        async with self.store.read() as tx:
            intent = await self.intents.get(tx, operation.intent_id)
        try:
            await self.effect.call(intent)
        except NotReadyError:
            return False
        return True


@pytest.fixture
async def desk(store: Store) -> Desk:
    return await Desk(store).create()


async def test_the_next_allowance_waits_until_the_funding_before_is_over(desk: Desk):
    approve_a, fund_a = await desk.order("a")
    approve_b, fund_b = await desk.order("b", 200)
    approve_c, _ = await desk.order("c", 300)
    assert [await desk.goes(each) for each in (approve_a, fund_a)] == [True, False]
    await desk.end(approve_a, DONE)
    assert [await desk.goes(each) for each in (fund_a, approve_b, fund_b)] == [True, False, False]
    await desk.end(fund_a, FAILED)
    assert [await desk.goes(each) for each in (approve_b, approve_c)] == [True, False]
    await desk.end(approve_b, DONE)
    await desk.end(fund_b, DONE)
    assert await desk.goes(approve_c)


async def test_fundings_of_different_pools_do_not_wait_for_each_other(desk: Desk):
    await desk.order("a")
    approve, _ = await desk.order("a", pool=vault_pool())
    assert await desk.goes(approve)


async def test_a_funding_is_ordered_again_with_its_allowance_behind_those_under_way(desk: Desk):
    approve, fund = await desk.order("a")
    await desk.end(approve, DONE)
    await desk.end(fund, FAILED)
    approve_b, fund_b = await desk.order("b")
    again = await desk.order("a")
    assert [(each.attempt, each.state) for each in again] == [(2, UNDER_WAY), (2, UNDER_WAY)]
    # The other one, which was ordered while the first attempt was open, does not wait for this.
    assert [await desk.goes(each) for each in (approve_b, *again)] == [True, False, False]
    await desk.end(approve_b, DONE)
    await desk.end(fund_b, DONE)
    assert [await desk.goes(each) for each in again] == [True, False]
    assert await desk.order("a") == again


async def test_two_that_failed_and_are_ordered_again_do_not_wait_for_each_other_for_ever(
    desk: Desk,
):
    orders = {name: await desk.order(name) for name in ("a", "b")}
    for made in orders.values():
        for each in made:
            await desk.end(each, FAILED)
    for name in ("b", "a"):
        orders[name] = await desk.order(name)
    gone = []
    for _ in range(4):
        for name, made in orders.items():
            for each, step in zip(made, ("approve", "fund"), strict=True):
                if (name, step) not in gone and await desk.goes(each):
                    await desk.end(each, DONE)
                    gone.append((name, step))
    assert gone == [("b", "approve"), ("b", "fund"), ("a", "approve"), ("a", "fund")]


async def test_nothing_is_ordered_again_while_a_part_of_it_is_under_way_or_when_it_is_done(
    desk: Desk,
):
    approve, fund = await desk.order("a")
    assert await desk.order("a") == [approve, fund]
    await desk.end(approve, FAILED)
    assert [each.intent_id for each in await desk.order("a")] == [
        approve.intent_id,
        fund.intent_id,
    ]
    await desk.end(fund, DONE)
    assert [each.attempt for each in await desk.order("a")] == [1, 1]


async def test_a_name_stands_for_one_amount_also_when_it_came_to_nothing(desk: Desk):
    for each in await desk.order("a"):
        await desk.end(each, FAILED)
    with pytest.raises(OperationConflictError, match="another amount"):
        await desk.order("a", 101)


async def test_orders_given_at_the_same_time_stand_behind_each_other(desk: Desk):
    names = ("a", "b", "a", "c")
    made = await asyncio.gather(*(desk.order(name) for name in names))
    assert made[0] == made[2]
    going = [
        name for name, (approve, _) in zip(names, made, strict=True) if await desk.goes(approve)
    ]
    assert len(set(going)) == 1
