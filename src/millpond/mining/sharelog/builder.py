"""A group while it is being filled."""

from __future__ import annotations

from millpond.mining.sharelog.codec import (
    MAX_DELTA_MS,
    MAX_EVIDENCE,
    MAX_REJECTS,
    MAX_WORKERS,
    SHARE,
    encode,
    group_hash,
)
from millpond.mining.sharelog.records import Group, Job, RejectReason

_pack = SHARE.pack


class GroupBuilder:
    """Collects entries in arrival order; `finish` makes the stored group."""

    __slots__ = (
        "_blocks",
        "_evidence",
        "_first_ms",
        "_jobs",
        "_last_ms",
        "_rejects",
        "_shares",
        "_workers",
        "count",
    )

    def __init__(self) -> None:
        self.count = 0
        self._workers: dict[str, int] = {}
        self._jobs: dict[Job, int] = {}
        self._shares = bytearray()
        self._rejects: dict[tuple[int, int], list[int]] = {}
        self._evidence: list[tuple[int, int, int, int, bytes]] = []
        self._blocks: list[tuple[int, bytes, int, int, int, int, int]] = []
        self._first_ms = -1
        self._last_ms = -1

    @property
    def empty(self) -> bool:
        """Nothing was added yet."""
        return self._first_ms < 0

    @property
    def full(self) -> bool:
        """A table of the format has no room for another entry."""
        return len(self._workers) >= MAX_WORKERS - 1 or len(self._rejects) >= MAX_REJECTS

    def add(self, time_ms: int, worker: str, job: Job, difficulty: int, achieved_bits: int) -> None:
        """Add a credited share."""
        workers = self._workers
        worker_index = workers.get(worker)
        if worker_index is None:
            worker_index = workers[worker] = len(workers)
        job_index = self._jobs.get(job)
        if job_index is None:
            job_index = self._jobs[job] = len(self._jobs)
        self._shares += _pack(
            self._delta(time_ms), worker_index, job_index, difficulty, achieved_bits
        )
        self.count += 1

    def mark_block(
        self, block_hash: str, height: int, value: int, network_difficulty: int, at_ms: int
    ) -> None:
        """Say that the share added last met the network target."""
        assert self.count, "a block mark follows its share"
        index = self.count - 1
        _, worker, _, _, _ = SHARE.unpack_from(self._shares, index * SHARE.size)
        raw = bytes.fromhex(block_hash)
        assert len(raw) == 32, "a block hash has 32 bytes"
        self._blocks.append((index, raw, height, value, network_difficulty, at_ms, worker))

    def reject(
        self, time_ms: int, worker: str, reason: RejectReason, difficulty: int, evidence: bytes
    ) -> None:
        """Count a refused share; keep its evidence while there is room."""
        index = self._workers.setdefault(worker, len(self._workers))
        delta = self._delta(time_ms)
        entry = self._rejects.setdefault((index, reason), [0, 0])
        entry[0] += 1
        entry[1] += difficulty
        if evidence and len(self._evidence) < MAX_EVIDENCE:
            self._evidence.append((delta, index, reason, difficulty, evidence))

    def finish(self, pool_id: str, edge: str, sequence: int, previous_hash: bytes) -> Group:
        """The group as it will be stored."""
        assert not self.empty, "an empty group is never stored"
        payload = encode(
            list(self._workers),
            list(self._jobs),
            self._shares,
            [(w, r, n, d) for (w, r), (n, d) in self._rejects.items()],
            self._evidence,
            self._blocks,
        )
        first, last = self._first_ms, self._last_ms
        digest = group_hash(
            previous_hash, pool_id, edge, sequence, first, last, self.count, payload
        )
        return Group(
            pool_id, edge, sequence, first, last, self.count, payload, previous_hash, digest
        )

    def _delta(self, time_ms: int) -> int:
        if self._first_ms < 0:
            self._first_ms = self._last_ms = time_ms
            return 0
        # A wall clock that is set back must not reorder shares; one that jumps
        # ahead further than the format holds is kept at its end.
        delta = min(max(time_ms, self._last_ms) - self._first_ms, MAX_DELTA_MS)
        self._last_ms = self._first_ms + delta
        return delta
