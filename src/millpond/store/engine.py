"""Opening a database and running transactions on it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from millpond.errors import InvalidInputError

Tx: TypeAlias = AsyncConnection
"""A connection inside a transaction. Functions that take a `Tx` never commit."""

_BUSY_TIMEOUT_MS = 30_000


def parse_url(url: str) -> URL:
    """Turn `sqlite:///path` or `postgresql://…` into a driver's URL.

    Raises:
        InvalidInputError: The text is no database URL that Millpond can open.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInputError("database.url is not a database URL") from error
    match parsed.get_backend_name():
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise InvalidInputError("database.url must name a file, as in sqlite:///pool.db")
            return parsed.set(drivername="sqlite+aiosqlite")
        case "postgresql":
            return parsed.set(drivername="postgresql+asyncpg")
        case other:
            raise InvalidInputError(f"database.url names {other}; sqlite and postgresql are known")


class Store:
    """A database with one way to write and one way to read."""

    def __init__(self, url: URL, writer: AsyncEngine, reader: AsyncEngine) -> None:
        self.url = url
        self._writer = writer
        self._reader = reader

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """The database at hand."""
        return "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"

    @classmethod
    async def open(cls, url: str, *, pool_size: int = 5) -> Store:
        """Open the database at `url`; SQLite files are made when missing.

        The schema is not touched: see `millpond.store.migrate`.
        """
        parsed = parse_url(url)
        if parsed.get_backend_name() == "sqlite":
            assert parsed.database is not None
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            # One writer a process; other processes wait on SQLite's own lock.
            writer = _sqlite_engine(parsed, begin="BEGIN IMMEDIATE", pool_size=1)
            reader = _sqlite_engine(parsed, begin="BEGIN", pool_size=pool_size)
        else:
            writer = create_async_engine(parsed, pool_size=pool_size, max_overflow=0)
            reader = create_async_engine(
                parsed,
                pool_size=pool_size,
                max_overflow=0,
                isolation_level="REPEATABLE READ",
            )
        return cls(parsed, writer, reader)

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[Tx]:
        """A write transaction: committed at the end, rolled back on an exception."""
        async with self._writer.begin() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[Tx]:
        """A snapshot to read from; writing in it is an error."""
        async with self._reader.connect() as connection:
            if self.dialect == "postgresql":
                await connection.execute(text("SET TRANSACTION READ ONLY"))
            yield connection

    async def close(self) -> None:
        """Close all connections."""
        await self._writer.dispose()
        await self._reader.dispose()


def _sqlite_engine(url: URL, *, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=0)
    reads_only = begin == "BEGIN"

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        # The driver must not open transactions by itself: we say BEGIN below.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        # NORMAL loses acknowledged commits at a power cut (docs/decisions).
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        if reads_only:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
