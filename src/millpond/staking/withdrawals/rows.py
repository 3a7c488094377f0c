"""Reading and writing withdrawal rows, and telling the world about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import RowMapping, func, select, text, update

from millpond.staking.errors import WithdrawalNotFoundError
from millpond.staking.withdrawals.model import Withdrawal, WithdrawalState
from millpond.staking.withdrawals.tables import OPEN, batch_table, withdrawal_table
from millpond.store import Tx
from millpond.store.events import publish
from millpond.store.sql import any_of

_T = withdrawal_table
_C = withdrawal_table.c

MAX_PAGE = 1_000
"""Most withdrawals of one answer."""


def to_values(withdrawal: Withdrawal) -> dict[str, Any]:
    """The columns of a withdrawal."""
    return msgspec.structs.asdict(withdrawal)


def to_withdrawal(row: RowMapping) -> Withdrawal:
    """Make the value of a row."""
    values = dict(row)
    values["state"] = WithdrawalState(values["state"])
    return Withdrawal(**values)


async def fetch(tx: Tx, withdrawal_id: str, *, lock: bool = False) -> Withdrawal:
    """Read one.

    Raises:
        WithdrawalNotFoundError: There is none.
    """
    query = select(_T).where(_C.id == withdrawal_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).mappings().first()
    if row is None:
        raise WithdrawalNotFoundError("no withdrawal has that identifier")
    return to_withdrawal(row)


async def open_of(
    tx: Tx, pool_id: str, wallets: Collection[str], *, lock: bool = False
) -> list[Withdrawal]:
    """Withdrawals under way of these wallets, oldest first."""
    if not wallets:
        return []
    query = select(_T).where(_C.pool_id == pool_id, any_of(tx, _C.wallet, wallets), text(OPEN))
    query = query.order_by(_C.id)
    found = await tx.execute(query.with_for_update() if lock else query)
    return [to_withdrawal(row) for row in found.mappings()]


async def of_batch(tx: Tx, chain_key: str) -> list[Withdrawal]:
    """Withdrawals of a batch, by its name on chain, oldest first; locked."""
    batches = select(batch_table.c.id).where(batch_table.c.chain_key == chain_key)
    query = select(_T).where(_C.batch_id.in_(batches)).order_by(_C.id)
    found = await tx.execute(query.with_for_update())
    return [to_withdrawal(row) for row in found.mappings()]


async def pending(tx: Tx, pool_id: str, *, limit: int, lock: bool = True) -> list[Withdrawal]:
    """Withdrawals in no transaction, the oldest first; locked, those of others passed over."""
    query = (
        select(_T)
        .where(_C.pool_id == pool_id, _C.state == WithdrawalState.PENDING.value)
        .order_by(_C.id)
        .limit(limit)
    )
    if lock:
        query = query.with_for_update(skip_locked=True)
    return [to_withdrawal(row) for row in (await tx.execute(query)).mappings()]


async def oldest_open_ms(tx: Tx, pool_id: str) -> int | None:
    """When the oldest withdrawal under way was asked for; None if there is none."""
    query = select(func.min(_C.requested_ms)).where(_C.pool_id == pool_id, text(OPEN))
    found: int | None = (await tx.execute(query)).scalar()
    return found


async def counts(tx: Tx, pool_id: str) -> dict[WithdrawalState, int]:
    """How many withdrawals a pool has in each state."""
    query = select(_C.state, func.count()).where(_C.pool_id == pool_id).group_by(_C.state)
    return {WithdrawalState(state): n for state, n in await tx.execute(query)}


async def listed(
    tx: Tx,
    *,
    pool_id: str | None = None,
    wallet: str | None = None,
    state: WithdrawalState | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Withdrawal]:
    """Withdrawals, newest first; `before` is the last identifier of the page before."""
    assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} withdrawals"
    query = select(_T).order_by(_C.id.desc()).limit(limit)
    for column, value in ((_C.pool_id, pool_id), (_C.wallet, wallet), (_C.state, state)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(_C.id < before)
    return [to_withdrawal(row) for row in (await tx.execute(query)).mappings()]


async def by_chain_keys(
    tx: Tx, pool_id: str, chain_keys: Collection[str]
) -> dict[tuple[str, str], Withdrawal]:
    """By the batch's name on chain and the payee, the withdrawals of these batches."""
    if not chain_keys:
        return {}
    query = (
        select(_T, batch_table.c.chain_key)
        .join(batch_table, batch_table.c.id == _C.batch_id)
        .where(batch_table.c.pool_id == pool_id, any_of(tx, batch_table.c.chain_key, chain_keys))
    )
    found: dict[tuple[str, str], Withdrawal] = {}
    for row in (await tx.execute(query)).mappings():
        values = dict(row)
        key = values.pop("chain_key")
        values["state"] = WithdrawalState(values["state"])
        found[key, values["wallet"]] = Withdrawal(**values)
    return found


async def change(
    tx: Tx, withdrawals: Sequence[Withdrawal], *, now_ms: int, **values: Any
) -> list[Withdrawal]:
    """Write the same columns of several withdrawals and tell about them."""
    if not withdrawals:
        return []
    values["updated_ms"] = now_ms
    await _write(tx, withdrawals, values)
    changed = [msgspec.structs.replace(w, **values) for w in withdrawals]
    await tell(tx, changed, now_ms=now_ms)
    return changed


async def save(tx: Tx, withdrawals: Sequence[Withdrawal], *, now_ms: int) -> None:
    """Write what may change of withdrawals, those with the same values together.

    It tells nobody: whoever books a range does so once, when all is written.
    """
    groups: defaultdict[tuple[Any, ...], list[Withdrawal]] = defaultdict(list)
    for withdrawal in withdrawals:
        groups[tuple(getattr(withdrawal, name) for name in _CHANGES)].append(withdrawal)
    for values, group in groups.items():
        columns = dict(zip(_CHANGES, values, strict=True))
        await _write(tx, group, columns | {"updated_ms": now_ms})


_CHANGES = ("state", "reason", "reserved", "hold", "tx_hash", "block_number", "finished_ms")


async def _write(tx: Tx, withdrawals: Sequence[Withdrawal], values: dict[str, Any]) -> None:
    ids = [withdrawal.id for withdrawal in withdrawals]
    await tx.execute(update(_T).where(any_of(tx, _C.id, ids)).values(**values))


async def tell(tx: Tx, withdrawals: Sequence[Withdrawal], *, now_ms: int) -> None:
    """Publish withdrawals as they stand; last in a transaction."""
    for withdrawal in withdrawals:
        await publish(
            tx,
            "withdrawals",
            {
                "type": "withdrawal",
                "id": withdrawal.id,
                "pool_id": withdrawal.pool_id,
                "wallet": withdrawal.wallet,
                "amount": str(withdrawal.amount),
                "state": withdrawal.state.value,
                "tx_hash": withdrawal.tx_hash,
                "reason": withdrawal.reason,
            },
            now_ms=now_ms,
        )
