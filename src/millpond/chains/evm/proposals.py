"""Proposals to the owners of a Safe: prepared, signed by enough of them, executed.

The owners sign wherever they keep their keys; signatures are collected here,
each held against the owners. Whoever executes only pays the gas: the
transaction goes through the transaction manager like any other.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import RowMapping, func, insert, select, update

from millpond.chains.evm.safe import Reader, SafeState, SafeTx, execution, read_state, succeeded
from millpond.chains.evm.signers import Signer, recover
from millpond.chains.evm.tx.access import Call
from millpond.chains.evm.tx.model import lane_of
from millpond.chains.evm.tx.tables import evm_proposal_signature_table, evm_proposal_table
from millpond.chains.evm.types import Receipt
from millpond.errors import ConflictError, InvalidInputError, NotFoundError
from millpond.intents import Intent, Intents, IntentState, NotReadyError, RefusedError
from millpond.store import Tx
from millpond.store.sql import insert_or_ignore

KIND = "evm-safe"

_P = evm_proposal_table.c
_S = evm_proposal_signature_table.c
_MAX_TITLE = 200


class ProposalState(StrEnum):
    """Where a proposal is; the last two are final."""

    PREPARED = "prepared"
    COLLECTING = "collecting"
    READY = "ready"
    EXECUTING = "executing"
    EXECUTED = "executed"
    CANCELLED = "cancelled"


_OPEN = frozenset({ProposalState.PREPARED, ProposalState.COLLECTING, ProposalState.READY})


class ProposalNotFoundError(NotFoundError):
    """There is no such proposal."""

    code = "proposal_not_found"


class ProposalStateError(ConflictError):
    """The proposal is in no state in which this can be done."""

    code = "proposal_state"


class SignatureRefusedError(InvalidInputError):
    """The signature is none of an owner for this proposal."""

    code = "signature_refused"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal.

    Attributes:
        id: Identifier that sorts by time.
        chain_id: The chain.
        safe: The Safe that is to act.
        safe_nonce: The Safe's nonce at which it can be executed.
        safe_tx_hash: What owners sign.
        transaction: What the Safe is to do.
        title: What for, in a few words.
        actor: Who proposed it.
        state: Where it is.
        reason: Why it is there, if there is more to say.
        threshold: How many owners must sign.
        intent_id: The intent that executes it.
        tx_hash: The transaction that executed it.
        created_ms: When it was prepared.
        changed_ms: When it came into its state.
    """

    id: str
    chain_id: int
    safe: str
    safe_nonce: int
    safe_tx_hash: str
    transaction: SafeTx
    title: str
    actor: str
    state: ProposalState
    reason: str
    threshold: int
    intent_id: str | None
    tx_hash: str | None
    created_ms: int
    changed_ms: int


