"""Where a devevm is kept: one SQLite file, one transaction a block.

Tables: `kv` holds the nodes of the state tries and the code of contracts by
their hash, so that the state of every block can be read; `block`, `tx` and
`log` hold the canonical chain only; `waiting` the mempool. Synced through to
the disk at every commit: `kill -9` loses nothing that was answered.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB

from millpond.chains.devevm.errors import DevevmStorageError

_CACHED_NODES = 20_000

_SCHEMA = """
create table if not exists meta (name text primary key, value text not null) without rowid;
create table if not exists kv (key blob primary key, value blob not null) without rowid;
create table if not exists block (
    number integer primary key, hash blob not null unique, header blob not null);
create table if not exists tx (
    hash blob primary key, number integer not null, place integer not null,
    raw blob not null, receipt blob not null) without rowid;
create unique index if not exists tx_place on tx (number, place);
create table if not exists log (
    number integer not null, place integer not null, tx_hash blob not null,
    tx_place integer not null, address blob not null,
    topic0 blob, topic1 blob, topic2 blob, topic3 blob, data blob not null,
    primary key (number, place)) without rowid;
create index if not exists log_address on log (address, number);
create table if not exists waiting (
    hash blob primary key, sequence integer not null, raw blob not null) without rowid;
"""


class Log(msgspec.Struct, frozen=True, array_like=True):
    """What a contract logged, with its place in the chain."""

    number: int
    place: int
    tx_hash: bytes
    tx_place: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """What became of a transaction; its logs are kept apart."""

    status: int
    gas_used: int
    cumulative_gas: int
    gas_price: int
    bloom: bytes
    contract: bytes | None


class StoredTx(msgspec.Struct, frozen=True):
    """A transaction in a block."""

    hash: bytes
    number: int
    place: int
    raw: bytes
    receipt: Receipt


class StoredBlock(msgspec.Struct, frozen=True):
    """A block of the canonical chain; `header` is RLP."""

    number: int
    hash: bytes
    header: bytes


class _Nodes(BaseDB):
    """The `kv` table as py-evm wants to see it, with the last nodes in memory."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cache: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        found = self._cache.get(key)
        if found is None:
            row = self._connection.execute("select value from kv where key = ?", (key,)).fetchone()
            if row is None:
                raise KeyError(key)
            found = bytes(row[0])
            self._remember(key, found)
        return found

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._connection.execute("insert or replace into kv values (?, ?)", (key, value))
        self._remember(key, value)

    def __delitem__(self, key: bytes) -> None:
        self._connection.execute("delete from kv where key = ?", (key,))
        self._cache.pop(key, None)

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    def _remember(self, key: bytes, value: bytes) -> None:
        if len(self._cache) >= _CACHED_NODES:
            self._cache.clear()
        self._cache[key] = value

    def forget(self) -> None:
        self._cache.clear()


