"""Settings of the share log."""

from __future__ import annotations

import msgspec


class ShareLogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sharelog]` of the configuration.

    Attributes:
        url: Where the log lives: `sqlite:///shares.db` or `postgresql://…`.
        linger_ms: Least time between two commits under load; a share that
            comes after a pause is committed at once.
        max_group: Shares in one group at most.
        max_waiting: Shares that may wait for a commit; more are refused.
        retry_s: How long a failing commit is repeated before the miners that
            wait for it are told that their shares were not taken.
        keep_blocks_days: The bytes of a found block are dropped so long after
            the daemons have settled it; that it was found is kept.
        commit_timeout_s: How long one try may take (PostgreSQL).
    """

    url: str = "sqlite:///shares.db"
    linger_ms: float = 2.0
    max_group: int = 5_000
    max_waiting: int = 50_000
    retry_s: float = 5.0
    keep_blocks_days: float = 30.0
    commit_timeout_s: float = 5.0
