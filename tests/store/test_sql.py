"""Many rows at once, the same on both databases."""

from typing import Any

import pytest
from sqlalchemy import Boolean, Column, MetaData, Table, Text, select
from sqlalchemy.exc import IntegrityError

from millpond.store import Store
from millpond.store.sql import insert_many, update_many
from millpond.store.types import BigInt, JsonText

HUGE = 2**256

own = MetaData()
things = Table(
    "thing",
    own,
    Column("name", Text, primary_key=True),
    Column("amount", BigInt, nullable=True),
    Column("good", Boolean, nullable=False),
    Column("more", JsonText, nullable=True),
)


@pytest.fixture
async def work(store: Store) -> Store:
    async with store.begin() as tx:
        await tx.run_sync(own.create_all)
    return store


def thing(name: str, **changed: Any) -> dict[str, Any]:
    return {"name": name, "amount": 1, "good": True, "more": None} | changed


async def found(work: Store) -> list[dict[str, Any]]:
    async with work.read() as tx:
        rows = await tx.execute(select(things).order_by(things.c.name))
        return [dict(row) for row in rows.mappings()]


async def test_values_of_every_kind_come_back(work: Store):
    rows = [
        thing("a", amount=-HUGE, more={"b": [1, None]}),
        thing("b", amount=None, good=False),
        thing("c", amount=0, more=[]),
    ]
    async with work.begin() as tx:
        await insert_many(tx, things, [])
        await insert_many(tx, things, rows)
    assert await found(work) == rows


async def test_a_row_that_is_there_is_an_error_or_left_out(work: Store):
    async with work.begin() as tx:
        await insert_many(tx, things, [thing("a")])
    with pytest.raises(IntegrityError):
        async with work.begin() as tx:
            await insert_many(tx, things, [thing("b"), thing("a", amount=2)])
    async with work.begin() as tx:
        rows = [thing("a", amount=2), thing("c"), thing("c", amount=3)]
        await insert_many(tx, things, rows, ignore=True)
    assert await found(work) == [thing("a"), thing("c")]


async def test_only_what_is_named_is_changed(work: Store):
    async with work.begin() as tx:
        await insert_many(tx, things, [thing(name) for name in "abc"])
        await update_many(tx, things, "name", [])
        changes: list[dict[str, Any]] = [
            {"name": "c", "amount": HUGE},
            {"name": "a", "amount": None},
            {"name": "not there", "amount": 5},
        ]
        await update_many(tx, things, "name", changes)
    assert await found(work) == [thing("a", amount=None), thing("b"), thing("c", amount=HUGE)]


@pytest.mark.parametrize("wrong", [True, 1.0, "1", 10**78, -(10**78)])
async def test_what_is_no_amount_is_never_written(work: Store, wrong: Any):
    async with work.begin() as tx:
        await insert_many(tx, things, [thing("a")])
        with pytest.raises(AssertionError):
            await insert_many(tx, things, [thing("b", amount=wrong)])
        with pytest.raises(AssertionError):
            await update_many(tx, things, "name", [{"name": "a", "amount": wrong}])
    assert await found(work) == [thing("a")]
