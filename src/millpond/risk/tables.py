"""The tables of the risk engine."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from millpond.store import BigInt, JsonText, metadata

OPEN = "ended_ms IS NULL"
UNFOLDED = "returned_ms IS NOT NULL AND folded_ms IS NULL"

risk_limit_table = Table(
    "risk_limit",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("limits", JsonText, nullable=False),
    Column("paused", JsonText, nullable=False),
    Column("block", BigInteger),
    Column("updated_ms", BigInteger, nullable=False),
)
"""Limits of a scope in an asset: those that were set (`platform`) and those read from a
contract (`chain`, with the functions paused there)."""

risk_lock_table = Table("risk_lock", metadata, Column("asset", Text, primary_key=True))
"""Whoever counts a flow of an asset holds its row until the commit."""

risk_flow_table = Table(
    "risk_flow",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("function", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("pool_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", BigInt, nullable=False),
    Column("returned_ms", BigInteger),
    Column("folded_ms", BigInteger),
    Column("asked", Boolean, nullable=False, server_default=text("true")),
    Index(
        "ix_risk_flow_unfolded",
        "asset",
        sqlite_where=text(UNFOLDED),
        postgresql_where=text(UNFOLDED),
    ),
    Index(None, "user_id", "asset", "at_ms"),
    Index(None, "at_ms"),
)
"""What was admitted or seen, one row each; `folded_ms`: when what came back left the sums by
minute; `asked`: the platform was asked for it, else people did it by themselves."""

risk_sum_table = Table(
    "risk_sum",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("span_ms", BigInteger, primary_key=True),
    Column("begin_ms", BigInteger, primary_key=True),
    Column("money_in", BigInt, nullable=False),
    Column("money_out", BigInt, nullable=False),
    Column("asked_out", BigInt, nullable=False, server_default="0"),
    Index(None, "begin_ms"),
)
"""The same, summed by scope and span: each minute and each hour. A window is the hours in it
and the minutes before the first of them. `asked_out`: the part of `money_out` that was asked for."""

risk_hold_table = Table(
    "risk_hold",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("functions", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("exits_because", Text, nullable=False),
    Column("details", JsonText, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reset_role", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("ended_by", Text, nullable=False),
    Column("end_reason", Text, nullable=False),
    Index(
        "uq_risk_hold_open",
        "kind",
        "scope",
        "asset",
        "functions",
        unique=True,
        sqlite_where=text(OPEN),
        postgresql_where=text(OPEN),
    ),
    Index(None, "scope", "id"),
)

risk_violation_table = Table(
    "risk_violation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("repeat_key", Text),
    Column("function", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("pool_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", BigInt, nullable=False),
    Column("reference", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("limit_units", BigInt),
    Column("used_units", BigInt),
    Column("message", Text, nullable=False),
    Column("hold_id", Text),
    UniqueConstraint("repeat_key"),
    Index(None, "pool_id", "id"),
    Index(None, "user_id", "id"),
    Index(None, "product", "id"),
    Index(None, "at_ms"),
)

risk_rate_table = Table(
    "risk_rate",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", BigInt, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
"""Rates as they were seen last."""
