"""Whoever changes, removes or swaps what was recorded is found out."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from millpond.clock import ManualClock, SeededEntropy
from millpond.store import Store
from millpond.store.retry import retrying
from millpond.trail import Trail


@pytest.fixture
def trail() -> Trail:
    return Trail(ManualClock())


async def _record(store: Store, trail: Trail, count: int) -> None:
    for number in range(count):
        async with store.begin() as tx:
            await trail.record(
                tx,
                "ann",
                "risk.limits",
                f"pool:{number}",
                before={"tvl_cap": None},
                after={"tvl_cap": str(10**30 + number)},
                reason="a larger pool",
            )


_UNGUARD = {
    "sqlite": ["DROP TRIGGER trail_entry_no_update", "DROP TRIGGER trail_entry_no_delete"],
    "postgresql": ["ALTER TABLE trail_entry DISABLE TRIGGER USER"],
}


async def _tamper(store: Store, *statements: str) -> None:
    async with store.begin() as tx:
        for statement in [*_UNGUARD[store.dialect], *statements]:
            await tx.execute(text(statement))


async def _faults(store: Store, trail: Trail, **options: Any) -> list[tuple[int, str]]:
    async with store.read() as tx:
        return [(fault.seq, fault.kind) for fault in await trail.verify(tx, **options)]


async def test_what_was_recorded_is_read_newest_first_in_pages(store: Store, trail: Trail):
    await _record(store, trail, 5)
    async with store.read() as tx:
        first = await trail.read(tx, limit=2)
        second = await trail.read(tx, limit=2, before=first[-1].seq)
        of_subject = await trail.read(tx, subject="pool:0", actor="ann", action="risk.limits")
    assert [entry.seq for entry in first + second] == [5, 4, 3, 2]
    assert [(e.seq, e.after["tvl_cap"], e.reason) for e in of_subject] == [
        (1, str(10**30), "a larger pool")
    ]
    assert await _faults(store, trail) == []


async def test_an_entry_is_there_only_if_its_transaction_commits(store: Store, trail: Trail):
    with pytest.raises(RuntimeError):
        async with store.begin() as tx:
            await trail.record(tx, "ann", "risk.pause", "platform")
            raise RuntimeError
    async with store.read() as tx:
        assert await trail.read(tx) == []
    await _record(store, trail, 1)
    assert await _faults(store, trail) == []


@pytest.mark.parametrize(
    "statement",
    ["UPDATE trail_entry SET reason = 'x'", "DELETE FROM trail_entry"],
)
async def test_the_database_refuses_to_rewrite_the_trail(
    store: Store, trail: Trail, statement: str
):
    await _record(store, trail, 1)
    with pytest.raises(DBAPIError, match="rows are never"):
        async with store.begin() as tx:
            await tx.execute(text(statement))


@pytest.mark.parametrize(
    ("statements", "faults"),
    [
        (["UPDATE trail_entry SET actor = 'bob' WHERE seq = 2"], [(2, "changed")]),
        (["UPDATE trail_entry SET after = '{}' WHERE seq = 3"], [(3, "changed")]),
        (["DELETE FROM trail_entry WHERE seq = 2"], [(2, "missing")]),
        (["DELETE FROM trail_entry WHERE seq = 4"], [(4, "cut")]),
        (
            [
                "UPDATE trail_entry SET seq = 9 WHERE seq = 2",
                "UPDATE trail_entry SET seq = 2 WHERE seq = 3",
                "UPDATE trail_entry SET seq = 3 WHERE seq = 9",
            ],
            [(2, "reordered"), (2, "changed"), (3, "reordered"), (3, "changed"), (4, "reordered")],
        ),
    ],
)
async def test_a_changed_missing_or_reordered_entry_is_found(
    store: Store, trail: Trail, statements: list[str], faults: list[tuple[int, str]]
):
    await _record(store, trail, 4)
    await _tamper(store, *statements)
    assert await _faults(store, trail) == faults


async def test_a_chain_written_anew_lacks_the_anchor_kept_outside(store: Store, trail: Trail):
    await _record(store, trail, 3)
    async with store.read() as tx:
        anchor = await trail.head(tx)
    await _tamper(store, "DELETE FROM trail_entry", "DELETE FROM trail_head")
    async with store.begin() as tx:
        for _ in range(3):
            await trail.record(tx, "bob", "risk.limits", "pool:0")
    assert await _faults(store, trail) == []
    assert await _faults(store, trail, anchor=anchor) == [(3, "changed")]


async def test_writers_at_the_same_time_make_one_chain(store: Store, trail: Trail):
    clock, entropy = ManualClock(), SeededEntropy(1)

    async def one(number: int) -> None:
        await retrying(
            store,
            lambda tx: trail.record(tx, f"a{number}", "act", "thing"),
            clock=clock,
            entropy=entropy,
        )

    await asyncio.gather(*(one(number) for number in range(20)))
    assert await _faults(store, trail) == []
    async with store.read() as tx:
        entries = await trail.read(tx)
    assert sorted(entry.actor for entry in entries) == sorted(f"a{n}" for n in range(20))
