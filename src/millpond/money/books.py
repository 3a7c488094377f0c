"""The account rows of one call, locked, in memory, and back into the table.

A call of the ledger locks every account that it touches, works on the sums in
Python (SQLite's integers are too small for them), and writes each changed row
once. On PostgreSQL the rows are locked in the order of their ids, so that two
calls can wait for each other but never in a circle; on SQLite a write
transaction is alone anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Row, func, select

from millpond.money import tables
from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Amount, Asset
from millpond.money.errors import InsufficientFundsError, LedgerConflictError, LedgerOverflowError
from millpond.money.model import Balance, Kind
from millpond.store.engine import Tx
from millpond.store.sql import any_of, insert_many, update_many

_LIMIT = 10**78


def account_of(row: Row[Any] | Any) -> Account:
    """The account that a row of `ledger_account` describes."""
    return Account(AccountType(row.type), row.owner, row.name, _asset(row.asset, row.decimals))


@lru_cache(maxsize=1024)
def _asset(code: str, decimals: int) -> Asset:
    """One value an asset: a call may read ten thousand accounts of it."""
    return Asset(code, decimals)


def balance_of(row: Row[Any] | Any, asset: Asset) -> Balance:
    """The balance that a row of `ledger_account` holds."""
    return Balance(
        AccountType(row.type),
        Amount(row.debits_posted, asset),
        Amount(row.credits_posted, asset),
        Amount(row.debits_pending, asset),
        Amount(row.credits_pending, asset),
    )


class Book:
    """One account's sums while a call works on them."""

    __slots__ = (
        "account",
        "changed",
        "credits_pending",
        "credits_posted",
        "debit_normal",
        "debits_pending",
        "debits_posted",
        "guarded",
        "id",
    )

    def __init__(self, row: Any, account: Account) -> None:
        self.id: int = row.id
        self.account = account
        self.debit_normal = self.account.type.debit_normal
        self.guarded = self.account.type.guarded and not row.overdraft
        self.debits_posted: int = row.debits_posted
        self.credits_posted: int = row.credits_posted
        self.debits_pending: int = row.debits_pending
        self.credits_pending: int = row.credits_pending
        self.changed = False

    @property
    def posted(self) -> int:
        """Posted balance in the normal sign."""
        net = self.debits_posted - self.credits_posted
        return net if self.debit_normal else -net

    @property
    def available(self) -> int:
        """Posted balance less what is reserved to leave."""
        return self.posted - (self.credits_pending if self.debit_normal else self.debits_pending)

    def values(self) -> dict[str, int]:
        """What is written back."""
        return {
            "id": self.id,
            "debits_posted": self.debits_posted,
            "credits_posted": self.credits_posted,
            "debits_pending": self.debits_pending,
            "credits_pending": self.credits_pending,
            "available": self.available,
        }


class Books:
    """All accounts of one call, locked until the transaction ends."""

    def __init__(self, books: Iterable[Book]) -> None:
        self.by_id = {book.id: book for book in books}
        self.by_account = {book.account: book for book in self.by_id.values()}

    @classmethod
    async def for_accounts(cls, tx: Tx, accounts: Collection[Account], *, now_ms: int) -> Books:
        """Lock these accounts; those that do not exist are made first.

        Raises:
            LedgerConflictError: The asset has another number of decimals in the books.
        """
        paths = {account.path: account for account in accounts}
        # Made before any is locked: who waits for another's new account holds none then.
        missing = await _missing(tx, paths)
        if missing:
            await create_accounts(tx, missing, overdraft=False, now_ms=now_ms)
        rows = await _locked(tx, tables.accounts.c.path, paths.keys())
        assert len(rows) == len(paths), "every account that was asked for is locked"
        wrong = {row.asset for row in rows if row.decimals != paths[row.path].asset.decimals}
        if len(paths) < len(accounts):
            # Accounts that differ in nothing but decimals have one path between them.
            wrong |= {each.asset.code for each in accounts if paths[each.path] is not each}
        if wrong:
            asset = min(wrong)
            raise LedgerConflictError(
                f"the books count {asset} with another number of decimals", asset=asset
            )
        return cls(Book(row, paths[row.path]) for row in rows)

    @classmethod
    async def for_ids(cls, tx: Tx, ids: Collection[int]) -> Books:
        """Lock the accounts with these row ids, in the order of the ids."""
        return cls(
            Book(row, account_of(row)) for row in await _locked(tx, tables.accounts.c.id, ids)
        )

    def apply(
        self, kind: Kind, debit: Book, credit: Book, units: int, *, reserved: int = 0
    ) -> None:
        """Change the sums of two accounts by one transfer, or change nothing.

        Args:
            kind: What the transfer does.
            debit: Account to debit.
            credit: Account to credit.
            units: What is moved (`POSTED`, `POST`) or reserved (`PENDING`).
            reserved: What the pending transfer had reserved, if one is resolved.

        Raises:
            InsufficientFundsError: More than is free would leave an account.
            LedgerOverflowError: A sum would need more than 78 digits.
        """
        assert units >= 0, "a transfer goes forwards"
        assert debit.account.asset == credit.account.asset, "a transfer has one asset"
        if kind is Kind.POSTED or kind is Kind.PENDING:
            _check_free(debit, units if not debit.debit_normal else 0)
            _check_free(credit, units if credit.debit_normal else 0)
        if _largest(debit) + units >= _LIMIT or _largest(credit) + units >= _LIMIT:
            raise LedgerOverflowError("a balance has at most 78 digits")
        if kind is Kind.PENDING:
            debit.debits_pending += units
            credit.credits_pending += units
        else:
            debit.debits_pending -= reserved
            credit.credits_pending -= reserved
            debit.debits_posted += units
            credit.credits_posted += units
        debit.changed = credit.changed = True
        _assert_sane(debit)
        _assert_sane(credit)

    async def save(self, tx: Tx) -> None:
        """Write every changed account back."""
        changed = [book.values() for book in self.by_id.values() if book.changed]
        await update_many(tx, tables.accounts, "id", changed)


