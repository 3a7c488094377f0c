"""Bringing a database's schema up to this version's."""

from __future__ import annotations

from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from millpond.errors import MillpondError
from millpond.store.engine import Store

_LOCK_KEY = 0x6D6C706E_6D696701
"""Advisory lock of migrating processes on PostgreSQL."""


class SchemaError(MillpondError):
    """The database's schema is from a version that this one does not know."""

    code = "schema_unknown"


async def migrate(url: str, *, to: str = "head") -> list[str]:
    """Apply the revisions that are missing, all in one transaction.

    Any number of processes may do this at once; one of them does the work.

    Args:
        url: As for `Store.open`.
        to: Last revision to apply.

    Returns:
        The revisions applied, oldest first; empty if there was nothing to do.

    Raises:
        SchemaError: The database was migrated by a newer version.
    """
    store = await Store.open(url)
    try:
        async with store.begin() as tx:
            if store.dialect == "postgresql":
                await tx.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (_LOCK_KEY,))
            return await tx.run_sync(_upgrade, to)
    finally:
        await store.close()


async def current(url: str) -> str | None:
    """The database's revision; None if it has no schema yet."""
    store = await Store.open(url)
    try:
        async with store.begin() as tx:
            return await tx.run_sync(_revision)
    finally:
        await store.close()


async def head() -> str:
    """The newest revision that this version knows."""
    newest = _scripts().get_current_head()
    assert newest is not None, "the package has revisions"
    return newest


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "millpond.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection, to: str) -> list[str]:
    scripts = _scripts()
    applied: list[str] = []
    known = {script.revision for script in scripts.walk_revisions()}
    present = _revision(connection)
    if present is not None and present not in known:
        raise SchemaError(
            f"the database has revision {present}, which this version does not know",
            revision=present,
        )

    def steps(revision: Any, _context: MigrationContext) -> Any:
        todo = scripts._upgrade_revs(to, revision)  # noqa: SLF001 - what `command.upgrade` calls
        applied.extend(step.revision.revision for step in todo)
        return todo

    with EnvironmentContext(_config(), scripts, fn=steps, destination_rev=to) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()
    return applied