class SafeProposals:
    """The proposals on one chain.

    Args:
        intents: Brings clock, ids, and what executes.
        chain_id: The chain.
        reader: Asks the Safes.
    """

    def __init__(self, intents: Intents, chain_id: int, reader: Reader) -> None:
        self._intents = intents
        self._clock = intents.clock
        self._chain_id = chain_id
        self._reader = reader

    async def safe(self, address: str) -> SafeState:
        """What a Safe says of itself now; read it before the transaction that uses it."""
        return await read_state(self._reader, address)

    async def prepare(
        self,
        tx: Tx,
        safe: str,
        state: SafeState,
        to: str,
        data: bytes,
        *,
        value: int = 0,
        title: str,
        actor: str,
        nonce: int | None = None,
    ) -> Proposal:
        """Write a proposal for the owners to sign.

        Args:
            tx: The transaction.
            safe: The Safe that is to act.
            state: What `safe` said just now.
            to: Address that it is to call.
            data: What with.
            value: Wei that it is to send along.
            title: What for.
            actor: Who proposes it.
            nonce: The Safe's nonce; None: the one after the last open proposal's.

        Raises:
            InvalidInputError: The nonce is used, or something is no transaction of a Safe.
            ProposalStateError: The same was proposed before.
        """
        if nonce is None:
            nonce = await self._next_nonce(tx, safe, state)
        if nonce < state.nonce:
            raise InvalidInputError(f"the Safe is past nonce {nonce}", next=state.nonce)
        if not title.strip() or not actor.strip():
            raise InvalidInputError("a proposal has a title and somebody who proposes it")
        transaction = SafeTx(to=to, value=value, data=data, nonce=nonce)
        now_ms = self._clock.now_ms()
        proposal = Proposal(
            id=self._intents.ids.new(),
            chain_id=self._chain_id,
            safe=safe,
            safe_nonce=nonce,
            safe_tx_hash="0x" + transaction.hash(self._chain_id, safe).hex(),
            transaction=transaction,
            title=title[:_MAX_TITLE],
            actor=actor,
            state=ProposalState.PREPARED,
            reason="",
            threshold=state.threshold,
            intent_id=None,
            tx_hash=None,
            created_ms=now_ms,
            changed_ms=now_ms,
        )
        values = msgspec.structs.asdict(proposal)
        values["body"] = _encoded(values.pop("transaction"))
        query = select(_P.id).where(_P.safe_tx_hash == proposal.safe_tx_hash)
        if (await tx.execute(query)).first() is not None:
            raise ProposalStateError("the same was proposed before with that nonce")
        await tx.execute(insert(evm_proposal_table).values(values))
        return proposal

    async def get(self, tx: Tx, proposal_id: str, *, lock: bool = False) -> Proposal:
        """Read one.

        Raises:
            ProposalNotFoundError: There is none.
        """
        query = select(evm_proposal_table).where(_P.id == proposal_id)
        row = (await tx.execute(query.with_for_update() if lock else query)).mappings().first()
        if row is None:
            raise ProposalNotFoundError("there is no such proposal")
        return _proposal(row)

    async def listed(self, tx: Tx, *, safe: str | None = None, limit: int = 100) -> list[Proposal]:
        """Newest first."""
        query = select(evm_proposal_table).where(_P.chain_id == self._chain_id)
        if safe is not None:
            query = query.where(_P.safe == safe)
        found = await tx.execute(query.order_by(_P.id.desc()).limit(limit))
        return [_proposal(row) for row in found.mappings()]

    async def signatures(self, tx: Tx, proposal_id: str) -> dict[str, bytes]:
        """Signatures collected so far, by owner."""
        query = select(_S.owner, _S.signature).where(_S.proposal_id == proposal_id)
        return {owner: bytes(signature) for owner, signature in await tx.execute(query)}

    async def add_signature(
        self, tx: Tx, proposal_id: str, signature: bytes, state: SafeState
    ) -> Proposal:
        """Keep an owner's signature; with enough of them the proposal is ready.

        Args:
            tx: The transaction.
            proposal_id: Which.
            signature: Of `safe_tx_hash`: r, s and v (27 or 28), 65 bytes.
            state: What the Safe said just now.

        Raises:
            ProposalStateError: It takes no signatures any more.
            SignatureRefusedError: It is no owner's.
        """
        proposal = await self.get(tx, proposal_id, lock=True)
        if proposal.state not in _OPEN:
            raise ProposalStateError(f"it is {proposal.state}")
        owner = recover(bytes.fromhex(proposal.safe_tx_hash[2:]), signature)
        if owner is None or owner not in state.owners:
            raise SignatureRefusedError("that is no signature of an owner for this proposal")
        await tx.execute(
            insert_or_ignore(tx, evm_proposal_signature_table).values(
                proposal_id=proposal.id,
                owner=owner,
                signature=signature,
                created_ms=self._clock.now_ms(),
            )
        )
        signed = set(await self.signatures(tx, proposal.id)) & set(state.owners)
        enough = len(signed) >= state.threshold
        to_state = ProposalState.READY if enough else ProposalState.COLLECTING
        return await self._change(tx, proposal, state=to_state, threshold=state.threshold)

    async def sign(self, tx: Tx, proposal_id: str, signer: Signer, state: SafeState) -> Proposal:
        """Sign with an owner's key that is at hand.

        Raises:
            ProposalStateError: It takes no signatures any more.
            SignatureRefusedError: The key is no owner's.
        """
        proposal = await self.get(tx, proposal_id)
        signature = await signer.sign_digest(bytes.fromhex(proposal.safe_tx_hash[2:]))
        return await self.add_signature(tx, proposal_id, signature, state)

    async def execute(self, tx: Tx, proposal_id: str, *, signer: str, actor: str) -> Intent:
        """Have a ready proposal executed; `signer` pays the gas and needs no rights.

        Raises:
            ProposalStateError: It is not ready.
        """
        proposal = await self.get(tx, proposal_id, lock=True)
        if proposal.state is not ProposalState.READY:
            raise ProposalStateError(f"it is {proposal.state}, not ready")
        # A second try, after one that was refused, is an intent of its own.
        key = f"{proposal.id}:{proposal.changed_ms}"
        intent = await self._intents.create(
            tx,
            KIND,
            key,
            {"proposal_id": proposal.id},
            lane=lane_of(self._chain_id, signer),
            actor=actor,
            reason=proposal.title,
        )
        await self._change(tx, proposal, state=ProposalState.EXECUTING, intent_id=intent.id)
        return intent

    async def cancel(self, tx: Tx, proposal_id: str, *, actor: str, reason: str) -> Proposal:
        """Give a proposal up. Signatures that others hold stay valid until its nonce is used.

        Raises:
            ProposalStateError: It is being executed, or at its end.
        """
        proposal = await self.get(tx, proposal_id, lock=True)
        if proposal.state not in _OPEN:
            raise ProposalStateError(f"it is {proposal.state}")
        text = f"{actor}: {reason}"[:500]
        return await self._change(tx, proposal, state=ProposalState.CANCELLED, reason=text)

    # -- what the transaction manager does with it --------------------------------

    async def executed(self, tx: Tx, proposal: Proposal, tx_hash: str) -> None:
        """Note that it has happened; others with its nonce never can."""
        await self._change(tx, proposal, state=ProposalState.EXECUTED, tx_hash=tx_hash, reason="")
        await tx.execute(
            update(evm_proposal_table)
            .where(
                _P.chain_id == proposal.chain_id,
                _P.safe == proposal.safe,
                _P.safe_nonce == proposal.safe_nonce,
                _P.state.in_(sorted(_OPEN)),
            )
            .values(
                state=ProposalState.CANCELLED,
                reason="another was executed with its nonce",
                changed_ms=self._clock.now_ms(),
            )
        )

    async def not_executed(self, tx: Tx, proposal: Proposal, reason: str) -> None:
        """Back to ready, with the reason."""
        await self._change(tx, proposal, state=ProposalState.READY, reason=reason[:500])

    async def _next_nonce(self, tx: Tx, safe: str, state: SafeState) -> int:
        query = select(func.max(_P.safe_nonce)).where(
            _P.chain_id == self._chain_id,
            _P.safe == safe,
            _P.state != ProposalState.CANCELLED,
        )
        last: int | None = (await tx.execute(query)).scalar()
        return state.nonce if last is None else max(state.nonce, last + 1)

    async def _change(self, tx: Tx, proposal: Proposal, **values: Any) -> Proposal:
        values["changed_ms"] = max(self._clock.now_ms(), proposal.changed_ms + 1)
        await tx.execute(update(evm_proposal_table).where(_P.id == proposal.id).values(**values))
        return msgspec.structs.replace(proposal, **values)


