"""A store writes all or nothing, one writer at a time, and readers only read."""

from pathlib import Path

import pytest
from sqlalchemy import text

from millpond.errors import InvalidInputError
from millpond.store import Store
from millpond.store.engine import parse_url
from millpond.store.errors import StoreLostError


async def test_sqlite_is_durable_and_rolls_back(tmp_path: Path):
    store = await Store.open(f"sqlite:///{tmp_path}/a.db")
    async with store.begin() as tx:
        await tx.execute(text("create table t (x int)"))
        await tx.execute(text("insert into t values (1)"))
        assert (await tx.execute(text("pragma synchronous"))).scalar() == 2
        assert (await tx.execute(text("pragma journal_mode"))).scalar() == "wal"
    with pytest.raises(RuntimeError, match="stop"):
        async with store.begin() as tx:
            await tx.execute(text("insert into t values (2)"))
            raise RuntimeError("stop")
    async with store.read() as tx:
        assert (await tx.execute(text("select sum(x) from t"))).scalar() == 1
    with pytest.raises(StoreLostError, match="only be read"):
        async with store.read() as tx:
            await tx.execute(text("insert into t values (3)"))
    await store.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_urls_that_cannot_be_opened_are_named(url: str):
    with pytest.raises(InvalidInputError, match="database"):
        parse_url(url)
