"""What the rewards room refuses, each refusal with its own stable code."""

from __future__ import annotations

from millpond.errors import ConflictError, InvalidInputError, MillpondError, NotFoundError


class EpochNotFoundError(NotFoundError):
    """No such epoch was closed."""

    code = "staking_epoch_not_found"


class EpochStateError(ConflictError):
    """The epoch is not in a state in which that can be done."""

    code = "staking_epoch_state"


class EpochChangedError(MillpondError):
    """The rows of an epoch no longer make the statement that was published."""

    code = "staking_epoch_changed"


class EpochClearedError(NotFoundError):
    """The lines of an old epoch were cleaned up; its statement can be computed from the chain."""

    code = "staking_epoch_cleared"


class ForeignRootError(ConflictError):
    """The chain has a root of an epoch that is not of these books."""

    code = "staking_foreign_root"


class NoRewardsError(NotFoundError):
    """The wallet has earned nothing in the pool that could be proven."""

    code = "staking_no_rewards"


class WeightError(InvalidInputError):
    """A weight, or all weights of an emission together, that cannot be."""

    code = "staking_weight"


class ClaimRefusedError(ConflictError):
    """A claim that cannot be made now."""

    code = "staking_claim_refused"
