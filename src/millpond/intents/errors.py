"""What goes wrong with intents, as types with stable codes."""

from __future__ import annotations

from millpond.errors import ConflictError, MillpondError, NotFoundError


class IntentConflictError(ConflictError):
    """The business key was used before for something else."""

    code = "intent_conflict"


class IntentNotFoundError(NotFoundError):
    """No intent has that identifier."""

    code = "intent_not_found"


class IntentBusyError(ConflictError):
    """A worker is at it right now; try again when its lease is over."""

    code = "intent_busy"


class IntentStateError(ConflictError):
    """The intent is in no state in which this can be done."""

    code = "intent_state"


class IntentMayBeEffectiveError(ConflictError):
    """What was sent may still happen, and nobody confirmed that this is accepted."""

    code = "intent_may_be_effective"


class LeaseLostError(MillpondError):
    """Another worker has taken the intent over; this one's result is void."""

    code = "intent_lease_lost"
    http_status = 409
