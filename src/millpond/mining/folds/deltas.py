"""What a stretch of the share log adds to the statistics; pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from millpond.mining.folds.tables import DAY_S, HOUR_S, MINUTE_S, NO_BITS


@dataclass(slots=True)
class Tally:
    """Counts and difficulty sums (fixed point) of one slice."""

    accepted: int = 0
    stale: int = 0
    rejected: int = 0
    accepted_sum: int = 0
    stale_sum: int = 0
    rejected_sum: int = 0
    best_bits: int = NO_BITS

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        self.accepted += other.accepted
        self.stale += other.stale
        self.rejected += other.rejected
        self.accepted_sum += other.accepted_sum
        self.stale_sum += other.stale_sum
        self.rejected_sum += other.rejected_sum
        self.best_bits = min(self.best_bits, other.best_bits)


@dataclass(slots=True)
class Seen:
    """When a worker was seen and with what."""

    first_ms: int
    last_ms: int
    difficulty: int
    best_bits: int = NO_BITS


@dataclass(slots=True)
class Deltas:
    """Sums over any number of groups of one pool.

    Attributes:
        minutes: Tally by worker and start of the minute (unix seconds).
        rejects: `[count, difficulty sum]` by worker, reason and start of the hour.
        seen: Each worker that appears.
        height, network_difficulty, last_ms: Of the newest share.
    """

    minutes: dict[tuple[str, int], Tally] = field(default_factory=dict)
    rejects: dict[tuple[str, str, int], list[int]] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    shares: int = 0
    height: int = 0
    network_difficulty: int = 0
    last_ms: int = 0

    def accept(
        self, worker: str, minute_s: int, seen: Seen, count: int, difficulty_sum: int
    ) -> None:
        """Count accepted shares of one worker in one minute."""
        self.shares += count
        tally = self.minutes.setdefault((worker, minute_s), Tally())
        tally.accepted += count
        tally.accepted_sum += difficulty_sum
        tally.best_bits = min(tally.best_bits, seen.best_bits)
        self._see(worker, seen)

    def reject(
        self, worker: str, time_ms: int, reason: str, added: tuple[int, int], *, stale: bool
    ) -> None:
        """Count rejected shares of one worker and reason: `(count, difficulty sum)`."""
        count, difficulty_sum = added
        tally = self.minutes.setdefault((worker, time_ms // 60_000 * MINUTE_S), Tally())
        if stale:
            tally.stale += count
            tally.stale_sum += difficulty_sum
        else:
            tally.rejected += count
            tally.rejected_sum += difficulty_sum
        entry = self.rejects.setdefault((worker, reason, time_ms // 3_600_000 * HOUR_S), [0, 0])
        entry[0] += count
        entry[1] += difficulty_sum
        self._see(worker, Seen(time_ms, time_ms, 0))

    def _see(self, worker: str, now: Seen) -> None:
        seen = self.seen.setdefault(worker, now)
        seen.first_ms = min(seen.first_ms, now.first_ms)
        seen.last_ms = max(seen.last_ms, now.last_ms)
        seen.difficulty = now.difficulty or seen.difficulty
        seen.best_bits = min(seen.best_bits, now.best_bits)

    def by_worker(self, size_s: int) -> dict[tuple[str, int], Tally]:
        """Tallies by worker and start of the slice of `size_s` seconds."""
        result: dict[tuple[str, int], Tally] = {}
        for (worker, minute), tally in self.minutes.items():
            result.setdefault((worker, minute // size_s * size_s), Tally()).add(tally)
        return result

    def by_start(self, size_s: int) -> dict[int, Tally]:
        """Tallies of the whole pool by start of the slice of `size_s` seconds."""
        result: dict[int, Tally] = {}
        for (_, minute), tally in self.minutes.items():
            result.setdefault(minute // size_s * size_s, Tally()).add(tally)
        return result

    def rejects_by(self, size_s: int) -> dict[tuple[str, str, int], tuple[int, int]]:
        """Count and difficulty sum by worker, reason and start of the slice."""
        assert size_s in (HOUR_S, DAY_S), "rejects by reason are kept by hour and by day"
        result: dict[tuple[str, str, int], tuple[int, int]] = {}
        for (worker, reason, hour), (count, difficulty_sum) in self.rejects.items():
            key = (worker, reason, hour // size_s * size_s)
            before = result.get(key, (0, 0))
            result[key] = (before[0] + count, before[1] + difficulty_sum)
        return result
