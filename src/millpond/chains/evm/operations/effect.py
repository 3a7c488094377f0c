"""What an operation does: exactly the call that was ordered."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from millpond.chains.evm.operations.model import OperationState, Order
from millpond.chains.evm.operations.tables import operation_table
from millpond.chains.evm.tx import Call
from millpond.chains.evm.types import Receipt
from millpond.clock import Clock
from millpond.intents import Intent
from millpond.intents.handler import NotReadyError, RefusedError
from millpond.store import Store, Tx
from millpond.store.sql import any_of

KIND = "evm.operation"


def payload_of(order: Order) -> dict[str, Any]:
    """What is to be called, and after what, as an intent keeps it."""
    call = order.call
    payload = {"to": call.to, "data": "0x" + call.data.hex(), "value": str(call.value)}
    waits = {"after": order.after, "behind": list(order.behind)}
    return payload | {name: what for name, what in waits.items() if what}


class OperationEffect:
    """Does what was ordered and keeps what became of it; books no money.

    Money that an operation moves shows as events of the contracts, which the
    indexer books.

    Args:
        clock: When it ended.
        store: Where it is read what became of the operation before.
    """

    def __init__(self, clock: Clock, store: Store) -> None:
        self._clock = clock
        self._store = store

    @property
    def kind(self) -> str:
        """Kind of the intents."""
        return KIND

    async def call(self, intent: Intent) -> Call:
        """The call as it was ordered.

        Raises:
            NotReadyError: What must be done or be over before is under way.
            RefusedError: What must be done came to nothing.
        """
        await self._check_behind(intent.payload.get("behind", []))
        await self._check_before(intent.payload.get("after", ""))
        return Call(
            to=intent.payload["to"],
            data=bytes.fromhex(intent.payload["data"].removeprefix("0x")),
            value=int(intent.payload["value"]),
        )

    async def _check_behind(self, intent_ids: list[str]) -> None:
        """What was ordered anew since goes by another intent, and is not waited for."""
        if not intent_ids:
            return
        async with self._store.read() as tx:
            query = select(operation_table.c.key).where(
                any_of(tx, operation_table.c.intent_id, intent_ids),
                operation_table.c.state == OperationState.UNDER_WAY,
            )
            key = (await tx.execute(query.limit(1))).scalar()
        if key is not None:
            raise NotReadyError(f"{key} is over first")

    async def _check_before(self, key: str) -> None:
        if not key:
            return
        query = select(operation_table.c.state).where(operation_table.c.key == key)
        async with self._store.read() as tx:
            state = (await tx.execute(query)).scalar()
        if state == OperationState.UNDER_WAY:
            raise NotReadyError(f"{key} is done first")
        if state != OperationState.DONE:
            raise RefusedError(f"{key} had to be done first and came to nothing")

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Nothing follows a change of state."""

    async def settle(self, tx: Tx, intent: Intent, receipt: Receipt) -> None:
        """Keep the transaction and what it made."""
        done = receipt.status == 1
        await self._write(
            tx,
            intent,
            state=OperationState.DONE if done else OperationState.REVERTED,
            contract=receipt.contract_address if done else None,
            tx_hash=receipt.tx_hash,
            block_number=receipt.block_number,
            gas_used=receipt.gas_used,
            reason="" if done else "the transaction was reverted",
        )

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        """It did not happen."""
        await self._write(tx, intent, state=OperationState.FAILED, reason=reason)

    async def _write(self, tx: Tx, intent: Intent, **values: Any) -> None:
        table = operation_table
        await tx.execute(
            update(table)
            .where(table.c.intent_id == intent.id)
            .values(ended_ms=self._clock.now_ms(), **values)
        )
