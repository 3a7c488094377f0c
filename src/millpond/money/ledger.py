"""The double-entry ledger: post, reserve, resolve, expire; and ask.

Every method takes a transaction of `Store.begin` (or `Store.read`, for
questions) and never commits. A call is all or nothing: when it raises, none
of its transfers was booked. A call that repeats transfers already booked
answers with the rows of the first time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from millpond.money import tables
from millpond.money.accounts import Account, AccountType
from millpond.money.books import Book, Books, create_accounts, insert_transfers, next_seqs
from millpond.money.errors import (
    InvalidTransferError,
    LedgerConflictError,
    PendingExpiredError,
    PendingResolvedError,
    UnknownPendingError,
)
from millpond.money.model import Kind, Posted, Resolution, Transfer
from millpond.money.questions import Questions
from millpond.money.rows import posted_of, resolved_ids, transfers_by_id
from millpond.store.engine import Tx
from millpond.store.sql import any_of

MAX_BATCH = 100_000
"""Most transfers in one call; a call's working set is held in memory."""

MAX_TIMEOUT_MS = 10 * 366 * 24 * 3600 * 1000
"""Longest time a pending transfer may be given: ten years."""

_ID = re.compile(r"[\x21-\x7e]{1,128}")
_CODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}", re.ASCII)
_REFERENCE = re.compile(r"[^\x00-\x1f\x7f]{0,256}")
_EXPIRED_PREFIX = "expired:"


