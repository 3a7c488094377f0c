"""What an operation does: exactly the call that was ordered."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from millpond.chains.evm.operations.model import OperationState
from millpond.chains.evm.operations.tables import operation_table
from millpond.chains.evm.tx import Call
from millpond.chains.evm.types import Receipt
from millpond.clock import Clock
from millpond.intents import Intent
from millpond.store import Tx

KIND = "evm.operation"


def payload_of(call: Call) -> dict[str, Any]:
    """The call as an intent keeps it."""
    return {"to": call.to, "data": "0x" + call.data.hex(), "value": str(call.value)}


class OperationEffect:
    """Does what was ordered and keeps what became of it; books no money.

    Money that an operation moves shows as events of the contracts, which the
    indexer books.

    Args:
        clock: When it ended.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @property
    def kind(self) -> str:
        """Kind of the intents."""
        return KIND

    async def call(self, intent: Intent) -> Call:
        """The call as it was ordered."""
        return Call(
            to=intent.payload["to"],
            data=bytes.fromhex(intent.payload["data"].removeprefix("0x")),
            value=int(intent.payload["value"]),
        )

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
