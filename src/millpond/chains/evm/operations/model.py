"""An operation as a value. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from millpond.chains.evm.tx.access import Call
from millpond.errors import ConflictError, MillpondError


class OperationState(StrEnum):
    """What became of it. `UNDER_WAY` is the only one that changes."""

    UNDER_WAY = "under_way"
    DONE = "done"
    REVERTED = "reverted"
    FAILED = "failed"


class OperationConflictError(ConflictError):
    """The key stands for another operation."""

    code = "evm_operation_conflict"


class OperationFailedError(MillpondError):
    """An operation ended without effect."""

    code = "evm_operation_failed"
    http_status = 409


class OperationUndecidedError(ConflictError):
    """It was given up after it was sent; doing it once more might do it twice."""

    code = "evm_operation_undecided"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants done.

    Attributes:
        key: Name of the order; given twice, it is done once.
        group: What belongs together, such as one deployment.
        what: One line for people.
        chain_id: On which chain.
        signer: Who signs.
        call: The transaction.
        artifact: Name of the contract that it makes, else empty.
        after: Key of the operation that must be done before this one is signed; it
            fails if that one does. Both may be ordered at once.
        behind: Intents of operations that must be over before this one is signed,
            whatever became of them. They name attempts and not keys: who waits for what
            was ordered earlier does not wait for what is ordered again later.
    """

    key: str
    group: str
    what: str
    chain_id: int
    signer: str
    call: Call
    artifact: str = ""
    after: str = ""
    behind: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An order and what became of it.

    Attributes:
        key, group, what, chain_id, signer, artifact: As ordered.
        target: Contract that is called; None for one that is made.
        intent_id: The intent that does it.
        attempt: How often it was ordered, 1 for the first time.
        state: What became of it.
        contract: The contract that it made, checksummed.
        tx_hash: The transaction that did it.
        block_number: Its block.
        gas_used: Gas units that it took.
        reason: Why it failed.
        created_ms: When it was ordered.
        ended_ms: When it was settled.
    """

    key: str
    group: str
    what: str
    chain_id: int
    signer: str
    target: str | None
    artifact: str
    intent_id: str
    attempt: int
    state: OperationState
    contract: str | None
    tx_hash: str | None
    block_number: int | None
    gas_used: int | None
    reason: str
    created_ms: int
    ended_ms: int | None

    def checked(self) -> Operation:
        """Itself, unless it failed.

        Raises:
            OperationFailedError: It reverted or never happened.
        """
        if self.state in {OperationState.REVERTED, OperationState.FAILED}:
            raise OperationFailedError(f"{self.what}: {self.reason or self.state.value}")
        return self
