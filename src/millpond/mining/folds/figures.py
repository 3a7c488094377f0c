"""The typed answers of `queries`, and how hashrate follows from shares."""

from __future__ import annotations

import msgspec

from millpond.mining.difficulty import difficulty_to_target

WINDOW_S = 600
"""Hashrate is averaged over ten minutes; whoever sent no share in it is not active."""

_SHORTEST_S = 60


class Rate(msgspec.Struct, frozen=True):
    """The proof of work's unit: how many hashes one unit of difficulty stands for."""

    difficulty_1_target: int

    def hashes(self, difficulty_sum: int) -> int:
        """Expected hashes behind a sum of share difficulty (fixed point)."""
        return (difficulty_sum << 256) // ((self.difficulty_1_target + 1) << 32)

    def per_second(self, difficulty_sum: int, seconds: float) -> float:
        """Hashes per second behind a sum collected in `seconds`."""
        return self.hashes(difficulty_sum) / seconds if seconds > 0 else 0.0

    def target_hex(self, network_difficulty: int) -> str:
        """The network's target as 64 hexadecimal digits; empty if not known yet."""
        if not network_difficulty:
            return ""
        return f"{difficulty_to_target(network_difficulty, self.difficulty_1_target):064x}"


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of a stretch of time; sums in fixed-point difficulty."""

    accepted: int = 0
    stale: int = 0
    rejected: int = 0
    accepted_sum: int = 0
    stale_sum: int = 0
    rejected_sum: int = 0


class PoolStats(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a pool as the API names them.

    Attributes:
        total_miners, total_workers: Ever seen.
        active_miners, active_workers: With a share in the last ten minutes.
        total_shares_24h: Accepted shares of the last 24 hours.
        pool_hashrate: Hashes per second over the ten-minute window.
        current_target: The network's target, 64 hexadecimal digits.
        network_difficulty: Fixed point; 0 before the first share.
        height: Of the block that the newest share worked on.
        last_share_ms: When the newest share came; None before the first.
        shares_24h: All counts of the last 24 hours.
    """

    pool_id: str
    total_miners: int
    active_miners: int
    total_workers: int
    active_workers: int
    total_shares_24h: int
    pool_hashrate: float
    current_target: str
    network_difficulty: int
    height: int
    last_share_ms: int | None
    shares_24h: Counts


class WorkerStats(msgspec.Struct, frozen=True, kw_only=True):
    """One worker.

    Attributes:
        worker: `wallet.worker_name`.
        online: A share within the last ten minutes.
        hashrate: Hashes per second over the ten-minute window.
        difficulty: Of its last share, fixed point.
        best_bits: Compact target that its best share met.
        shares_24h: Of the last 24 hours, to the hour.
    """

    pool_id: str
    worker: str
    wallet: str
    worker_name: str
    online: bool
    hashrate: float
    difficulty: int
    best_bits: int
    first_share_ms: int
    last_share_ms: int
    shares_24h: Counts


class MinerStats(msgspec.Struct, frozen=True, kw_only=True):
    """All workers of one payout address in one pool, added up."""

    pool_id: str
    wallet: str
    workers: int
    active_workers: int
    hashrate: float
    best_bits: int
    first_share_ms: int
    last_share_ms: int
    shares_24h: Counts


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One slice of a performance series."""

    start_ms: int
    seconds: int
    hashrate: float
    counts: Counts


class RejectCount(msgspec.Struct, frozen=True, kw_only=True):
    """Rejected shares of one reason."""

    reason: str
    count: int
    difficulty_sum: int


def window_start_s(now_ms: int) -> int:
    """First whole minute inside the ten-minute window that ends now."""
    return (now_ms // 1000 - WINDOW_S) // 60 * 60 + 60


def window_seconds(now_ms: int, first_share_ms: int) -> float:
    """Seconds that the window's shares were collected in.

    Nine to ten minutes; from the first share on for who began later, but at
    least one minute, so that one lucky first share makes no giant.
    """
    begun_ms = max(window_start_s(now_ms) * 1000, first_share_ms)
    return max((now_ms - begun_ms) / 1000, _SHORTEST_S)
