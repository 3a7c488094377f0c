"""The log in PostgreSQL: one connection, one statement a group, synchronous commit."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.dialects import postgresql as dialect
from sqlalchemy.engine import URL
from sqlalchemy.schema import CreateIndex, CreateTable

from millpond.mining.sharelog.backend import Head, NewCandidate
from millpond.mining.sharelog.codec import GENESIS_HASH
from millpond.mining.sharelog.errors import (
    ShareLogForkedError,
    ShareLogTakenError,
    ShareLogUnavailableError,
)
from millpond.mining.sharelog.records import Group
from millpond.mining.sharelog.tables import TABLES

T = TypeVar("T")

_ORDER_LOCK = 0x6D696C6C706F6E64
"""Held from the drawing of a position to its commit, so that positions are in commit order."""

_INSERT = """
WITH ordered AS MATERIALIZED (SELECT pg_advisory_xact_lock($1::bigint))
INSERT INTO sharelog_group (pool_id, edge, sequence, first_ms, last_ms, shares, payload,
                            previous_hash, hash)
SELECT $2::text, $3::text, $4::bigint, $5::bigint, $6::bigint, $7::int, $8::bytea, $9::bytea,
       $10::bytea FROM ordered
ON CONFLICT (pool_id, edge, sequence) DO NOTHING
"""
_HASH_AT = "SELECT hash FROM sharelog_group WHERE pool_id = $1 AND edge = $2 AND sequence = $3"
_HEAD = (
    "SELECT sequence, hash FROM sharelog_group WHERE pool_id = $1 AND edge = $2"
    " ORDER BY sequence DESC LIMIT 1"
)
_CANDIDATE = (
    "INSERT INTO sharelog_candidate (block_hash, pool_id, edge, height, worker, found_ms, block,"
    " state, result, updated_ms) VALUES ($1,$2,$3,$4,$5,$6,$7,'found','',$6)"
    " ON CONFLICT DO NOTHING"
)
_UPDATE = (
    "UPDATE sharelog_candidate SET state = $1, result = $2, updated_ms = $3 WHERE block_hash = $4"
)
_OPEN = (
    "SELECT block_hash, height, worker, found_ms, block FROM sharelog_candidate"
    " WHERE pool_id = $1 AND edge = $2 AND state IN ('found', 'unknown')"
    " ORDER BY found_ms LIMIT 100"
)

_FAILURES = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class PostgresBackend:
    """See `Backend`. The right to write is an advisory lock of the session.

    A lost connection's session may live on for a while at the server with a
    statement under way; taking the lock again waits for its end, and so the
    fate of that statement is known before anything else is written.
    """

    def __init__(self, url: URL, pool_id: str, edge: str, *, timeout_s: float) -> None:
        self._url = url
        self._pool_id = pool_id
        self._edge = edge
        self._timeout_s = timeout_s
        digest = hashlib.sha256(f"millpond/sharelog\0{pool_id}\0{edge}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: Any = None
        self._opened = False
        # A connection does one thing at a time; groups and blocks take turns.
        self._turn = asyncio.Lock()

    async def open(self) -> Head:
        """See `Backend.open`."""
        # Whoever has the turn now fails at once, instead of at its time-out.
        self._terminate()
        return await self._in_turn(self._open)

    async def append(self, group: Group) -> None:
        """See `Backend.append`."""
        await self._in_turn(self._append, group)

    async def store_candidate(self, candidate: NewCandidate) -> None:
        """See `Backend.store_candidate`."""
        await self._in_turn(
            self._execute,
            _CANDIDATE,
            candidate.block_hash,
            self._pool_id,
            self._edge,
            candidate.height,
            candidate.worker,
            candidate.found_ms,
            candidate.block,
        )

    async def update_candidate(self, block_hash: str, state: str, result: str, now_ms: int) -> None:
        """See `Backend.update_candidate`."""
        await self._in_turn(self._execute, _UPDATE, state, result, now_ms, block_hash)

    async def open_candidates(self) -> list[NewCandidate]:
        """See `Backend.open_candidates`."""
        rows = await self._in_turn(self._fetch, _OPEN, self._pool_id, self._edge)
        return [NewCandidate(*row) for row in rows]

    async def close(self) -> None:
        """See `Backend.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError, asyncpg.InterfaceError, TimeoutError):
                await connection.close(timeout=self._timeout_s)

    async def _in_turn(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        async with self._turn:
            try:
                return await work(*args)
            except _FAILURES as error:
                raise ShareLogUnavailableError(
                    f"the share log cannot be written: {type(error).__name__}: {error}"
                ) from error

    async def _open(self) -> Head:
        url = self._url
        host = url.query.get("host", url.host)
        connection: Any = await asyncpg.connect(  # type: ignore[no-untyped-call,unused-ignore]
            host=host,
            port=url.port,
            user=url.username,
            password=url.password,
            database=url.database,
            timeout=self._timeout_s,
            command_timeout=self._timeout_s,
        )
        self._connection = connection
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._key):
            self._terminate()
            raise self._taken()
        await connection.execute("SET synchronous_commit = on")
        if not self._opened:
            await self._create_tables()
            self._opened = True
        row = await connection.fetchrow(_HEAD, self._pool_id, self._edge)
        return Head(row[0], row[1]) if row else Head(0, GENESIS_HASH)

    def _taken(self) -> ShareLogTakenError | ShareLogUnavailableError:
        if self._opened:
            # Our own session of before may not have ended yet.
            return ShareLogUnavailableError("the share log's lock is not free yet")
        return ShareLogTakenError(
            "another process writes the share log of this pool and edge",
            pool_id=self._pool_id,
            edge=self._edge,
        )

    async def _create_tables(self) -> None:
        make: Any = dialect.dialect
        form = make()
        async with self._connection.transaction():
            await self._connection.execute(f"SELECT pg_advisory_xact_lock({_ORDER_LOCK})")
            for table in TABLES:
                create = CreateTable(table, if_not_exists=True)
                await self._connection.execute(str(create.compile(dialect=form)))
                for index in table.indexes:
                    ddl = CreateIndex(index, if_not_exists=True)
                    await self._connection.execute(str(ddl.compile(dialect=form)))

    async def _append(self, group: Group) -> None:
        done = await self._execute(
            _INSERT,
            _ORDER_LOCK,
            *group[:5],
            group.shares,
            group.payload,
            group.previous_hash,
            group.hash,
        )
        if done == "INSERT 0 1":
            return
        found = await self._fetch(_HASH_AT, *group[:3])
        if not found or found[0][0] != group.hash:
            raise ShareLogForkedError(
                "another group stands at this place of the share log",
                edge=group.edge,
                sequence=group.sequence,
            )

    async def _execute(self, statement: str, *args: object) -> str:
        if self._connection is None:
            raise asyncpg.InterfaceError("not connected")
        return str(await self._connection.execute(statement, *args))

    async def _fetch(self, statement: str, *args: object) -> list[Any]:
        if self._connection is None:
            raise asyncpg.InterfaceError("not connected")
        return list(await self._connection.fetch(statement, *args))

    def _terminate(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
