"""Ordering operations and reading them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement, RowMapping, and_, insert, select, update

from millpond.chains.evm.operations.effect import KIND, payload_of
from millpond.chains.evm.operations.model import (
    Operation,
    OperationConflictError,
    OperationState,
    OperationUndecidedError,
    Order,
)
from millpond.chains.evm.operations.tables import operation_table
from millpond.chains.evm.tx import lane_of
from millpond.chains.evm.tx.model import AttemptState, NonceState
from millpond.chains.evm.tx.rows import attempts, nonce_of_intent
from millpond.errors import NotFoundError
from millpond.intents import Intent, Intents
from millpond.intents.errors import IntentConflictError
from millpond.store import Tx

_C = operation_table.c
MAX_LISTED = 1_000
_HAD_NO_EFFECT = frozenset({OperationState.REVERTED, OperationState.FAILED})
_OVER = _HAD_NO_EFFECT | {OperationState.DONE}


class Operations:
    """The operations of one database.

    Args:
        intents: Where their intents are.
    """

    def __init__(self, intents: Intents) -> None:
        self._intents = intents

    async def order(
        self,
        tx: Tx,
        order: Order,
        *,
        actor: str,
        again: bool = False,
        even_done: bool = False,
    ) -> Operation:
        """Order an operation; the same order is answered with the first.

        Args:
            tx: The transaction.
            order: What is wanted. While it is not tried once more, it stays behind what it
                was behind when it was ordered.
            actor: Who wants it.
            again: Try once more what reverted or failed: it had no effect but gas.
                What was given up after it was sent may still have one.
            even_done: With `again`, once more also what was done; only of what bears being
                done twice, such as an allowance that may have been replaced since.

        Raises:
            OperationConflictError: The key was used for another transaction.
            OperationUndecidedError: It was given up after it was sent, and may still happen
                or has happened all the same.
        """
        earlier = await self._select(tx, _C.key == order.key, lock=True)
        attempt = earlier[0].attempt if earlier else 1
        over = _OVER if even_done else _HAD_NO_EFFECT
        renew = bool(earlier) and again and earlier[0].state in over
        if renew:
            await self._check_dead(tx, earlier[0])
        elif earlier:
            before = await self._intents.get(tx, earlier[0].intent_id)
            behind = tuple(before.payload.get("behind", ()))
            order = msgspec.structs.replace(order, behind=behind)
        intent = await self._intent(tx, order, attempt + renew, actor)
        if earlier and not renew:
            return earlier[0]
        operation = _ordered(order, intent, attempt + renew, self._intents.clock.now_ms())
        values = msgspec.structs.asdict(operation)
        if renew:
            await tx.execute(update(operation_table).where(_C.key == order.key).values(values))
        else:
            await tx.execute(insert(operation_table).values(values))
        return operation

    async def _check_dead(self, tx: Tx, earlier: Operation) -> None:
        """See that what was given up after its bytes had left can take no effect any more."""
        intent = await self._intents.get(tx, earlier.intent_id)
        if earlier.state is not OperationState.FAILED or not intent.was_sent:
            return
        nonce = await nonce_of_intent(tx, intent.id)
        if nonce is None:
            return  # Frozen, proven dead and prepared anew: what was sent has another's nonce.
        if nonce.state not in {NonceState.DONE, NonceState.FOREIGN}:
            raise OperationUndecidedError(
                "it was given up after it was sent and may still happen; try again when its nonce"
                " is used up",
                key=earlier.key,
                nonce=nonce.nonce,
            )
        for attempt in await attempts(tx, nonce.chain_id, nonce.signer, nonce.nonce):
            if attempt.state is AttemptState.MINED and attempt.intent_id == intent.id:
                raise OperationUndecidedError(
                    "it was given up, and has happened all the same; order it under another name"
                    " if it is wanted once more",
                    key=earlier.key,
                    tx_hash=attempt.tx_hash,
                )

    async def _intent(self, tx: Tx, order: Order, attempt: int, actor: str) -> Intent:
        try:
            return await self._intents.create(
                tx,
                KIND,
                f"{order.key}#{attempt}",
                payload_of(order),
                lane=lane_of(order.chain_id, order.signer),
                actor=actor,
                reason=order.what,
            )
        except IntentConflictError:
            raise OperationConflictError(
                "that order was given before with another transaction", key=order.key
            ) from None

    async def get(self, tx: Tx, key: str) -> Operation:
        """One operation.

        Raises:
            NotFoundError: It was never ordered.
        """
        found = await self._select(tx, _C.key == key)
        if not found:
            raise NotFoundError("no operation has that key", key=key)
        return found[0]

    async def of_group(self, tx: Tx, group: str) -> list[Operation]:
        """Those of a group, oldest first."""
        return await self._select(tx, _C.group == group)

    async def under_way(
        self, tx: Tx, groups: str, *, chain_id: int, signer: str
    ) -> list[Operation]:
        """What a signer has under way, of groups whose names begin so."""
        where = (
            _C.group.startswith(groups, autoescape=True),
            _C.chain_id == chain_id,
            _C.signer == signer,
            _C.state == OperationState.UNDER_WAY,
        )
        return await self._select(tx, and_(*where))

    async def _select(
        self, tx: Tx, where: ColumnElement[bool], *, lock: bool = False
    ) -> list[Operation]:
        query = (
            select(operation_table)
            .where(where)
            .order_by(_C.created_ms, _C.intent_id)
            .limit(MAX_LISTED)
        )
        found = await tx.execute(query.with_for_update() if lock else query)
        rows: Sequence[RowMapping] = found.mappings().all()
        return [_operation(row) for row in rows]


def _ordered(order: Order, intent: Intent, attempt: int, now_ms: int) -> Operation:
    return Operation(
        key=order.key,
        group=order.group,
        what=order.what,
        chain_id=order.chain_id,
        signer=order.signer,
        target=order.call.to,
        artifact=order.artifact,
        intent_id=intent.id,
        attempt=attempt,
        state=OperationState.UNDER_WAY,
        contract=None,
        tx_hash=None,
        block_number=None,
        gas_used=None,
        reason="",
        created_ms=now_ms,
        ended_ms=None,
    )


def _operation(row: RowMapping) -> Operation:
    values = dict(row)
    values["state"] = OperationState(values["state"])
    return Operation(**values)
