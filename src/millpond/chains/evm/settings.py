"""Settings of the access to EVM nodes."""

from __future__ import annotations

import msgspec


class NodesSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the nodes of one chain are asked and watched.

    Attributes:
        quorum: Nodes that must give the same answer where money depends on it.
        finality_depth: Blocks this far below the head do not change any more: two
            answers about them are a contradiction, not a fork.
        interval_s: Between two checks of all nodes.
        timeout_s: How long an answer may take.
        fail_after: Failures in a row until a node counts as ill.
        recover_after: Good answers in a row until it counts as well again.
        backoff_s: First pause of an open circuit; doubled up to `backoff_max_s`.
        backoff_max_s: Longest pause after failures.
        rest_max_s: Longest pause that a node's `Retry-After` is granted.
        silent_after_s: Too few nodes answer for this long: an alert.
        max_lag_blocks: A node further behind the highest head is asked last.
        log_blocks: Longest range of blocks asked for logs at once; found out downwards.
        log_target: A range is made longer only while it brings fewer logs than this.
    """

    quorum: int = 1
    finality_depth: int = 64
    interval_s: float = 5.0
    timeout_s: float = 15.0
    fail_after: int = 2
    recover_after: int = 3
    backoff_s: float = 1.0
    backoff_max_s: float = 30.0
    rest_max_s: float = 120.0
    silent_after_s: float = 60.0
    max_lag_blocks: int = 3
    log_blocks: int = 5_000
    log_target: int = 5_000

    def __post_init__(self) -> None:
        if self.quorum < 1 or self.finality_depth < 1:
            raise ValueError("quorum and finality_depth are at least 1")
        if self.log_blocks < 1 or self.log_target < 1:
            raise ValueError("log_blocks and log_target are at least 1")
