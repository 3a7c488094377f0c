"""Tables of the share log; in the pool's database or in one of their own."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from millpond.store import metadata

_Serial = BigInteger().with_variant(Integer(), "sqlite")

groups = Table(
    "sharelog_group",
    metadata,
    # In commit order: SQLite has one writer at a time, on PostgreSQL the
    # writers of all edges take one advisory lock until they have committed.
    Column("position", _Serial, primary_key=True, autoincrement=True),
    Column("pool_id", Text, nullable=False),
    Column("edge", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("shares", Integer, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    UniqueConstraint("pool_id", "edge", "sequence"),
    sqlite_autoincrement=True,
)

candidates = Table(
    "sharelog_candidate",
    metadata,
    Column("block_hash", Text, primary_key=True),
    Column("pool_id", Text, nullable=False),
    Column("edge", Text, nullable=False),
    Column("height", BigInteger, nullable=False),
    Column("worker", Text, nullable=False),
    Column("found_ms", BigInteger, nullable=False),
    Column("block", LargeBinary, nullable=False),
    # found → accepted | rejected | beside | unknown (as the daemons answered)
    Column("state", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("ix_sharelog_candidate_pool_id_state", "pool_id", "state"),
)

TABLES = (groups, candidates)
