"""Transactions that a person orders: contracts made, pools funded, settings changed.

Each is one intent under a key that says what it is for, so that the same order
given twice is done once, and a row that keeps what became of it. May touch the
store, intents and the transaction manager. Promises: what was done can be read
for ever, with the transaction that did it.
"""

from millpond.chains.evm.operations.effect import KIND, OperationEffect
from millpond.chains.evm.operations.model import (
    Operation,
    OperationConflictError,
    OperationFailedError,
    OperationState,
    OperationUndecidedError,
    Order,
)
from millpond.chains.evm.operations.service import Operations

__all__ = [
    "KIND",
    "Operation",
    "OperationConflictError",
    "OperationEffect",
    "OperationFailedError",
    "OperationState",
    "OperationUndecidedError",
    "Operations",
    "Order",
]