def _largest(book: Book) -> int:
    return max(
        book.debits_posted + book.debits_pending,
        book.credits_posted + book.credits_pending,
    )


def _check_free(book: Book, units: int) -> None:
    if units and book.guarded and book.available < units:
        asset = book.account.asset
        raise InsufficientFundsError(
            f"{asset.amount(units)} is more than is free in the account"
            f" ({asset.amount(book.available)})",
            account=book.account.path,
            available=str(book.available),
            wanted=str(units),
        )


def _assert_sane(book: Book) -> None:
    assert book.debits_pending >= 0, "what is resolved was reserved"
    assert book.credits_pending >= 0, "what is resolved was reserved"
    assert not book.guarded or book.available >= 0, "a guarded account never goes below zero"


async def _locked(tx: Tx, column: Column[Any], values: Collection[int | str]) -> Sequence[Row[Any]]:
    """Rows of accounts, each locked, in the order of the ids."""
    query = (
        select(tables.accounts)
        .where(any_of(tx, column, values))
        .order_by(tables.accounts.c.id)
        .with_for_update(key_share=True)
    )
    return (await tx.execute(query)).all()


async def _missing(tx: Tx, accounts: Mapping[str, Account]) -> list[Account]:
    """Those of the accounts, by path, that do not exist, in the order of their paths."""
    column = tables.accounts.c.path
    known = any_of(tx, column, accounts.keys())
    if (await tx.execute(select(func.count()).where(known))).scalar_one() == len(accounts):
        return []  # As nearly always; counting reads no rows.
    there = set((await tx.execute(select(column).where(known))).scalars())
    return [accounts[path] for path in sorted(accounts.keys() - there)]


async def create_accounts(
    tx: Tx, accounts: Collection[Account], *, overdraft: bool, now_ms: int
) -> None:
    """Insert accounts (and their assets) that are not there yet, with zero sums.

    In the order given, which callers sort, so that two transactions making
    the same accounts wait for each other in one direction only.

    Raises:
        LedgerConflictError: The asset has another number of decimals in the books.
    """
    decimals = {account.asset.code: account.asset.decimals for account in accounts}
    assets = [{"code": code, "decimals": places} for code, places in sorted(decimals.items())]
    await insert_many(tx, tables.assets, assets, ignore=True)
    known = select(tables.assets).where(any_of(tx, tables.assets.c.code, list(decimals)))
    for row in await tx.execute(known):
        if row.decimals != decimals[row.code]:
            raise LedgerConflictError(
                f"the books count {row.code} with {row.decimals} decimals", asset=row.code
            )
    zero = dict.fromkeys(_SUMS, 0)
    await insert_many(
        tx,
        tables.accounts,
        [
            {
                "path": account.path,
                "type": account.type.value,
                "owner": account.owner,
                "name": account.name,
                "asset": account.asset.code,
                "decimals": account.asset.decimals,
                "overdraft": overdraft,
                "created_ms": now_ms,
                **zero,
            }
            for account in accounts
        ],
        ignore=True,
    )


_SUMS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending", "available")


async def next_seqs(tx: Tx, count: int) -> list[int]:
    """Reserve `count` positions in the ledger, ascending.

    Taken after the accounts are locked: for one account, the order of
    positions is the order of booking.
    """
    if tx.dialect.name == "postgresql":
        found = await tx.exec_driver_sql(
            "SELECT nextval(pg_get_serial_sequence('ledger_transfer', 'seq'))"
            " FROM generate_series(1, $1)",
            (count,),
        )
        return sorted(seq for (seq,) in found)
    last = (
        await tx.execute(
            select(tables.transfers.c.seq).order_by(tables.transfers.c.seq.desc()).limit(1)
        )
    ).scalar()
    return list(range((last or 0) + 1, (last or 0) + 1 + count))


async def insert_transfers(tx: Tx, rows: list[dict[str, Any]]) -> None:
    """Append rows to the ledger, and open rows for those that are pending."""
    await insert_many(tx, tables.transfers, rows)
    opened = [
        {
            "seq": row["seq"],
            "expires_ms": None
            if row["timeout_ms"] is None
            else row["created_ms"] + row["timeout_ms"],
        }
        for row in rows
        if row["kind"] == Kind.PENDING.value
    ]
    await insert_many(tx, tables.pending, opened)
