"""What can be asked of the ledger; nothing here changes a transfer or a balance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, insert, select

from millpond.clock import Clock
from millpond.money import tables
from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Amount, Asset
from millpond.money.books import account_of, balance_of
from millpond.money.errors import BalanceMismatchError, InvalidTransferError
from millpond.money.model import Balance, Discrepancy, Kind, Posted, StatementLine, TrialLine
from millpond.money.rows import posted_of, select_transfers
from millpond.money.verify import verify
from millpond.store.engine import Tx
from millpond.store.sql import any_of

MAX_PAGE = 10_000
"""Most rows that one question answers."""


class Questions:
    """The reading half of `Ledger`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def balances(self, tx: Tx, accounts: Sequence[Account]) -> dict[Account, Balance]:
        """Balance of each account; zero for those that were never used."""
        answer = {account: _zero(account) for account in accounts}
        paths = [account.path for account in answer]
        query = select(tables.accounts).where(any_of(tx, tables.accounts.c.path, paths))
        for row in await tx.execute(query):
            account = account_of(row)
            if account in answer:
                answer[account] = balance_of(row, account.asset)
        return answer

    async def balance(self, tx: Tx, account: Account) -> Balance:
        """Balance of one account; zero if it was never used."""
        return (await self.balances(tx, [account]))[account]

    async def accounts(
        self,
        tx: Tx,
        *,
        type: AccountType | None = None,  # noqa: A002 - the field's own word
        owner: str | None = None,
        owner_prefix: str | None = None,
        name: str | None = None,
        asset: Asset | None = None,
        limit: int = 1000,
        after: Account | None = None,
    ) -> list[tuple[Account, Balance]]:
        """Accounts that match all that is given, in the order they were opened.

        Args:
            tx: A transaction.
            type: Of this type.
            owner: Of exactly this owner.
            owner_prefix: Of owners that begin like this, case counting.
            name: With this name.
            asset: In this asset.
            limit: At most so many.
            after: Only those opened after this one: the last of the page before.
        """
        columns = tables.accounts.c
        query = select(tables.accounts).order_by(columns.id).limit(_bounded(limit))
        exact = {
            "type": None if type is None else type.value,
            "owner": owner,
            "name": name,
            "asset": None if asset is None else asset.code,
        }
        for column, value in exact.items():
            if value is not None:
                query = query.where(columns[column] == value)
        if owner_prefix is not None:
            query = query.where(func.substr(columns.owner, 1, len(owner_prefix)) == owner_prefix)
        if after is not None:
            last = select(columns.id).where(columns.path == after.path).scalar_subquery()
            query = query.where(columns.id > last)
        found = ((account_of(row), row) for row in await tx.execute(query))
        return [(account, balance_of(row, account.asset)) for account, row in found]

    async def statement(
        self, tx: Tx, account: Account, *, after: int | None = None, limit: int = 100
    ) -> list[StatementLine]:
        """An account's lines, oldest first, each with the posted balance after it.

        Args:
            tx: A transaction.
            account: The account.
            after: Only lines behind this position (`transfer.seq` of the page before).
            limit: At most so many.
        """
        columns = tables.transfers.c
        lookup = select(tables.accounts.c.id).where(tables.accounts.c.path == account.path)
        account_id = (await tx.execute(lookup)).scalar()
        rows: list[Any] = []
        for side in (columns.debit_id, columns.credit_id):
            query = select_transfers().where(side == account_id, columns.seq > (after or 0))
            rows += await tx.execute(query.order_by(columns.seq).limit(_bounded(limit)))
        rows.sort(key=lambda row: int(row.seq))
        return [_line(row, account, debits=row.debit_id == account_id) for row in rows[:limit]]

    async def transfer(self, tx: Tx, transfer_id: str) -> Posted | None:
        """The row with that id, if there is one."""
        query = select_transfers().where(tables.transfers.c.id == transfer_id)
        row = (await tx.execute(query)).one_or_none()
        return None if row is None else posted_of(row)

    async def transfers_by_reference(
        self, tx: Tx, reference: str, *, after: int | None = None, limit: int = MAX_PAGE
    ) -> list[Posted]:
        """Rows with that reference, oldest first."""
        columns = tables.transfers.c
        query = (
            select_transfers()
            # The second condition lets both databases use the partial index.
            .where(columns.reference == reference, columns.reference != "")
            .where(columns.seq > (after or 0))
            .order_by(columns.seq)
            .limit(_bounded(limit))
        )
        return [posted_of(row) for row in await tx.execute(query)]

    async def resolution_of(self, tx: Tx, pending_id: str) -> Posted | None:
        """How a pending transfer ended; None while it is open."""
        query = select_transfers().where(tables.transfers.c.pending_id == pending_id)
        row = (await tx.execute(query)).one_or_none()
        return None if row is None else posted_of(row)

    async def assert_balance(
        self, tx: Tx, account: Account, expected: Amount, *, source: str
    ) -> None:
        """Store that `source` says what the posted balance is; complain if it is not.

        The assertion is stored in either case; a caller that wants to keep a
        failed one catches the error inside the transaction and commits.

        Raises:
            BalanceMismatchError: The posted balance is another.
        """
        if expected.asset != account.asset:
            raise InvalidTransferError("a balance is asserted in the account's own asset")
        found = (await self.balance(tx, account)).posted
        last = select(func.coalesce(func.max(tables.transfers.c.seq), 0)).scalar_subquery()
        await tx.execute(
            insert(tables.assertions).values(
                path=account.path,
                expected=expected.units,
                found=found.units,
                holds=found == expected,
                source=source,
                at_ms=self._clock.now_ms(),
                seq=last,
            )
        )
        if found != expected:
            raise BalanceMismatchError(
                f"{source} says {expected}, the ledger says {found}",
                account=account.path,
                expected=str(expected.units),
                found=str(found.units),
            )

    async def trial_balance(self, tx: Tx) -> list[TrialLine]:
        """Sums by asset and account type; posted debits equal credits per asset."""
        lines: dict[tuple[str, AccountType], TrialLine] = {}
        query = select(tables.accounts).execution_options(yield_per=1000)
        async for row in await tx.stream(query):
            asset = Asset(row.asset, row.decimals)
            key = (row.asset, AccountType(row.type))
            held = balance_of(row, asset)
            line = lines.get(key)
            lines[key] = (
                TrialLine(key[0], key[1], 1, held)
                if line is None
                else TrialLine(key[0], key[1], line.accounts + 1, _sum(line.balance, held))
            )
        return [lines[key] for key in sorted(lines)]

    async def verify(self, tx: Tx) -> list[Discrepancy]:
        """Recompute everything from the transfers; an empty list means all is well."""
        return await verify(tx)


def _zero(account: Account) -> Balance:
    nothing = account.asset.amount(0)
    return Balance(account.type, nothing, nothing, nothing, nothing)


def _sum(one: Balance, other: Balance) -> Balance:
    return Balance(
        one.type,
        one.debits_posted + other.debits_posted,
        one.credits_posted + other.credits_posted,
        one.debits_pending + other.debits_pending,
        one.credits_pending + other.credits_pending,
    )


_MOVES = frozenset({Kind.POSTED, Kind.POST})


def _line(row: Any, account: Account, *, debits: bool) -> StatementLine:
    posted = posted_of(row)
    units = posted.amount.units if posted.kind in _MOVES else 0
    sign = 1 if debits == account.type.debit_normal else -1
    after = row.debit_after if debits else row.credit_after
    return StatementLine(posted, account.asset.amount(sign * units), account.asset.amount(after))


def _bounded(limit: int) -> int:
    assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} rows"
    return limit
