"""The table of tasks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from millpond.store import metadata

task_table = Table(
    "task",
    metadata,
    Column("name", Text, primary_key=True),
    Column("interval_ms", BigInteger, nullable=False),
    Column("jitter_ms", BigInteger, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("last_lag_ms", BigInteger, nullable=False),
    Column("holder", Text),
    Column("lease_until_ms", BigInteger),
    Column("fence", BigInteger, nullable=False),
    Column("requested_ms", BigInteger),
    Column("requested_by", Text, nullable=False),
    Column("last_start_ms", BigInteger),
    Column("last_end_ms", BigInteger),
    Column("last_ok_ms", BigInteger),
    Column("last_result", Text, nullable=False),
    Column("last_error", Text, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("failing", Integer, nullable=False),
    Index(None, "next_ms"),
)