class Ledger(Questions):
    """All amounts of the platform; see docs/ledger.md."""

    async def open_account(self, tx: Tx, account: Account, *, overdraft: bool = False) -> None:
        """Make an account with its terms; without this, first use makes it.

        Args:
            tx: A write transaction.
            account: The account.
            overdraft: The posted balance may go below zero; only for assets.

        Raises:
            InvalidTransferError: Overdraft for an account that is no asset.
            LedgerConflictError: It exists with other terms.
        """
        if overdraft and account.type is not AccountType.ASSET:
            raise InvalidTransferError("only an asset account can be opened with overdraft")
        await create_accounts(tx, [account], overdraft=overdraft, now_ms=self._clock.now_ms())
        terms = select(tables.accounts.c.overdraft).where(tables.accounts.c.path == account.path)
        if (await tx.execute(terms)).scalar_one() != overdraft:
            raise LedgerConflictError(
                "the account exists with other terms on overdraft", account=account.path
            )

    async def post(self, tx: Tx, transfers: Sequence[Transfer]) -> list[Posted]:
        """Move amounts at once, in the order given, all or none.

        Raises:
            InvalidTransferError: A transfer that no ledger could book.
            InsufficientFundsError: A liability or asset would go below zero.
            LedgerConflictError: An id was used before with another body.
        """
        return await self._book(tx, Kind.POSTED, transfers, timeout_ms=None)

    async def reserve(
        self, tx: Tx, transfers: Sequence[Transfer], *, timeout_ms: int | None = None
    ) -> list[Posted]:
        """Reserve amounts: they leave `available` now and move when posted.

        Args:
            tx: A write transaction.
            transfers: What to reserve.
            timeout_ms: How long; after that only void or expiry can end it. None: for ever.

        Raises:
            InvalidTransferError: A transfer that no ledger could book.
            InsufficientFundsError: A liability or asset would go below zero.
            LedgerConflictError: An id was used before with another body.
        """
        if timeout_ms is not None and not 0 < timeout_ms <= MAX_TIMEOUT_MS:
            raise InvalidTransferError("a time-out is more than nothing and at most ten years")
        return await self._book(tx, Kind.PENDING, transfers, timeout_ms=timeout_ms)

    async def post_pending(self, tx: Tx, resolutions: Sequence[Resolution]) -> list[Posted]:
        """Move what was reserved, or a part of it: the rest returns.

        Raises:
            InvalidTransferError: The amount is not between one and what was reserved.
            UnknownPendingError: No pending transfer has that id.
            PendingResolvedError: It was resolved under another id.
            PendingExpiredError: Its time is over.
            LedgerConflictError: An id was used before with another body.
        """
        return await self._resolve(tx, Kind.POST, resolutions)

    async def void_pending(self, tx: Tx, resolutions: Sequence[Resolution]) -> list[Posted]:
        """Return what was reserved, all of it; also after its time is over.

        Raises:
            InvalidTransferError: An amount was given.
            UnknownPendingError: No pending transfer has that id.
            PendingResolvedError: It was resolved under another id.
            LedgerConflictError: An id was used before with another body.
        """
        if any(resolution.amount is not None for resolution in resolutions):
            raise InvalidTransferError("a void returns all and takes no amount")
        return await self._resolve(tx, Kind.VOID, resolutions)

    async def expire_pending(self, tx: Tx, *, limit: int = 1000) -> list[str]:
        """Return what was reserved by pending transfers whose time is over.

        Returns:
            Ids of the pending transfers that were ended now, oldest first.
        """
        assert 0 < limit <= MAX_BATCH, "a limit is within bounds"
        due = (
            select(tables.transfers.c.id)
            .join(tables.pending, tables.pending.c.seq == tables.transfers.c.seq)
            .where(tables.pending.c.expires_ms <= self._clock.now_ms())
            .order_by(tables.pending.c.expires_ms, tables.pending.c.seq)
            .limit(limit)
        )
        ids = list((await tx.execute(due)).scalars())
        wanted = [Resolution(_EXPIRED_PREFIX + pending_id, pending_id) for pending_id in ids]
        booked = await self._resolve(tx, Kind.EXPIRED, wanted)
        return [posted.pending_id for posted in booked if posted.pending_id is not None]

    async def _book(
        self, tx: Tx, kind: Kind, transfers: Sequence[Transfer], *, timeout_ms: int | None
    ) -> list[Posted]:
        for transfer in transfers:
            _check_transfer(transfer)
        _check_size(transfers)
        if not transfers:
            return []
        now_ms = self._clock.now_ms()
        accounts = {a for transfer in transfers for a in (transfer.debit, transfer.credit)}
        books = await Books.for_accounts(tx, accounts, now_ms=now_ms)
        rows = await transfers_by_id(tx, [transfer.id for transfer in transfers])
        batch = _Batch(books, await next_seqs(tx, len(transfers)), rows)
        for transfer in transfers:
            wanted = _wanted(kind, transfer, timeout_ms, now_ms, seq=batch.next_seq)
            if not batch.repeats(wanted):
                debit, credit = books.by_account[transfer.debit], books.by_account[transfer.credit]
                books.apply(kind, debit, credit, transfer.amount.units)
                batch.add(wanted, debit, credit)
        await batch.write(tx)
        return batch.answers

    async def _resolve(self, tx: Tx, kind: Kind, resolutions: Sequence[Resolution]) -> list[Posted]:
        _check_size(resolutions)
        for resolution in resolutions:
            _check_resolution(resolution, ours=kind is Kind.EXPIRED)
        if not resolutions:
            return []
        now_ms = self._clock.now_ms()
        # Pending rows never change, so they may be read before the locks are taken;
        # whether they are resolved already may not.
        pendings = await transfers_by_id(tx, [r.pending_id for r in resolutions])
        _check_pendings(resolutions, pendings)
        touched = {i for row in pendings.values() for i in (row.debit_id, row.credit_id)}
        books = await Books.for_ids(tx, touched)
        rows = await transfers_by_id(tx, [r.id for r in resolutions])
        ended = await resolved_ids(tx, list(pendings))
        batch = _Batch(books, await next_seqs(tx, len(resolutions)), rows)
        for resolution in resolutions:
            row = pendings[resolution.pending_id]
            pending = posted_of(row)
            wanted = _wanted_resolution(kind, resolution, pending, now_ms, seq=batch.next_seq)
            if batch.repeats(wanted):
                continue
            if pending.id in ended:
                if kind is Kind.EXPIRED:
                    continue  # Somebody was quicker between the look and the lock.
                raise PendingResolvedError(
                    f"the pending transfer was ended before ({ended[pending.id]})", id=pending.id
                )
            if kind is Kind.POST and _is_over(pending, now_ms):
                raise PendingExpiredError("the pending transfer's time is over", id=pending.id)
            debit, credit = books.by_id[row.debit_id], books.by_id[row.credit_id]
            moved = wanted.amount.units if kind is Kind.POST else 0
            books.apply(kind, debit, credit, moved, reserved=pending.amount.units)
            ended[pending.id] = kind.value
            batch.add(wanted, debit, credit)
            batch.closed.append(pending.seq)
        await batch.write(tx)
        return batch.answers


