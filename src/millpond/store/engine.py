"""Opening a database and running transactions on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

from prometheus_client import Counter
from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from millpond.errors import InvalidInputError, UnavailableError
from millpond.store.errors import typed_errors, unreachable_errors
from millpond.store.turns import WriterTurns

Tx: TypeAlias = AsyncConnection
"""A connection inside a transaction. Functions that take a `Tx` never commit."""

SURVIVORS = "millpond.survivors"
"""Where a write transaction keeps what outlives its roll-back; see `millpond.store.survive`."""

_LOST = Counter(
    "millpond_store_survivors_lost", "Notes that could not be written after a roll-back"
)

_PATIENCE_S = 60
"""Longest wait for a connection or for the writer's turn."""

_POSTGRESQL_SETTINGS = {
    "application_name": "millpond",
    # A transaction is short; one that hangs must not hold its locks for ever.
    "idle_in_transaction_session_timeout": "60000",
    "jit": "off",
}


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
    """A database with one way to write and one way to read; for one event loop."""

    def __init__(
        self, url: URL, writer: AsyncEngine, reader: AsyncEngine, turns: WriterTurns | None
    ) -> None:
        self.url = url
        self._writer = writer
        self._reader = reader
        self._turns = turns
        self._returning: set[asyncio.Future[None]] = set()

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """The database at hand."""
        return "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"

    @classmethod
    async def open(cls, url: str, *, pool_size: int = 5) -> Store:
        """Open the database at `url`; SQLite files are made when missing.

        The schema is not touched: see `millpond.store.migrate`.

        Args:
            url: `sqlite:///path` or `postgresql://…`.
            pool_size: Connections to read with, and on PostgreSQL also to write with.

        Raises:
            InvalidInputError: The text is no database URL that Millpond can open.
            StoreBusyError: The SQLite file is locked by somebody else.
        """
        parsed = parse_url(url)
        if parsed.get_backend_name() == "postgresql":
            writer = _postgresql_engine(parsed, pool_size, isolation="READ COMMITTED")
            reader = _postgresql_engine(parsed, pool_size, isolation="REPEATABLE READ")
            return cls(parsed, writer, reader, None)
        assert parsed.database is not None
        path = Path(parsed.database)
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = _sqlite_engine(parsed, begin="BEGIN IMMEDIATE", pool_size=1)
        reader = _sqlite_engine(parsed, begin="BEGIN", pool_size=pool_size)
        store = cls(parsed, writer, reader, WriterTurns(path, patience_s=_PATIENCE_S))
        # The first connection turns the file to WAL, which no reader may disturb.
        async with store.begin():
            pass
        return store

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[Tx]:
        """A write transaction: committed at the end, rolled back on an exception.

        Cancelled inside, it is rolled back; cancelled during the commit, it may
        be either, as after a power cut: transfers and intents bear repeating.

        Raises:
            TransactionConflictError: Rolled back because of another; see `retrying`.
            StoreBusyError: No turn or connection in time; nothing was done.
            StoreLostError: The connection broke, or the file cannot be written.
        """
        survivors: list[Callable[[Tx], Awaitable[None]]] = []
        try:
            async with self._write() as tx:
                tx.info[SURVIVORS] = survivors
                yield tx
        except BaseException:
            await self._survive(survivors)
            raise

    @contextlib.asynccontextmanager
    async def _write(self) -> AsyncIterator[Tx]:
        turn = contextlib.nullcontext() if self._turns is None else self._turns.turn()
        async with turn:
            with typed_errors():
                async with self._connected(self._writer) as connection, connection.begin():
                    yield connection

    async def _survive(self, survivors: list[Callable[[Tx], Awaitable[None]]]) -> None:
        """Write what outlives a roll-back; the exception that caused it matters more."""
        if not survivors:
            return
        try:
            async with self._write() as tx:
                tx.info[SURVIVORS] = []
                for work in survivors:
                    await work(tx)
        except UnavailableError:
            _LOST.inc(len(survivors))

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[Tx]:
        """A snapshot to read from; writing in it is an error.

        Raises:
            StoreBusyError: No connection in time.
            StoreLostError: The connection broke.
        """
        with typed_errors():
            async with self._connected(self._reader) as connection:
                if self.dialect == "postgresql":
                    await connection.execute(text("SET TRANSACTION READ ONLY"))
                yield connection

    @contextlib.asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection of the pool, given back whatever happens.

        Whoever is cancelled while a connection is being made leaves at once;
        the making goes on, since drivers leak what they are torn away from,
        and the connection is given back as soon as it is there.
        """
        connecting = asyncio.ensure_future(_start(engine))
        try:
            with unreachable_errors():
                connection = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            returning = asyncio.ensure_future(_give_back(connecting))
            self._returning.add(returning)
            returning.add_done_callback(self._returning.discard)
            raise
        async with contextlib.AsyncExitStack() as held:
            held.push_async_exit(connection)
            yield connection

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*self._returning)
        await self._writer.dispose()
        await self._reader.dispose()
        if self._turns is not None:
            self._turns.close()


async def _start(engine: AsyncEngine) -> AsyncConnection:
    return await engine.connect()


async def _give_back(connecting: asyncio.Future[AsyncConnection]) -> None:
    with contextlib.suppress(SQLAlchemyError, OSError):
        connection = await connecting
        await connection.close()


def _postgresql_engine(url: URL, pool_size: int, *, isolation: Any) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_PATIENCE_S,
        isolation_level=isolation,
        connect_args={"server_settings": _POSTGRESQL_SETTINGS},
    )


def _sqlite_engine(url: URL, *, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=0, pool_timeout=_PATIENCE_S)
    reads_only = begin == "BEGIN"

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        # The driver must not open transactions by itself: we say BEGIN below.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE_S * 1000}")
        if not reads_only:
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
