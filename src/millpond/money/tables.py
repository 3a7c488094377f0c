"""The ledger's tables. What can be checked by the database is checked there too.

Amounts are text on SQLite (see `BigInt`), so a check that compares amounts
has one wording for each database. Rows of transfers and assertions can
neither be changed nor deleted: triggers refuse it on both.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from millpond.store.guards import refuse_changes
from millpond.store.types import BigInt, metadata

_Id = BigInteger().with_variant(Integer, "sqlite")


def _check(name: str, *, postgresql: str, sqlite: str) -> list[CheckConstraint]:
    return [
        CheckConstraint(postgresql, name=name).ddl_if(dialect="postgresql"),
        CheckConstraint(sqlite, name=name).ddl_if(dialect="sqlite"),
    ]


def _natural(name: str, column: str, *, zero: bool) -> list[CheckConstraint]:
    sqlite = f"{column} GLOB '[1-9]*' AND {column} NOT GLOB '*[^0-9]*'"
    return _check(
        name,
        postgresql=f"{column} >= 0" if zero else f"{column} > 0",
        sqlite=f"{column} = '0' OR ({sqlite})" if zero else sqlite,
    )


assets = Table(
    "ledger_asset",
    metadata,
    Column("code", Text, primary_key=True),
    Column("decimals", Integer, nullable=False),
    UniqueConstraint("code", "decimals"),
    CheckConstraint("decimals BETWEEN 0 AND 36", name="decimals"),
)

accounts = Table(
    "ledger_account",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("path", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("decimals", Integer, nullable=False),
    Column("overdraft", Boolean, nullable=False),
    Column("debits_posted", BigInt, nullable=False),
    Column("credits_posted", BigInt, nullable=False),
    Column("debits_pending", BigInt, nullable=False),
    Column("credits_pending", BigInt, nullable=False),
    Column("available", BigInt, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    UniqueConstraint("id", "asset"),
    ForeignKeyConstraint(["asset", "decimals"], ["ledger_asset.code", "ledger_asset.decimals"]),
    CheckConstraint("type IN ('asset', 'liability', 'income', 'expense', 'equity')", name="type"),
    CheckConstraint("path = type || ':' || owner || ':' || name || ':' || asset", name="path"),
    CheckConstraint("type = 'asset' OR NOT overdraft", name="overdraft"),
    *_natural("debits_posted", "debits_posted", zero=True),
    *_natural("credits_posted", "credits_posted", zero=True),
    *_natural("debits_pending", "debits_pending", zero=True),
    *_natural("credits_pending", "credits_pending", zero=True),
    *_check(
        "never_below_zero",
        postgresql="overdraft OR type NOT IN ('asset', 'liability') OR available >= 0",
        sqlite="overdraft OR type NOT IN ('asset', 'liability') OR available NOT GLOB '-*'",
    ),
    CheckConstraint(
        "available = CASE WHEN type IN ('asset', 'expense')"
        " THEN debits_posted - credits_posted - credits_pending"
        " ELSE credits_posted - debits_posted - debits_pending END",
        name="available",
    ).ddl_if(dialect="postgresql"),
    Index(None, "owner", "name"),
    Index(None, "type", "name"),
)

transfers = Table(
    "ledger_transfer",
    metadata,
    Column("seq", _Id, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("debit_id", _Id, nullable=False),
    Column("credit_id", _Id, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", BigInt, nullable=False),
    Column("debit_after", BigInt, nullable=False),
    Column("credit_after", BigInt, nullable=False),
    Column("code", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("pending_id", Text, ForeignKey("ledger_transfer.id"), nullable=True, unique=True),
    Column("timeout_ms", BigInteger, nullable=True),
    Column("created_ms", BigInteger, nullable=False),
    # Both accounts are of the transfer's asset: the database says so.
    ForeignKeyConstraint(["debit_id", "asset"], ["ledger_account.id", "ledger_account.asset"]),
    ForeignKeyConstraint(["credit_id", "asset"], ["ledger_account.id", "ledger_account.asset"]),
    CheckConstraint("kind IN ('posted', 'pending', 'post', 'void', 'expired')", name="kind"),
    CheckConstraint("debit_id <> credit_id", name="two_accounts"),
    CheckConstraint("(pending_id IS NULL) = (kind IN ('posted', 'pending'))", name="pending_id"),
    CheckConstraint("timeout_ms IS NULL OR (kind = 'pending' AND timeout_ms > 0)", name="timeout"),
    *_natural("amount", "amount", zero=False),
    Index(None, "debit_id", "seq"),
    Index(None, "credit_id", "seq"),
    Index(
        "ix_ledger_transfer_reference",
        "reference",
        "seq",
        postgresql_where=text("reference <> ''"),
        sqlite_where=text("reference <> ''"),
    ),
)
"""`debit_after` and `credit_after` are the posted balances of the two accounts
behind this row, in their normal sign: what a statement shows."""

pending = Table(
    "ledger_pending",
    metadata,
    Column("seq", _Id, ForeignKey("ledger_transfer.seq"), primary_key=True, autoincrement=False),
    Column("expires_ms", BigInteger, nullable=True, index=True),
)
"""One row for each pending transfer that is still open; it goes when resolved."""

assertions = Table(
    "ledger_assertion",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("path", Text, nullable=False, index=True),
    Column("expected", BigInt, nullable=False),
    Column("found", BigInt, nullable=False),
    Column("holds", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
)
"""Balance assertions: who said what a posted balance had to be, and what it was."""

refuse_changes(transfers)
refuse_changes(assertions)
refuse_changes(accounts, columns="id, path, type, owner, name, asset, decimals, overdraft")
