"""The log in an SQLite file: one thread, one connection, one statement a group.

A single INSERT in autocommit mode is one transaction and lets go of the
interpreter lock once, for the whole of the write and the sync.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.dialects import sqlite as dialect
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

_BUSY_TIMEOUT_S = 5.0
_INSERT = (
    "INSERT INTO sharelog_group (pool_id, edge, sequence, first_ms, last_ms, shares, payload,"
    " previous_hash, hash) VALUES (?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT (pool_id, edge, sequence) DO NOTHING"
)
_HASH_AT = "SELECT hash FROM sharelog_group WHERE pool_id = ? AND edge = ? AND sequence = ?"
_HEAD = (
    "SELECT sequence, hash FROM sharelog_group WHERE pool_id = ? AND edge = ?"
    " ORDER BY sequence DESC LIMIT 1"
)
_CANDIDATE = (
    "INSERT INTO sharelog_candidate (block_hash, pool_id, edge, height, worker, found_ms, block,"
    " state, result, updated_ms) VALUES (?,?,?,?,?,?,?,'found','',?) ON CONFLICT DO NOTHING"
)
_UPDATE = "UPDATE sharelog_candidate SET state = ?, result = ?, updated_ms = ? WHERE block_hash = ?"
_OPEN = (
    "SELECT block_hash, height, worker, found_ms, block FROM sharelog_candidate"
    " WHERE pool_id = ? AND edge = ? AND state IN ('found', 'unknown') ORDER BY found_ms LIMIT 100"
)
_DROP = (
    "UPDATE sharelog_candidate SET block = x'' WHERE pool_id = ? AND edge = ?"
    " AND state NOT IN ('found', 'unknown') AND updated_ms < ? AND length(block) > 0"
)


class SqliteBackend:
    """See `Backend`. The right to write is a lock on a file beside the database."""

    def __init__(self, path: str, pool_id: str, edge: str) -> None:
        self._path = Path(path)
        self._pool_id = pool_id
        self._edge = edge
        name = hashlib.sha256(f"{pool_id}\0{edge}".encode()).hexdigest()[:16]
        self._lock_path = self._path.with_name(f"{self._path.name}.{name}.lock")
        self._lock: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sharelog")

    async def open(self) -> Head:
        """See `Backend.open`."""
        return await self._call(self._open)

    async def append(self, group: Group) -> None:
        """See `Backend.append`."""
        await self._call(lambda: self._append(group))

    async def store_candidate(self, candidate: NewCandidate) -> None:
        """See `Backend.store_candidate`."""
        found = candidate.found_ms
        head = (candidate.block_hash, self._pool_id, self._edge, candidate.height)
        row = (*head, candidate.worker, found, candidate.block, found)
        await self._call(lambda: self._execute(_CANDIDATE, row))

    async def update_candidate(self, block_hash: str, state: str, result: str, now_ms: int) -> None:
        """See `Backend.update_candidate`."""
        await self._call(lambda: self._execute(_UPDATE, (state, result, now_ms, block_hash)))

    async def open_candidates(self) -> list[NewCandidate]:
        """See `Backend.open_candidates`."""
        rows = await self._call(lambda: self._execute(_OPEN, (self._pool_id, self._edge)))
        return [NewCandidate(*row) for row in rows]

    async def drop_blocks(self, settled_before_ms: int) -> None:
        """See `Backend.drop_blocks`."""
        row = (self._pool_id, self._edge, settled_before_ms)
        await self._call(lambda: self._execute(_DROP, row))

    async def close(self) -> None:
        """See `Backend.close`."""
        await self._call(self._close)
        self._thread.shutdown(wait=False)

    async def _call(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        except (sqlite3.Error, OSError) as error:
            raise ShareLogUnavailableError(f"the share log cannot be written: {error}") from error

    def _open(self) -> Head:
        self._disconnect()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        for table in TABLES:
            create = CreateTable(table, if_not_exists=True)
            connection.execute(str(create.compile(dialect=dialect.dialect())))
            for index in table.indexes:
                ddl = CreateIndex(index, if_not_exists=True)
                connection.execute(str(ddl.compile(dialect=dialect.dialect())))
        row = connection.execute(_HEAD, (self._pool_id, self._edge)).fetchone()
        return Head(row[0], row[1]) if row else Head(0, GENESIS_HASH)

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise ShareLogTakenError(
                "another process writes the share log of this pool and edge",
                pool_id=self._pool_id,
                edge=self._edge,
            ) from None
        self._lock = lock

    def _append(self, group: Group) -> None:
        row = (*group[:5], group.shares, group.payload, group.previous_hash, group.hash)
        connection = self._connection
        if connection is None:
            raise sqlite3.OperationalError("not open")
        if connection.execute(_INSERT, row).rowcount == 1:
            return
        found = connection.execute(_HASH_AT, group[:3]).fetchone()
        if found is None or found[0] != group.hash:
            raise ShareLogForkedError(
                "another group stands at this place of the share log",
                edge=group.edge,
                sequence=group.sequence,
            )

    def _execute(self, statement: str, row: tuple[object, ...]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            raise sqlite3.OperationalError("not open")
        return self._connection.execute(statement, row).fetchall()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _close(self) -> None:
        self._disconnect()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
