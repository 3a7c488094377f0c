"""The table of alerts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text, text

from millpond.store import JsonText, metadata

OPEN = "cleared_ms IS NULL"
"""An alert whose condition lasts."""

alert_table = Table(
    "alert",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("details", JsonText, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("acknowledged_by", Text),
    Column("acknowledged_ms", BigInteger),
    Column("cleared_ms", BigInteger),
    Index("ix_alert_kind_id", "kind", "id"),
    Index("ix_alert_cleared_ms", "cleared_ms"),
    Index(
        "uq_alert_open",
        "kind",
        "subject",
        unique=True,
        sqlite_where=text(OPEN),
        postgresql_where=text(OPEN),
    ),
)
