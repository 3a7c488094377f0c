"""The jobs that miners may return shares of.

Names: a job's serial number in hex and two digits `00`. A connection whose
difficulty changes gets the current job again as the same serial with other
digits, so that its shares tell which difficulty they were made for; shares of
all names of a job share one memory of duplicates.
"""

from __future__ import annotations

from typing import NamedTuple

from millpond.mining.sharelog.records import Job as LoggedJob
from millpond.mining.stratum import wire
from millpond.mining.work.job import Job
from millpond.mining.work.pow import WorkHandle

MAX_SEEN = 1_000_000
"""Accepted shares of one job; beyond that a new job is due."""


def job_name(serial: int) -> str:
    """Name of a job as it is broadcast."""
    return f"{serial:x}00"


class RetiredJob(NamedTuple):
    """What is kept of a job that is not good any more, to tell what a late share was."""

    work: WorkHandle
    version: int


class JobEntry:
    """A job as it was sent.

    Attributes:
        job: What to work on.
        serial: Its number; later jobs have greater ones.
        name: Its name as broadcast.
        seen: Keys of its accepted shares.
        logged: What the share log says it was work for.
        tail: The parameters of its notify, ready for the wire.
        plain: `mining.notify` with clean_jobs false.
    """

    __slots__ = ("job", "logged", "name", "plain", "seen", "serial", "tail")

    def __init__(self, job: Job, serial: int) -> None:
        self.job = job
        self.serial = serial
        self.name = job_name(serial)
        self.seen: set[bytes] = set()
        self.logged = LoggedJob(job.height, job.network_difficulty)
        self.tail = wire.notify_tail(job.notify)
        self.plain = wire.notify(self.name, self.tail, clean=False)


class JobBoard:
    """The current job and those before it that are still good.

    All jobs of the board build on the same block; when that changes the older
    ones are gone at once, and their shares are stale.
    """

    def __init__(self, *, first_serial: int, max_jobs: int = 16) -> None:
        assert max_jobs > 0, "there is a current job"
        self._max_jobs = max_jobs
        self._serial = first_serial
        self._first_serial = first_serial
        self.entries: dict[str, JobEntry] = {}
        self._retired: dict[int, RetiredJob] = {}
        self.current: JobEntry | None = None

    def next_serial(self) -> int:
        """Number of the job that will be posted next."""
        self._serial += 1
        return self._serial

    def post(self, job: Job, serial: int) -> tuple[JobEntry, bool]:
        """Make a job the current one; the flag tells whether the others are stale by it."""
        entry = JobEntry(job, serial)
        clean = self.current is None or self.current.job.prev_hash != job.prev_hash
        if clean:
            self._retired = {
                old.serial: RetiredJob(old.job.work, old.job.version)
                for old in self.entries.values()
            }
            self.entries.clear()
        self.entries[entry.name] = entry
        while len(self.entries) > self._max_jobs:
            del self.entries[next(iter(self.entries))]
        self.current = entry
        return entry, clean

    def withdraw(self) -> None:
        """Take all jobs back: nothing is good until the next is posted."""
        self.entries.clear()
        self.current = None

    @property
    def oldest_serial(self) -> int:
        """Number of the oldest job that is good; beyond all that were posted if none is."""
        entry = next(iter(self.entries.values()), None)
        return self._serial + 1 if entry is None else entry.serial

    @property
    def crowded(self) -> bool:
        """The current job has so many shares that a new one is due."""
        return self.current is not None and len(self.current.seen) >= MAX_SEEN

    def was_known(self, name: str) -> bool:
        """Whether the name looks like that of an earlier job of this process."""
        return self._first_serial < serial_of(name) <= self._serial

    def retired(self, name: str) -> RetiredJob | None:
        """A job of the block before, by any of its names."""
        return self._retired.get(serial_of(name))


def serial_of(name: str) -> int:
    """Number of the job that a name is of; -1 if it is no name."""
    try:
        return int(name[:-2], 16)
    except ValueError:
        return -1