class _Batch:
    """What one call has booked so far and what it will answer.

    Args:
        books: The accounts, locked.
        seqs: A position for each transfer of the call; what is repeated leaves its own empty.
        known: Rows booked before under ids of the call.
    """

    def __init__(self, books: Books, seqs: Sequence[int], known: Mapping[str, Any]) -> None:
        self.answers: list[Posted] = []
        self.closed: list[int] = []
        self._books = books
        self._seqs = seqs
        self._known = {row_id: posted_of(row) for row_id, row in known.items()}
        self._rows: list[dict[str, Any]] = []

    @property
    def next_seq(self) -> int:
        """The position of what is booked next."""
        return self._seqs[len(self._rows)]

    def repeats(self, wanted: Posted) -> bool:
        """True, and answered, if the same was booked before.

        Raises:
            LedgerConflictError: Something else was booked under that id.
        """
        earlier = self._known.get(wanted.id)
        if earlier is None:
            return False
        if replace(wanted, seq=earlier.seq, created_ms=earlier.created_ms) != earlier:
            raise LedgerConflictError(
                "that transfer id was used before with another body", id=wanted.id
            )
        self.answers.append(earlier)
        return True

    def add(self, posted: Posted, debit: Book, credit: Book) -> None:
        """Note a transfer that has just been applied to the books."""
        self._known[posted.id] = posted
        self.answers.append(posted)
        self._rows.append(
            {
                "seq": posted.seq,
                "id": posted.id,
                "kind": posted.kind.value,
                "debit_id": debit.id,
                "credit_id": credit.id,
                "asset": posted.amount.asset.code,
                "amount": posted.amount.units,
                "debit_after": debit.posted,
                "credit_after": credit.posted,
                "code": posted.code,
                "reference": posted.reference,
                "pending_id": posted.pending_id,
                "timeout_ms": posted.timeout_ms,
                "created_ms": posted.created_ms,
            }
        )

    async def write(self, tx: Tx) -> None:
        """Write rows, sums and open pendings."""
        if not self._rows:
            return
        try:
            await insert_transfers(tx, self._rows)
        except IntegrityError as error:
            # Whoever uses the same id with the same accounts waits for their locks,
            # so only another body gets here at the same time.
            raise LedgerConflictError(
                "a transfer id was used at the same time with another body"
            ) from error
        if self.closed:
            gone = await tx.execute(
                delete(tables.pending).where(any_of(tx, tables.pending.c.seq, self.closed))
            )
            assert gone.rowcount == len(self.closed), "what is resolved was open"
        await self._books.save(tx)


def _wanted(
    kind: Kind, transfer: Transfer, timeout_ms: int | None, now_ms: int, *, seq: int
) -> Posted:
    return Posted(
        seq=seq,
        id=transfer.id,
        kind=kind,
        debit=transfer.debit,
        credit=transfer.credit,
        amount=transfer.amount,
        code=transfer.code,
        reference=transfer.reference,
        pending_id=None,
        timeout_ms=timeout_ms,
        created_ms=now_ms,
    )


def _wanted_resolution(
    kind: Kind, resolution: Resolution, pending: Posted, now_ms: int, *, seq: int
) -> Posted:
    amount = pending.amount if resolution.amount is None else resolution.amount
    if amount.asset != pending.amount.asset or not 0 < amount.units <= pending.amount.units:
        raise InvalidTransferError(
            f"of {pending.amount} one unit to all of it can be posted", id=resolution.id
        )
    return replace(
        pending,
        seq=seq,
        id=resolution.id,
        kind=kind,
        amount=amount,
        reference=resolution.reference or pending.reference,
        pending_id=pending.id,
        timeout_ms=None,
        created_ms=now_ms,
    )


def _is_over(pending: Posted, now_ms: int) -> bool:
    return pending.expires_ms is not None and pending.expires_ms <= now_ms


def _check_size(items: Sequence[object]) -> None:
    if len(items) > MAX_BATCH:
        raise InvalidTransferError(f"at most {MAX_BATCH} transfers go into one call")


def _check_id(value: str) -> None:
    if not _ID.fullmatch(value) or value.startswith(_EXPIRED_PREFIX):
        raise InvalidTransferError("a transfer id is 1 to 128 printable characters", id=value[:128])


def _check_resolution(resolution: Resolution, *, ours: bool) -> None:
    if not ours:
        _check_id(resolution.id)
    if not _REFERENCE.fullmatch(resolution.reference):
        raise InvalidTransferError("a reference has at most 256 characters", id=resolution.id)


def _check_pendings(resolutions: Sequence[Resolution], pendings: dict[str, Any]) -> None:
    for resolution in resolutions:
        row = pendings.get(resolution.pending_id)
        if row is None or row.kind != Kind.PENDING.value:
            raise UnknownPendingError(
                "no pending transfer has that id", id=resolution.pending_id[:128]
            )


_RULES: tuple[tuple[Callable[[Transfer], bool], str], ...] = (
    (lambda t: t.amount.units > 0, "an amount is more than zero"),
    (lambda t: t.debit != t.credit, "a transfer goes from one account to another"),
    (
        lambda t: t.debit.asset == t.credit.asset == t.amount.asset,
        "a transfer and both of its accounts have one asset",
    ),
    (lambda t: _CODE.fullmatch(t.code) is not None, "a code is a short lower-case word"),
    (
        lambda t: _REFERENCE.fullmatch(t.reference) is not None,
        "a reference has at most 256 characters",
    ),
)


def _check_transfer(transfer: Transfer) -> None:
    _check_id(transfer.id)
    for holds, sentence in _RULES:
        if not holds(transfer):
            raise InvalidTransferError(sentence, id=transfer.id)
