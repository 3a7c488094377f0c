"""The tables of intents: rows, their events, superseded bodies, lanes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from millpond.store import JsonText, metadata

intent_table = Table(
    "intent",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("lane", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("body", LargeBinary),
    Column("identity", Text),
    Column("details", JsonText, nullable=False),
    Column("depth", BigInteger, nullable=False),
    Column("round", Integer, nullable=False),
    Column("sends", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("locked_by", Text),
    Column("locked_ms", BigInteger),
    Column("lease_until_ms", BigInteger),
    Column("due_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("reason", Text, nullable=False),
    Column("frozen_from", Text),
    Column("created_ms", BigInteger, nullable=False),
    Column("entered_ms", BigInteger, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("refused", Text, nullable=False),
    UniqueConstraint("kind", "key"),
    UniqueConstraint("kind", "identity"),
    Index("ix_intent_state_due_ms", "state", "due_ms"),
    Index("ix_intent_kind_created_ms", "kind", "created_ms"),
)

intent_event_table = Table(
    "intent_event",
    metadata,
    Column("intent_id", Text, ForeignKey("intent.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_intent_event_at_ms", "at_ms"),
)

intent_superseded_table = Table(
    "intent_superseded",
    metadata,
    Column("intent_id", Text, ForeignKey("intent.id"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("identity", Text, nullable=False),
    Column("details", JsonText, nullable=False),
    Column("sends", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)

intent_lane_table = Table(
    "intent_lane",
    metadata,
    Column("lane", Text, primary_key=True),
    Column("intent_id", Text, ForeignKey("intent.id")),
)
