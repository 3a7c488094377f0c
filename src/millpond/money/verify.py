"""Recompute the ledger from its transfers and compare with what is kept beside them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import select

from millpond.money import tables
from millpond.money.model import Discrepancy, Kind
from millpond.store.engine import Tx

_SUMS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")


async def verify(tx: Tx) -> list[Discrepancy]:
    """Read all transfers in order, once, and check every rule that must hold.

    Checked: the four sums and `available` of each account; that guarded
    accounts are not below zero, now or after any transfer; the running
    balances in the transfers; that each end belongs to one pending transfer,
    its accounts and at most its amount; that the open rows are the pending
    transfers without an end; that an asset's debits equal its credits.

    Memory grows with the number of accounts and of open reservations.
    """
    accounts = {row.id: row for row in await tx.execute(select(tables.accounts))}
    replay = _Replay(accounts)
    query = (
        select(tables.transfers).order_by(tables.transfers.c.seq).execution_options(yield_per=1000)
    )
    async for row in await tx.stream(query):
        replay.take(row)
    for row in accounts.values():
        replay.compare(row)
    open_rows = {row.seq: row.expires_ms for row in await tx.execute(select(tables.pending))}
    replay.compare_open(open_rows)
    replay.compare_assets()
    return replay.found


class _Replay:
    """The ledger as the transfers alone tell it."""

    def __init__(self, accounts: dict[int, Any]) -> None:
        self.found: list[Discrepancy] = []
        self._accounts = accounts
        self._sums: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_SUMS, 0))
        self._open: dict[str, Any] = {}

    def take(self, row: Any) -> None:
        """Apply one transfer."""
        debit, credit = self._sums[row.debit_id], self._sums[row.credit_id]
        kind = Kind(row.kind)
        if kind is Kind.PENDING:
            self._open[row.id] = row
            debit["debits_pending"] += row.amount
            credit["credits_pending"] += row.amount
        elif kind is not Kind.POSTED:
            self._close(row, kind, debit, credit)
        if kind in {Kind.POSTED, Kind.POST}:
            debit["debits_posted"] += row.amount
            credit["credits_posted"] += row.amount
        for account_id, after in (
            (row.debit_id, row.debit_after),
            (row.credit_id, row.credit_after),
        ):
            self._check("running_balance", row.id, self._posted(account_id), after)
            self._check_floor(account_id, row.id)

    def compare(self, row: Any) -> None:
        """Compare an account's kept sums with the recomputed ones."""
        for name, value in self._sums[row.id].items():
            self._check(name, row.path, value, getattr(row, name))
        self._check("available", row.path, self._available(row.id), row.available)

    def compare_open(self, rows: dict[int, int | None]) -> None:
        """Compare the open rows with the pending transfers that have no end."""
        for pending in self._open.values():
            due = None if pending.timeout_ms is None else pending.created_ms + pending.timeout_ms
            self._check("open_pending", pending.id, due, rows.pop(pending.seq, "no open row"))
        for seq in rows:
            self._check("open_pending", f"seq {seq}", "no open row", "an open row")

    def compare_assets(self) -> None:
        """Check that debits equal credits in every asset."""
        totals: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_SUMS, 0))
        for row in self._accounts.values():
            for name in _SUMS:
                totals[row.asset][name] += getattr(row, name)
        for asset, sums in sorted(totals.items()):
            self._check("asset_posted", asset, sums["debits_posted"], sums["credits_posted"])
            self._check("asset_pending", asset, sums["debits_pending"], sums["credits_pending"])

    def _close(self, row: Any, kind: Kind, debit: dict[str, int], credit: dict[str, int]) -> None:
        pending = self._open.pop(row.pending_id, None)
        if pending is None:
            self._check("resolution", row.id, "an open pending transfer", "none")
            return
        debit["debits_pending"] -= pending.amount
        credit["credits_pending"] -= pending.amount
        self._check("resolution_accounts", row.id, _sides(pending), _sides(row))
        within = row.amount <= pending.amount if kind is Kind.POST else row.amount == pending.amount
        if not within:
            self._check("resolution_amount", row.id, pending.amount, row.amount)

    def _posted(self, account_id: int) -> int:
        sums = self._sums[account_id]
        net = sums["debits_posted"] - sums["credits_posted"]
        return net if self._debit_normal(account_id) else -net

    def _available(self, account_id: int) -> int:
        side = "credits_pending" if self._debit_normal(account_id) else "debits_pending"
        return self._posted(account_id) - self._sums[account_id][side]

    def _debit_normal(self, account_id: int) -> bool:
        return self._accounts[account_id].type in {"asset", "expense"}

    def _check_floor(self, account_id: int, transfer_id: str) -> None:
        row = self._accounts[account_id]
        free = self._available(account_id)
        if row.type in {"asset", "liability"} and not row.overdraft and free < 0:
            self._check("below_zero", f"{row.path} after {transfer_id}", "0 or more", free)

    def _check(self, kind: str, subject: str, expected: object, found: object) -> None:
        if expected != found:
            self.found.append(Discrepancy(kind, subject, str(expected), str(found)))


def _sides(row: Any) -> tuple[int, int]:
    return row.debit_id, row.credit_id
