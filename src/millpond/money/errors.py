"""What the ledger refuses, each refusal with its own stable code."""

from __future__ import annotations

from millpond.errors import ConflictError, InvalidInputError, MillpondError, NotFoundError


class InvalidTransferError(InvalidInputError):
    """A transfer that no ledger could book: zero amount, one account twice, mixed assets."""

    code = "ledger_invalid_transfer"


class InsufficientFundsError(MillpondError):
    """The transfer would take more out of an account than is free in it."""

    code = "ledger_insufficient_funds"
    http_status = 409


class LedgerConflictError(ConflictError):
    """The identity was used before with another body, or an account with other terms."""

    code = "ledger_conflict"


class PendingResolvedError(ConflictError):
    """The pending transfer was already posted, voided or expired under another identity."""

    code = "ledger_pending_resolved"


class PendingExpiredError(ConflictError):
    """The pending transfer's time is over, so it can no longer be posted."""

    code = "ledger_pending_expired"


class UnknownPendingError(NotFoundError):
    """No pending transfer has that identity."""

    code = "ledger_unknown_pending"


class BalanceMismatchError(MillpondError):
    """A balance is not what somebody who knows says it must be."""

    code = "ledger_balance_mismatch"
    http_status = 409


class LedgerOverflowError(MillpondError):
    """A balance would need more than 78 digits."""

    code = "ledger_overflow"
    http_status = 409
