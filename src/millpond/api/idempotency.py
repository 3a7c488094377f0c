"""Same key and same body: the same answer, and the thing done once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from millpond.api.tables import idempotency
from millpond.errors import ConflictError, InvalidInputError
from millpond.store import Store, Tx
from millpond.store.sql import insert_into

KEEP_MS = 24 * 3_600_000
_KEY = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_PRUNE_ROWS = 500
_NO_STATUS = 0
"""Of a key that is taken and not yet answered; never committed."""


class IdempotencyMismatchError(ConflictError):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    http_status = 422


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored answer; `replayed` when it was given before."""

    status: int
    body: bytes
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks what, under which key.

    Attributes:
        principal: Who the request speaks for.
        target: Method and path.
        key: The client's key; None when it sent none.
        body: The exact bytes of the body.
    """

    principal: str
    target: str
    key: str | None
    body: bytes

    def __post_init__(self) -> None:
        if self.key is not None and not _KEY.fullmatch(self.key):
            raise InvalidInputError("an Idempotency-Key is 1 to 128 printable characters")

    @property
    def id(self) -> str:
        """Fixed-size name of this request."""
        parts = (self.principal, self.target, self.key or "")
        return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


async def once(
    store: Store, request: Request, now_ms: int, act: Callable[[Tx], Awaitable[Answer]]
) -> Answer:
    """Do `act` and keep its answer in the same transaction, or repeat the old answer.

    The key is taken before anything is done: whoever comes with the same key meanwhile
    waits, and gets the stored answer instead of what `act` would say the second time.
    An exception of `act` undoes everything and is not kept: the key is free again,
    for the request made again as for one that waited.

    Raises:
        IdempotencyMismatchError: The key was used with another body.
    """
    async with store.begin() as tx:
        if request.key is None:
            return await act(tx)
        if not await _take(tx, request, now_ms):
            return await _recall(tx, request)
        answer = await act(tx)
        await _keep(tx, request, answer)
        await _prune(tx, now_ms)
        return answer


async def _take(tx: Tx, request: Request, now_ms: int) -> bool:
    """Take the key until the transaction ends; False if it has an answer.

    Waits while another transaction has it.
    """
    values = {
        "id": request.id,
        "body_sha256": hashlib.sha256(request.body).hexdigest(),
        "status": _NO_STATUS,
        "answer": "",
        "expires_ms": now_ms + KEEP_MS,
    }
    taken = (
        insert_into(tx, idempotency)
        .values(values)
        .on_conflict_do_update(
            index_elements=["id"], set_=values, where=idempotency.c.expires_ms <= now_ms
        )
    )
    return (await tx.execute(taken)).rowcount == 1


async def _recall(tx: Tx, request: Request) -> Answer:
    query = select(idempotency).where(idempotency.c.id == request.id)
    row = (await tx.execute(query)).one()
    if row.body_sha256 != hashlib.sha256(request.body).hexdigest():
        raise IdempotencyMismatchError("this Idempotency-Key was used with another body")
    assert row.status != _NO_STATUS, "a key is committed with its answer"
    return Answer(row.status, row.answer.encode(), replayed=True)


async def _keep(tx: Tx, request: Request, answer: Answer) -> None:
    kept = update(idempotency).where(idempotency.c.id == request.id)
    await tx.execute(kept.values(status=answer.status, answer=answer.body.decode()))


async def _prune(tx: Tx, now_ms: int) -> None:
    """Drop old answers, but none that another transaction is just dropping or taking over."""
    old = select(idempotency.c.id).where(idempotency.c.expires_ms <= now_ms).limit(_PRUNE_ROWS)
    gone = idempotency.c.id.in_(old.with_for_update(skip_locked=True))
    await tx.execute(delete(idempotency).where(gone))
