"""What the staking pools refuse, each refusal with its own stable code."""

from __future__ import annotations

from millpond.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError


class PoolNotFoundError(NotFoundError):
    """No staking pool has that identifier."""

    code = "staking_pool_not_found"


class PoolConflictError(ConflictError):
    """A pool or an asset of that name exists with other terms."""

    code = "staking_pool_conflict"


class PoolTermsError(InvalidInputError):
    """Terms that a pool cannot have."""

    code = "staking_pool_terms"


class ChainGapError(UnavailableError):
    """What the nodes tell does not add up to what the contract says: logs are missing."""

    code = "staking_chain_gap"


class BooksConflictError(ConflictError):
    """An event of the chain cannot be booked; the pool stands still until a person looked."""

    code = "staking_books_conflict"


class PoolStandingError(ConflictError):
    """The pool is followed; there is nothing to let go on."""

    code = "staking_pool_not_stopped"


class WithdrawalNotFoundError(NotFoundError):
    """No withdrawal has that identifier."""

    code = "staking_withdrawal_not_found"


class WithdrawalTooSmallError(InvalidInputError):
    """Less than the smallest withdrawal of the pool."""

    code = "staking_withdrawal_too_small"


class WithdrawalOpenError(ConflictError):
    """Another withdrawal of the same position is under way."""

    code = "staking_withdrawal_open"


class StakeTooSmallError(ConflictError):
    """More than the wallet has staked and free."""

    code = "staking_balance"


class WithdrawalStateError(ConflictError):
    """What is asked for cannot be done with a withdrawal in its state."""

    code = "staking_withdrawal_state"


class DepositRefusedError(ConflictError):
    """The deposit would not succeed on chain, or the pool takes none now."""

    code = "staking_deposit_refused"
