"""The threads that hash.

Each takes a unit of work (one header with its nonce space), scans it in
slices of a few hundredths of a second, and rests between slices as long as
the load asks for. A new job is noticed at the end of a slice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from millpond.clock import Clock
from millpond.mining.miner.protocol import ClientJob, spread
from millpond.mining.work import pow as proofs
from millpond.mining.work import proof_of_work

SLICE_NS = 30_000_000
"""How long a slice should take."""
FIRST_SLICE = 64
MAX_SLICE = 1 << 24
MAX_REST_S = 5.0
MAX_UNSENT = 64
"""Shares found and not yet answered, over all threads; more must wait."""


class Found(msgspec.Struct, frozen=True, gc=False):
    """A share, as `mining.submit` wants it."""

    job: ClientJob
    extranonce2: bytes
    nonce: int
    version_bits: int | None
    is_block: bool


class _Unit(NamedTuple):
    job: ClientJob
    generation: int
    extranonce2: bytes
    version_bits: int | None
    header: bytes


class Scanner:
    """A number of threads that work on the current job."""

    def __init__(
        self,
        algorithm: str,
        threads: int,
        load: float,
        clock: Clock,
        on_found: Callable[[Found], None],
        *,
        pause_s: float = 0.0,
    ) -> None:
        kernel_id = proof_of_work(algorithm).kernel_id
        assert kernel_id is not None, "the miner's algorithms are in the kernel"
        self._kernel_id = kernel_id
        self._hash_header = proof_of_work(algorithm).hash_int
        self._load = load
        self._pause_s = pause_s
        self._clock = clock
        self._on_found = on_found
        self._changed = threading.Condition()
        self._job: ClientJob | None = None
        self._generation = 0
        self._unit_number = 0
        self._hashes = 0
        self._stopped = threading.Event()
        self._room = threading.BoundedSemaphore(MAX_UNSENT)
        self._threads = [
            threading.Thread(target=self._run, name=f"hash-{i}", daemon=True)
            for i in range(threads)
        ]

    def start(self) -> None:
        """Start the threads; they wait for a job."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads and wait for them, a slice at the longest."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=10)

    def set_job(self, job: ClientJob | None) -> None:
        """Work on `job` from now on; None to rest."""
        with self._changed:
            self._job = job
            self._generation += 1
            self._changed.notify_all()

    def answered(self) -> None:
        """Make room for another share: one was answered or given up."""
        self._room.release()

    @property
    def hashes(self) -> int:
        """Hashes made so far."""
        return self._hashes

    def _run(self) -> None:
        size = FIRST_SLICE
        while (unit := self._next_unit()) is not None:
            nonce = 0
            while nonce < 1 << 32 and self._is_current(unit):
                before = self._clock.monotonic_ns()
                found, made = proofs.scan(
                    self._kernel_id, unit.header, nonce, size, unit.job.target_le
                )
                spent = self._clock.monotonic_ns() - before
                nonce += made
                with self._changed:
                    self._hashes += made
                if found is not None:
                    self._give(unit, found)
                    self._stopped.wait(self._pause_s)
                elif made == size:
                    size = _next_size(size, spent)
                self._rest(spent)

    def _next_unit(self) -> _Unit | None:
        with self._changed:
            while self._job is None and not self._stopped.is_set():
                self._changed.wait()
            if self._job is None or self._stopped.is_set():
                return None
            job, generation, number = self._job, self._generation, self._unit_number
            self._unit_number += 1
        size = job.extranonce.second_size
        extranonce2 = (number % (1 << 8 * size)).to_bytes(size, "big")
        version_bits = spread(number, job.mask) if job.mask else None
        version = job.version
        if version_bits is not None:
            version = version & ~job.mask | version_bits
        header = job.work.header(job.extranonce.first, extranonce2, job.ntime, 0, version)
        return _Unit(job, generation, extranonce2, version_bits, header)

    def _is_current(self, unit: _Unit) -> bool:
        return unit.generation == self._generation and not self._stopped.is_set()

    def _give(self, unit: _Unit, nonce: int) -> None:
        while not self._room.acquire(timeout=0.1):
            if not self._is_current(unit):
                return
        value = self._hash_header(unit.header[:76] + nonce.to_bytes(4, "little"))
        self._on_found(
            Found(
                unit.job, unit.extranonce2, nonce, unit.version_bits,
                value <= unit.job.network_target,
            )
        )  # fmt: skip

    def _rest(self, spent_ns: int) -> None:
        if self._load < 1:
            rest_s = spent_ns / 1e9 * (1 - self._load) / self._load
            self._stopped.wait(min(rest_s, MAX_REST_S))


def _next_size(size: int, spent_ns: int) -> int:
    """Grow or shrink a slice towards its intended time, by a factor of two at most."""
    if spent_ns < SLICE_NS // 2:
        return min(size * 2, MAX_SLICE)
    if spent_ns > SLICE_NS * 2:
        return max(size // 2, 1)
    return size
