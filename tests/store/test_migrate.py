"""Migrations lead from every older revision, data and all, to exactly the tables in code."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

import millpond
from millpond.clock import ManualClock
from millpond.money.ledger import Ledger
from millpond.store import Store, Tx, metadata
from millpond.store.migrate import SchemaError, _config, current, head, migrate
from tests.money.samples import ALICE, reward
from tests.support.postgres import PostgresServer


def _import_every_table() -> None:
    root = Path(millpond.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if "metadata" in path.read_text() and "migrations" not in path.parts:
            name = ".".join(("millpond", *path.relative_to(root).with_suffix("").parts))
            __import__(name.removesuffix(".__init__"))


REVISIONS = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][
    ::-1
]


@pytest.fixture(params=["sqlite", "postgresql"])
async def empty_url(request: pytest.FixtureRequest, tmp_path: Path):
    """An empty database without a schema, once on each of the two."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = await server.create(migrated=False)
    yield url
    await server.drop(url)


@pytest.fixture
async def second_url(request: pytest.FixtureRequest, empty_url: str, tmp_path: Path):
    """Another empty database of the same kind."""
    if empty_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path}/second.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = await server.create(migrated=False)
    yield url
    await server.drop(url)


_SQLITE_SCHEMA = "select type, name, tbl_name, sql from sqlite_master"
_POSTGRESQL_SCHEMA = """
select 'column', table_name, column_name,
       concat_ws(' ', data_type, numeric_precision, numeric_scale, is_nullable, column_default)
  from information_schema.columns where table_schema = 'public'
union all select 'index', tablename, indexname, indexdef from pg_indexes
  where schemaname = 'public'
union all select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
  from pg_constraint where connamespace = 'public'::regnamespace and conrelid <> 0
union all select 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid)
  from pg_trigger where not tgisinternal
union all select 'function', '', proname, prosrc
  from pg_proc where pronamespace = 'public'::regnamespace
"""


async def _schema(url: str) -> set[tuple[str, ...]]:
    """Everything that the database knows about its tables, without spelling."""
    query = _SQLITE_SCHEMA if url.startswith("sqlite") else _POSTGRESQL_SCHEMA
    store = await Store.open(url)
    async with store.read() as tx:
        rows = await tx.execute(text(query))
        found = {tuple(_plain(str(part)) for part in row) for row in rows}
    await store.close()
    return {row for row in found if not any("alembic_version" in part for part in row)}


def _plain(sql: str) -> str:
    """Without white space; a table's columns and constraints in the order of the alphabet."""
    squeezed = re.sub(r"\s+", " ", sql.replace('"', "")).strip()
    squeezed = re.sub(r"\s*([(),])\s*", r"\1", squeezed)
    if not squeezed.upper().startswith("CREATE TABLE"):
        return squeezed
    head_, body = squeezed.split("(", 1)
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(body):
        depth += (letter == "(") - (letter == ")")
        if (letter == "," and depth == 0) or depth < 0:
            parts.append(body[start:place])
            start = place + 1
            if depth < 0:
                break
    return head_ + "|".join(sorted(parts))


async def test_the_migrated_schema_is_the_one_in_code(empty_url: str, second_url: str):
    _import_every_table()
    assert await migrate(empty_url) == REVISIONS
    store = await Store.open(second_url)
    async with store.begin() as tx:
        await tx.run_sync(metadata.create_all)
    await store.close()
    migrated, created = await _schema(empty_url), await _schema(second_url)
    assert sorted(migrated - created) == []
    assert sorted(created - migrated) == []
    assert len(migrated) > 20


async def _fill_0001(tx: Tx) -> None:
    ledger = Ledger(ManualClock())
    await ledger.post(tx, [reward(1, 500)])
    await ledger.reserve(tx, [reward(2, 10**30)])


async def _fill_0002(tx: Tx) -> None:
    await tx.execute(text("insert into event (topic, payload, at_ms) values ('blocks', '{}', 5)"))


async def _check_0001(tx: Tx) -> None:
    ledger = Ledger(ManualClock())
    assert (await ledger.balance(tx, ALICE)).posted.units == 500
    assert (await ledger.balance(tx, ALICE)).incoming.units == 10**30
    assert await ledger.verify(tx) == []


async def _check_0002(tx: Tx) -> None:
    found = await tx.execute(text("select id, topic, payload, at_ms from event"))
    assert found.all() == [(1, "blocks", "{}", 5)]


FILLS = {"0001": _fill_0001, "0002": _fill_0002}
CHECKS = {"0001": _check_0001, "0002": _check_0002}


@pytest.mark.parametrize("start", REVISIONS)
async def test_data_of_an_older_revision_is_kept(empty_url: str, start: str):
    older = REVISIONS[: REVISIONS.index(start) + 1]
    assert await migrate(empty_url, to=start) == older
    store = await Store.open(empty_url)
    async with store.begin() as tx:
        for revision in older:
            if revision in FILLS:
                await FILLS[revision](tx)
    assert await migrate(empty_url) == REVISIONS[len(older) :]
    assert await current(empty_url) == await head()
    async with store.read() as tx:
        for revision in older:
            if revision in CHECKS:
                await CHECKS[revision](tx)
    await store.close()


async def test_migrating_at_the_same_time_is_done_once(empty_url: str):
    assert await current(empty_url) is None
    done = await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    assert sorted(done) == [[], [], [], REVISIONS]


async def test_a_database_of_a_newer_version_is_left_alone(store: Store, store_url: str):
    async with store.begin() as tx:
        await tx.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(SchemaError, match="9999"):
        await migrate(store_url)
