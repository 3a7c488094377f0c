"""What was noted to survive is written when, and only when, its transaction is rolled back."""

import asyncio

import pytest
from sqlalchemy import text

from millpond.errors import UnavailableError
from millpond.store import Store, Tx
from millpond.store.survive import survive


@pytest.fixture
async def words(store: Store) -> Store:
    async with store.begin() as tx:
        await tx.execute(text("CREATE TABLE word (word TEXT)"))
    return store


async def write(tx: Tx, word: str) -> None:
    await tx.execute(text("INSERT INTO word VALUES (:word)"), {"word": word})


async def written(store: Store) -> list[str]:
    async with store.read() as tx:
        return list((await tx.execute(text("SELECT word FROM word"))).scalars())


@pytest.mark.parametrize("error", [RuntimeError(), asyncio.CancelledError()])
async def test_it_is_written_after_a_roll_back_before_the_exception_goes_on(
    words: Store, error: BaseException
):
    with pytest.raises(type(error)):
        async with words.begin() as tx:
            await write(tx, "lost")
            survive(tx, lambda other: write(other, "kept"))
            raise error
    assert await written(words) == ["kept"]


async def test_it_is_not_written_after_a_commit_nor_by_the_next_transaction(words: Store):
    async with words.begin() as tx:
        survive(tx, lambda other: write(other, "kept"))
    with pytest.raises(RuntimeError):
        async with words.begin() as tx:
            raise RuntimeError
    assert await written(words) == []


async def test_the_exception_goes_on_even_if_the_note_cannot_be_written(words: Store):
    async def away(_: Tx) -> None:
        raise UnavailableError("the database is away")

    with pytest.raises(RuntimeError):
        async with words.begin() as tx:
            survive(tx, away)
            raise RuntimeError
    assert await written(words) == []