class SafeEffect:
    """Executing proposals, for an `EvmTransactionHandler`.

    Args:
        proposals: The proposals of the chain.
        intents: Where they are stored.
    """

    kind = KIND

    def __init__(self, proposals: SafeProposals, intents: Intents) -> None:
        self._proposals = proposals
        self._store = intents.store

    async def call(self, intent: Intent) -> Call:
        """`execTransaction` with the signatures of owners who still are owners.

        Raises:
            RefusedError: The Safe's nonce is past it, or there are too few owners' signatures.
            NotReadyError: Proposals before it are to be executed first.
        """
        async with self._store.read() as tx:
            proposal = await self._of(tx, intent)
            signatures = await self._proposals.signatures(tx, proposal.id)
        state = await self._proposals.safe(proposal.safe)
        if state.nonce > proposal.safe_nonce:
            raise RefusedError("the Safe has executed another transaction with that nonce")
        if state.nonce < proposal.safe_nonce:
            raise NotReadyError(f"the Safe is at nonce {state.nonce}, it is for a later one")
        valid = {owner: sig for owner, sig in signatures.items() if owner in state.owners}
        if len(valid) < state.threshold:
            raise RefusedError(f"{len(valid)} of {state.threshold} owners have signed")
        return Call(to=proposal.safe, data=execution(proposal.safe, proposal.transaction, valid))

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Show on the proposal why it waits."""
        if after.state is IntentState.FROZEN or after.reason != before.reason:
            proposal = await self._of(tx, after)
            await tx.execute(
                update(evm_proposal_table)
                .where(_P.id == proposal.id, _P.state == ProposalState.EXECUTING)
                .values(reason=after.reason[:500])
            )

    async def settle(self, tx: Tx, intent: Intent, receipt: Receipt) -> None:
        """It was executed if the Safe says so in its logs."""
        proposal = await self._of(tx, intent)
        if succeeded(receipt, proposal.safe, proposal.safe_tx_hash):
            await self._proposals.executed(tx, proposal, receipt.tx_hash)
        else:
            await self._proposals.not_executed(tx, proposal, "the transaction was reverted")

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        """It did not happen: the proposal is ready as before."""
        await self._proposals.not_executed(tx, await self._of(tx, intent), reason)

    async def _of(self, tx: Tx, intent: Intent) -> Proposal:
        return await self._proposals.get(tx, intent.payload["proposal_id"])


def _encoded(transaction: SafeTx) -> bytes:
    """As JSON whose amounts are text, since they have up to 256 bits."""
    fields = msgspec.structs.asdict(transaction) | {"value": str(transaction.value)}
    return msgspec.json.encode(fields)


def _proposal(row: RowMapping) -> Proposal:
    values: dict[str, Any] = dict(row)
    fields: dict[str, Any] = msgspec.json.decode(values.pop("body"))
    fields["value"] = int(fields["value"])
    transaction = msgspec.convert(fields, SafeTx)
    return Proposal(
        **{**values, "state": ProposalState(values["state"]), "transaction": transaction}
    )
