"""What the staking pools refuse, each refusal with its own stable code."""

from __future__ import annotations

from millpond.errors import ConflictError, InvalidInputError, NotFoundError


class PoolNotFoundError(NotFoundError):
    """No staking pool has that identifier."""

    code = "staking_pool_not_found"


class PoolConflictError(ConflictError):
    """A pool or an asset of that name exists with other terms."""

    code = "staking_pool_conflict"


class PoolTermsError(InvalidInputError):
    """Terms that a pool cannot have."""

    code = "staking_pool_terms"
