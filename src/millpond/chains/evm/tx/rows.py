"""Reading and writing nonces and attempts.

Every function takes a `Tx` and never commits. Whoever hands out or changes
nonces of a signer locks the signer's row first: a signer has one queue, in
however many processes it is used.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import RowMapping, func, insert, select, update

from millpond.chains.evm.tx.model import Attempt, AttemptState, Nonce, NonceState
from millpond.chains.evm.tx.tables import (
    evm_attempt_table,
    evm_nonce_table,
    evm_signer_table,
)
from millpond.errors import ConflictError
from millpond.store import Tx
from millpond.store.sql import insert_or_ignore

_N = evm_nonce_table.c
_A = evm_attempt_table.c
_S = evm_signer_table.c


class NonceLostError(ConflictError):
    """The nonce belongs to something else by now; this worker's result is void."""

    code = "evm_nonce_lost"


async def lock_signer(tx: Tx, chain_id: int, signer: str, *, now_ms: int) -> None:
    """Take the signer's queue until the transaction ends."""
    await tx.execute(
        insert_or_ignore(tx, evm_signer_table).values(
            chain_id=chain_id, signer=signer, created_ms=now_ms
        )
    )
    query = select(_S.signer).where(_S.chain_id == chain_id, _S.signer == signer)
    await tx.execute(query.with_for_update())


async def signers(tx: Tx, chain_id: int) -> list[str]:
    """Signers that have used a nonce."""
    query = select(_S.signer).where(_S.chain_id == chain_id).order_by(_S.signer)
    return list((await tx.execute(query)).scalars())


async def reserve(
    tx: Tx, chain_id: int, signer: str, intent_id: str, *, count: int, now_ms: int
) -> Nonce:
    """Give the intent its nonce: the one it has, else the lowest free, else the next.

    Args:
        tx: The transaction.
        chain_id: The chain.
        signer: Whose nonce.
        intent_id: Whose it becomes.
        count: Transactions of the signer on the chain; lower nonces are used up.
        now_ms: Now.

    Raises:
        NonceLostError: The intent has signed already; what it signed is to be sent.
    """
    await lock_signer(tx, chain_id, signer, now_ms=now_ms)
    await _used_up(tx, chain_id, signer, count, now_ms)
    own = await nonce_of_intent(tx, intent_id)
    if own is not None:
        if own.state is not NonceState.RESERVED:
            raise NonceLostError("the intent has signed with its nonce", nonce=own.nonce)
        return own
    free = await _lowest_free(tx, chain_id, signer)
    if free is not None:
        return await change(
            tx, free, now_ms=now_ms, state=NonceState.RESERVED, intent_id=intent_id, note=""
        )
    last = await highest(tx, chain_id, signer)
    value = count if last is None else max(count, last + 1)
    return await add(tx, chain_id, signer, value, now_ms=now_ms, intent_id=intent_id)


async def add(
    tx: Tx, chain_id: int, signer: str, value: int, *, now_ms: int, intent_id: str | None
) -> Nonce:
    """Write a new nonce, of an intent or free."""
    nonce = Nonce(
        chain_id=chain_id,
        signer=signer,
        nonce=value,
        intent_id=intent_id,
        state=NonceState.FREE if intent_id is None else NonceState.RESERVED,
        note="",
        created_ms=now_ms,
        changed_ms=now_ms,
    )
    await tx.execute(insert(evm_nonce_table).values(msgspec.structs.asdict(nonce)))
    return nonce


async def nonce_of_intent(tx: Tx, intent_id: str) -> Nonce | None:
    """The nonce of an intent."""
    query = select(evm_nonce_table).where(_N.intent_id == intent_id)
    row = (await tx.execute(query)).mappings().first()
    return None if row is None else _nonce(row)


async def nonce_at(tx: Tx, chain_id: int, signer: str, value: int) -> Nonce | None:
    """One nonce."""
    query = select(evm_nonce_table).where(*_of(chain_id, signer), _N.nonce == value)
    row = (await tx.execute(query)).mappings().first()
    return None if row is None else _nonce(row)


async def nonces(
    tx: Tx,
    chain_id: int,
    signer: str,
    *,
    states: Collection[NonceState] | None = None,
    since: int = 0,
    limit: int,
) -> list[Nonce]:
    """Nonces of a signer, lowest first."""
    query = select(evm_nonce_table).where(*_of(chain_id, signer), _N.nonce >= since)
    if states is not None:
        query = query.where(_N.state.in_(sorted(states)))
    found = (await tx.execute(query.order_by(_N.nonce).limit(limit))).mappings()
    return [_nonce(row) for row in found]


