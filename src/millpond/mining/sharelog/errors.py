"""What can go wrong with the share log."""

from __future__ import annotations

from millpond.errors import ConflictError, MillpondError, UnavailableError


class ShareLogUnavailableError(UnavailableError):
    """The log cannot be written now; whether the last group was is not known."""

    code = "sharelog_unavailable"


class ShareLogTakenError(ConflictError):
    """Another process writes the log of this pool and edge."""

    code = "sharelog_taken"


class ShareLogForkedError(MillpondError):
    """The log holds another group at our place: somebody else wrote, or it was changed."""

    code = "sharelog_forked"


class ShareLogCorruptError(MillpondError):
    """A group cannot be decoded or is not what its hash says."""

    code = "sharelog_corrupt"