class Storage:
    """The database of one devevm; without a directory it lives in memory.

    Raises:
        OSError: The directory cannot be made.
        DevevmStorageError: Another process has it open, or it is no database.
    """

    def __init__(self, datadir: Path | None) -> None:
        place = ":memory:"
        if datadir is not None:
            datadir.mkdir(parents=True, exist_ok=True)
            place = str(datadir / "devevm.db")
        self._connection = sqlite3.connect(place, isolation_level=None, timeout=0)
        try:
            # What is in memory must be what is on disk, so nobody else may write.
            self._connection.execute("pragma locking_mode = exclusive").fetchone()
            self._connection.execute("pragma journal_mode = wal").fetchone()
            self._connection.execute("pragma synchronous = full")
            self._connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise DevevmStorageError(f"{place} cannot be used: {error}.") from None
        self._nodes = _Nodes(self._connection)
        self.state_db = AtomicDB(self._nodes)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written inside; on disk when it ends."""
        self._connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            self._nodes.forget()
            raise
        self._connection.execute("commit")

    # -- facts -------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        """A fact about the chain as a whole."""
        row = self._one("select value from meta where name = ?", name)
        return None if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Keep a fact."""
        self._connection.execute("insert or replace into meta values (?, ?)", (name, value))

    # -- the canonical chain -------------------------------------------------

    def append(self, block: StoredBlock, txs: Iterable[StoredTx], logs: Iterable[Log]) -> None:
        """Add the next block with all that is in it."""
        run = self._connection
        run.execute("insert into block values (?, ?, ?)", (block.number, block.hash, block.header))
        run.executemany(
            "insert into tx values (?, ?, ?, ?, ?)",
            [(t.hash, t.number, t.place, t.raw, msgspec.msgpack.encode(t.receipt)) for t in txs],
        )
        run.executemany("insert into log values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_row, logs))

    def truncate(self, number: int) -> None:
        """Take away all blocks after `number`."""
        for table in ("block", "tx", "log"):
            self._connection.execute(f"delete from {table} where number > ?", (number,))  # noqa: S608

    def head_number(self) -> int | None:
        """Number of the newest block; None in a new database."""
        row = self._one("select max(number) from block")
        return None if row is None or row[0] is None else int(row[0])

    def block(self, which: int | bytes) -> StoredBlock | None:
        """A block by number or hash."""
        column = "number" if isinstance(which, int) else "hash"
        row = self._one(f"select number, hash, header from block where {column} = ?", which)  # noqa: S608
        return None if row is None else StoredBlock(*row)

    def txs(self, number: int) -> list[StoredTx]:
        """Transactions of a block in their order."""
        rows = self._connection.execute(
            "select hash, number, place, raw, receipt from tx where number = ? order by place",
            (number,),
        )
        return [_tx(row) for row in rows]

    def tx(self, tx_hash: bytes) -> StoredTx | None:
        """A transaction in a block, by its hash."""
        row = self._one("select hash, number, place, raw, receipt from tx where hash = ?", tx_hash)
        return None if row is None else _tx(row)

    def logs(
        self,
        first: int,
        last: int,
        addresses: tuple[bytes, ...] = (),
        topics: tuple[tuple[bytes, ...], ...] = (),
        *,
        limit: int,
    ) -> list[Log]:
        """Logs of the blocks `first` to `last` in their order, at most `limit`.

        Args:
            first: Number of the first block.
            last: Number of the last block.
            addresses: Of these contracts; empty: of all.
            topics: Per place the accepted topics; empty: any.
            limit: How many at most.
        """
        wanted: list[Any] = [first, last]
        where = ["number between ? and ?"]
        columns = [("address", addresses)]
        columns += [(f"topic{place}", one) for place, one in enumerate(topics)]
        for column, values in columns:
            if values:
                where.append(f"{column} in ({','.join('?' * len(values))})")
                wanted += values
        # A filter of n places wants logs with n topics at least (as nodes do).
        if topics:
            where.append(f"topic{len(topics) - 1} is not null")
        sql = f"select * from log where {' and '.join(where)} order by number, place limit ?"  # noqa: S608
        return [_log(row) for row in self._connection.execute(sql, (*wanted, limit))]

    def logs_of(self, tx: StoredTx) -> list[Log]:
        """Logs of a transaction."""
        rows = self._connection.execute(
            "select * from log where number = ? and tx_place = ? order by place",
            (tx.number, tx.place),
        )
        return [_log(row) for row in rows]

    # -- the mempool ---------------------------------------------------------

    def waiting(self) -> list[tuple[int, bytes]]:
        """Sequence and raw form of all that wait, oldest first."""
        rows = self._connection.execute("select sequence, raw from waiting order by sequence")
        return [(row[0], row[1]) for row in rows]

    def wait(self, tx_hash: bytes, sequence: int, raw: bytes) -> None:
        """Keep a transaction that waits."""
        self._connection.execute(
            "insert or replace into waiting values (?, ?, ?)", (tx_hash, sequence, raw)
        )

    def wait_no_more(self, hashes: Iterable[bytes]) -> None:
        """Forget transactions that waited."""
        self._connection.executemany(
            "delete from waiting where hash = ?", [(tx_hash,) for tx_hash in hashes]
        )

    def _one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
        return row


def _tx(row: tuple[Any, ...]) -> StoredTx:
    receipt = msgspec.msgpack.decode(row[4], type=Receipt)
    return StoredTx(row[0], row[1], row[2], row[3], receipt)


def _row(log: Log) -> tuple[Any, ...]:
    topics = (*log.topics, *([None] * (4 - len(log.topics))))
    return (log.number, log.place, log.tx_hash, log.tx_place, log.address, *topics, log.data)


def _log(row: tuple[Any, ...]) -> Log:
    topics = tuple(topic for topic in row[5:9] if topic is not None)
    return Log(row[0], row[1], row[2], row[3], row[4], topics, row[9])
