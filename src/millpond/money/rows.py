"""Reading the ledger's rows back as `Posted`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, select

from millpond.money import tables
from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Amount, Asset
from millpond.money.model import Kind, Posted
from millpond.store.engine import Tx
from millpond.store.sql import any_of

_debit = tables.accounts.alias("debit")
_credit = tables.accounts.alias("credit")
_ACCOUNT = ("type", "owner", "name", "decimals")


def select_transfers() -> Select[Any]:
    """Transfers with both of their accounts; give it to `posted_of` row by row."""
    return select(
        tables.transfers,
        *(_debit.c[name].label(f"debit_{name}") for name in _ACCOUNT),
        *(_credit.c[name].label(f"credit_{name}") for name in _ACCOUNT),
    ).select_from(
        tables.transfers.join(_debit, _debit.c.id == tables.transfers.c.debit_id).join(
            _credit, _credit.c.id == tables.transfers.c.credit_id
        )
    )


def posted_of(row: Any) -> Posted:
    """The row as a value."""
    asset = Asset(row.asset, row.debit_decimals)
    return Posted(
        seq=row.seq,
        id=row.id,
        kind=Kind(row.kind),
        debit=Account(AccountType(row.debit_type), row.debit_owner, row.debit_name, asset),
        credit=Account(AccountType(row.credit_type), row.credit_owner, row.credit_name, asset),
        amount=Amount(row.amount, asset),
        code=row.code,
        reference=row.reference,
        pending_id=row.pending_id,
        timeout_ms=row.timeout_ms,
        created_ms=row.created_ms,
    )


async def transfers_by_id(tx: Tx, ids: Collection[str]) -> dict[str, Any]:
    """Rows of the transfers with these ids that exist, by id."""
    found = await tx.execute(select_transfers().where(any_of(tx, tables.transfers.c.id, ids)))
    return {row.id: row for row in found}


async def resolved_ids(tx: Tx, pending_ids: Collection[str]) -> dict[str, str]:
    """For each of these pending transfers that was resolved, the kind of its end."""
    columns = tables.transfers.c
    found = await tx.execute(
        select(columns.pending_id, columns.kind).where(any_of(tx, columns.pending_id, pending_ids))
    )
    return {row.pending_id: row.kind for row in found}
