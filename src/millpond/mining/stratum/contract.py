"""What a session, its server and the dialect's methods are to each other.

The arrows run `server → session → methods → contract`: the server makes
sessions, a session calls methods, and all three know the others by what is
written here. Nothing of it exists at run time but names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from millpond.chains.coins import Coin
from millpond.clock import Clock
from millpond.mining.sharelog.records import Job as LoggedJob
from millpond.mining.sharelog.records import RejectReason
from millpond.mining.stratum.extranonce import ExtranonceAllocator
from millpond.mining.stratum.jobs import JobBoard
from millpond.mining.stratum.settings import StratumLimits
from millpond.mining.work.job import Job
from millpond.mining.work.validate import Accepted, Submission


class ShareSink(Protocol):
    """What the server needs of the share log; `ShareLogWriter` is one."""

    @property
    def available(self) -> bool:
        """Shares can be taken now."""

    def append(  # noqa: PLR0917
        self,
        time_ms: int,
        worker: str,
        job: LoggedJob,
        difficulty: int,
        achieved_bits: int,
        waiter: Any,
    ) -> bool:
        """Take a share; False if it cannot."""

    def reject(
        self,
        time_ms: int,
        worker: str,
        reason: RejectReason,
        difficulty: int,
        evidence: bytes = b"",
    ) -> None:
        """Count a refused share."""


OnBlock = Callable[[Job, bytes, Submission, Accepted, str, int, bool], None]
"""(job, extranonce1, submission, verdict, worker, time ms, whether the log took the share),
right after the share's append."""


class Stats:
    """Plain counters of the hot path; see `docs/stratum.md` for the metrics made of them."""

    __slots__ = (
        "accepted",
        "banned",
        "last_notify_ns",
        "malformed",
        "opened",
        "refused_connections",
        "refused_logins",
        "rejected",
        "slow_readers",
        "unanswered",
    )

    def __init__(self) -> None:
        self.opened = 0
        self.accepted = 0
        self.rejected: dict[str, int] = {}
        self.malformed = 0
        self.slow_readers = 0
        self.refused_connections = 0
        self.refused_logins = 0
        self.banned = 0
        self.unanswered = 0
        self.last_notify_ns = 0


class Connection(Protocol):
    """A miner's connection; `Session` is one.

    Attributes:
        transport: The socket.
        address: Of the peer.
        closed: Nothing is sent any more.
        started: Subscribed and authorized.
        opened_ns: When it was opened, by the monotonic clock.
        heard_ns: When the last byte came.
        extranonce1: Of this connection; empty until it has subscribed.
        worker: The name authorized first; empty until then.
        workers: All names authorized.
        log_names: Of these, names that are logged in another writing, and how.
        start_difficulty: What its port begins with, fixed point.
        difficulty: In force, fixed point.
        fixed: The difficulty does not follow the miner, unless it floods.
        follows_extranonce: The miner takes a new extranonce1.
        floor: Least difficulty that the miner asked for, fixed point.
        suggested: Difficulty that it asked to begin with, 0 if none.
        version_mask: Version bits that were negotiated.
    """

    transport: asyncio.Transport
    address: str
    closed: bool
    started: bool
    opened_ns: int
    heard_ns: int
    extranonce1: bytes
    worker: str
    workers: set[str] | None
    log_names: dict[str, str] | None
    start_difficulty: int
    difficulty: int
    fixed: bool
    follows_extranonce: bool
    floor: int
    suggested: int
    version_mask: int

    def begin(self) -> None:
        """Subscribed and authorized: say the difficulty and give the job."""

    def change_difficulty(self, difficulty: int) -> None:
        """From the next job on."""

    def change_extranonce(self, extranonce1: bytes) -> None:
        """From the next job on; shares of those before stay good with the earlier one."""

    def held_extranonces(self) -> list[bytes]:
        """Extranonces that this connection uses: its own and earlier ones."""

    def look_after(self, now_ns: int) -> None:
        """Housekeeping, every few seconds."""

    def send(self, data: bytes) -> None:
        """Write, unless the connection is gone."""

    def deliver(self, answers: list[bytes]) -> None:
        """Write the answers of shares whose group is settled."""

    def abort(self) -> None:
        """End the connection now, dropping what is unsent."""

    def close(self) -> None:
        """End the connection when what is unsent has gone out."""


class Host(Protocol):
    """The server, as sessions and methods see it; `StratumServer` is one.

    Attributes:
        coin: What is mined.
        clock: Time.
        limits: What a connection may do.
        check_worker: Gives the name that a worker is logged by; raises a
            `MillpondError` if its name is no good.
        stats: Counters since the start.
        board: Jobs that are good now.
        log: Where shares go.
        on_block: Told of every share that is a block.
        extranonces: The extranonce1 of every connection.
        extranonce2_size: In bytes.
        version_mask: Version bits that the coin lets miners roll; 0 if none.
        vardiff_target_ns: Time between two shares that vardiff aims at.
    """

    coin: Coin
    clock: Clock
    limits: StratumLimits
    check_worker: Callable[[str], str]
    stats: Stats
    board: JobBoard
    log: ShareSink
    on_block: OnBlock
    extranonces: ExtranonceAllocator
    extranonce2_size: int
    version_mask: int
    vardiff_target_ns: float

    def admit(self, session: Connection) -> bool:
        """Register a new connection unless it is one too many or its address is banned."""

    def forget(self, session: Connection) -> None:
        """A connection is gone."""

    def ban(self, address: str) -> None:
        """Turn an address away for a while."""

    def difficulty_bounds(self, floor: int) -> tuple[int, int]:
        """Least and greatest difficulty, given the miner's own least."""

    def bounded(self, difficulty: int, floor: int) -> int:
        """A difficulty that was asked for, within the bounds."""

    def rounded(self, difficulty: int) -> int:
        """A difficulty that vardiff wants, as it is sent."""

    def remember(self, worker: str, difficulty: int) -> None:
        """Keep a worker's difficulty for the next time it connects."""

    def remembered(self, worker: str) -> int:
        """The difficulty that a worker had last, 0 if not known."""