async def highest(tx: Tx, chain_id: int, signer: str) -> int | None:
    """The highest nonce that was ever given out."""
    query = select(func.max(_N.nonce)).where(*_of(chain_id, signer))
    found: int | None = (await tx.execute(query)).scalar()
    return found


async def change(tx: Tx, nonce: Nonce, *, now_ms: int, **values: Any) -> Nonce:
    """Write columns of a nonce that still is as it was read.

    Raises:
        NonceLostError: It is not.
    """
    values["changed_ms"] = now_ms
    owner = _N.intent_id.is_(None) if nonce.intent_id is None else _N.intent_id == nonce.intent_id
    result = await tx.execute(
        update(evm_nonce_table)
        .where(
            *_of(nonce.chain_id, nonce.signer),
            _N.nonce == nonce.nonce,
            _N.state == nonce.state,
            owner,
        )
        .values(**values)
    )
    if result.rowcount != 1:
        raise NonceLostError("the nonce belongs to something else by now", nonce=nonce.nonce)
    return msgspec.structs.replace(nonce, **values)


async def attempts(tx: Tx, chain_id: int, signer: str, value: int) -> list[Attempt]:
    """All attempts of a nonce, newest first."""
    query = (
        select(evm_attempt_table)
        .where(_A.chain_id == chain_id, _A.signer == signer, _A.nonce == value)
        .order_by(_A.attempt.desc())
    )
    return [_attempt(row) for row in (await tx.execute(query)).mappings()]


async def newest_attempts(tx: Tx, chain_id: int, signer: str, *, since: int) -> dict[int, Attempt]:
    """The newest attempt of each nonce from `since` on that has one, by nonce.

    As many as a signer has under way: its queue is bounded by what nodes keep.
    """
    query = (
        select(evm_attempt_table)
        .where(_A.chain_id == chain_id, _A.signer == signer, _A.nonce >= since)
        .order_by(_A.nonce, _A.attempt)
    )
    return {row["nonce"]: _attempt(row) for row in (await tx.execute(query)).mappings()}


async def add_attempt(tx: Tx, attempt: Attempt) -> None:
    """Store a signed transaction; two attempts of one number violate a key."""
    await tx.execute(insert(evm_attempt_table).values(msgspec.structs.asdict(attempt)))


async def mark_sending(tx: Tx, attempt: Attempt, *, now_ms: int) -> Attempt:
    """Write that the bytes may leave; before they do. What had been final is not less so."""
    final = attempt.state is AttemptState.MINED
    values: dict[str, Any] = {
        "state": AttemptState.MINED if final else AttemptState.SENT,
        "sends": attempt.sends + 1,
        "sent_ms": now_ms,
    }
    await tx.execute(update(evm_attempt_table).where(_A.id == attempt.id).values(**values))
    return msgspec.structs.replace(attempt, **values)


async def note_answer(tx: Tx, attempt: Attempt, answer: str) -> None:
    """Keep what nodes said."""
    await tx.execute(
        update(evm_attempt_table).where(_A.id == attempt.id).values(answer=answer[:300])
    )


async def settle_attempts(
    tx: Tx, chain_id: int, signer: str, value: int, mined: str | None
) -> None:
    """Write which attempt of a nonce was mined for good; None: none of them."""
    of_nonce = (_A.chain_id == chain_id, _A.signer == signer, _A.nonce == value)
    await tx.execute(update(evm_attempt_table).where(*of_nonce).values(state=AttemptState.DEAD))
    if mined is not None:
        await tx.execute(
            update(evm_attempt_table)
            .where(*of_nonce, _A.tx_hash == mined)
            .values(state=AttemptState.MINED)
        )


async def _lowest_free(tx: Tx, chain_id: int, signer: str) -> Nonce | None:
    found = await nonces(tx, chain_id, signer, states={NonceState.FREE}, limit=1)
    return found[0] if found else None


async def _used_up(tx: Tx, chain_id: int, signer: str, count: int, now_ms: int) -> None:
    """What was free or reserved below the chain's count was used by somebody else."""
    await tx.execute(
        update(evm_nonce_table)
        .where(
            *_of(chain_id, signer),
            _N.nonce < count,
            _N.state.in_([NonceState.FREE, NonceState.RESERVED]),
        )
        .values(
            state=NonceState.FOREIGN,
            intent_id=None,
            note="used by a transaction that is not ours",
            changed_ms=now_ms,
        )
    )


def _of(chain_id: int, signer: str) -> tuple[Any, Any]:
    return _N.chain_id == chain_id, _N.signer == signer


def _nonce(row: RowMapping) -> Nonce:
    return Nonce(**{**row, "state": NonceState(row["state"])})


def _attempt(row: RowMapping) -> Attempt:
    return Attempt(**{**row, "state": AttemptState(row["state"])})
