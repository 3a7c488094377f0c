"""Same key and same body: the same answer, and the thing done once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from millpond.api.tables import idempotency
from millpond.errors import ConflictError, InvalidInputError
from millpond.store import Store, Tx

KEEP_MS = 24 * 3_600_000
_KEY = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_PRUNE_ROWS = 500


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

    An exception of `act` undoes everything and is not kept: the request may be
    made again with the same key.

    Raises:
        IdempotencyMismatchError: The key was used with another body.
    """
    try:
        async with store.begin() as tx:
            if request.key is None:
                return await act(tx)
            old = await _recall(tx, request, now_ms)
            if old is not None:
                return old
            answer = await act(tx)
            await _keep(tx, request, answer, now_ms)
            return answer
    except IntegrityError:
        # Another process answered the same key while we worked; ours is undone.
        async with store.begin() as tx:
            old = await _recall(tx, request, now_ms)
        if old is None:
            raise
        return old


async def _recall(tx: Tx, request: Request, now_ms: int) -> Answer | None:
    query = select(idempotency).where(
        idempotency.c.id == request.id, idempotency.c.expires_ms > now_ms
    )
    row = (await tx.execute(query)).first()
    if row is None:
        return None
    if row.body_sha256 != hashlib.sha256(request.body).hexdigest():
        raise IdempotencyMismatchError("this Idempotency-Key was used with another body")
    return Answer(row.status, row.answer.encode(), replayed=True)


async def _keep(tx: Tx, request: Request, answer: Answer, now_ms: int) -> None:
    old = select(idempotency.c.id).where(idempotency.c.expires_ms <= now_ms).limit(_PRUNE_ROWS)
    await tx.execute(delete(idempotency).where(idempotency.c.id.in_(old)))
    await tx.execute(
        insert(idempotency).values(
            id=request.id,
            body_sha256=hashlib.sha256(request.body).hexdigest(),
            status=answer.status,
            answer=answer.body.decode(),
            expires_ms=now_ms + KEEP_MS,
        )
    )
