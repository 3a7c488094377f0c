"""One miner's connection: lines in, shares checked, answers out.

This is the hot path. A share costs one decoded line, one check in the kernel
and one entry in the open group; the answer is written when the group is
durable, together with the others of the same connection.
"""

from __future__ import annotations

import asyncio
from typing import cast

from millpond.mining.sharelog.records import RejectReason
from millpond.mining.stratum import vardiff, wire
from millpond.mining.stratum.contract import Host
from millpond.mining.stratum.history import History, Terms
from millpond.mining.stratum.jobs import JobEntry, RetiredJob, serial_of
from millpond.mining.stratum.methods import METHODS
from millpond.mining.work.job import Job
from millpond.mining.work.validate import (
    MALFORMED,
    NOT_SUBSCRIBED,
    STALE,
    UNAUTHORIZED,
    RejectCode,
    Rejected,
    check,
    forget,
    parse_submission,
    rolled_version,
)

UNKNOWN_JOB = Rejected(RejectCode.JOB_NOT_FOUND, "unknown-job", "Job not found")
UNAVAILABLE = Rejected(
    RejectCode.OTHER, "unavailable", "The pool cannot store shares now; this one is not counted"
)

FLOOD_MESSAGE = "Your fixed difficulty is too low for this miner; it has been raised"

_REASONS = {
    "stale": RejectReason.STALE,
    "unknown-job": RejectReason.UNKNOWN_JOB,
    "duplicate": RejectReason.DUPLICATE,
    "low-difficulty": RejectReason.LOW_DIFFICULTY,
    "ntime-out-of-range": RejectReason.INVALID_TIME,
    "bad-version-bits": RejectReason.INVALID_VERSION,
    "malformed": RejectReason.MALFORMED,
    "bad-extranonce2": RejectReason.MALFORMED,
    "unauthorized": RejectReason.UNAUTHORIZED,
    "not-subscribed": RejectReason.UNAUTHORIZED,
    "unavailable": RejectReason.UNAVAILABLE,
}
_INNOCENT = frozenset({"stale", "unknown-job", "unavailable"})
"""Reasons that say nothing against the miner."""
_PROVABLE = frozenset({"stale", "duplicate", "low-difficulty"})
"""Reasons for which the share's header shows the work that went into it."""

_TLS_HANDSHAKE = 0x16
_FLOOD_SHARES = 256
"""Shares over which the rate of a fixed difficulty is averaged, at least."""


class Session(asyncio.Protocol):
    """See the module.

    Attributes:
        extranonce1: Of this connection; empty until it has subscribed.
        worker: The name authorized first; empty until then.
        workers: All names authorized.
        log_names: Of these, names that are logged in another writing, and how.
        difficulty: Of jobs from serial `since` on, fixed point.
        fixed: The difficulty does not follow the miner, unless it floods.
        follows_extranonce: The miner takes a new extranonce1.
        version_mask: Version bits that were negotiated.
        floor: Least difficulty that the miner asked for, fixed point.
        suggested: Difficulty that it asked to begin with, 0 if none.
    """

    __slots__ = (
        "_flooded",
        "_history",
        "_invalid",
        "_malformed",
        "_pending",
        "_reading",
        "_seen_shares",
        "_server",
        "_tail",
        "_talk",
        "_window_ns",
        "_window_shares",
        "address",
        "closed",
        "difficulty",
        "extranonce1",
        "fixed",
        "floor",
        "follows_extranonce",
        "heard_ns",
        "log_names",
        "opened_ns",
        "since",
        "start_difficulty",
        "started",
        "suggested",
        "transport",
        "version_mask",
        "worker",
        "workers",
    )

    def __init__(self, server: Host, *, start_difficulty: int, fixed: bool) -> None:
        self._server = server
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.address = ""
        self.closed = False
        self.started = False
        self.extranonce1 = b""
        self.worker = ""
        self.workers: set[str] | None = None
        self.log_names: dict[str, str] | None = None
        self.version_mask = 0
        self.start_difficulty = start_difficulty
        self.difficulty = start_difficulty
        self.fixed = fixed
        self.floor = 0
        self.suggested = 0
        self.since = 0
        self.heard_ns = self.opened_ns = server.clock.monotonic_ns()
        self.follows_extranonce = False
        self._history: History | None = None
        self._flooded = False
        self._tail = b""
        self._talk = 0
        self._pending = 0
        self._reading = True
        self._malformed = 0
        self._invalid = 0
        self._seen_shares = 0
        self._window_ns = 0
        self._window_shares = 0

    # -- the transport speaks ------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register, or turn away."""
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else "local"
        self.transport.set_write_buffer_limits(self._server.limits.max_write_buffer)
        if not self._server.admit(self):
            self.closed = True
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        """Forget the connection."""
        self.closed = True
        self._server.forget(self)

    def pause_writing(self) -> None:
        """Disconnect a miner that has stopped reading."""
        self._server.stats.slow_readers += 1
        self.abort()

    def data_received(self, data: bytes) -> None:
        """Answer every whole line, keep the rest."""
        if self.closed:
            return
        server = self._server
        self.heard_ns = server.clock.monotonic_ns()
        if self._tail:
            data = self._tail + data
        elif data[0] == _TLS_HANDSHAKE and not self.extranonce1:
            # Some miners try TLS first and plain text only when the pool
            # closes; none waits for an answer.
            self.abort()
            return
        lines = data.split(b"\n")
        tail = lines.pop()
        limit, talk_limit = server.limits.max_line, server.limits.max_talk
        now_ms = server.clock.now_ms()
        for line in lines:
            if len(line) > limit:
                self._close_with("The line is too long")
                return
            self._talk += 1
            if self._talk > talk_limit:
                self._close_with("Too many messages that are no shares")
                return
            self._line(line, now_ms)
            if self.transport.is_closing():
                return
        self._tail = tail
        if len(tail) > limit:
            self._close_with("The line is too long")

    def eof_received(self) -> bool:
        """The miner has closed its side; so do we."""
        return False

    # -- lines ---------------------------------------------------------------

    def _line(self, line: bytes, now_ms: int) -> None:
        request = wire.decode(line)
        if request is None:
            if line.strip():
                self._on_malformed(wire.NULL, "The line is not a JSON-RPC request")
            return
        request_id = wire.request_id(request)
        method = request.method
        if method == "mining.submit":
            self._submit(request_id, request.params, now_ms)
            return
        if method is None:
            # An answer to something we sent; nothing of ours waits for one.
            if b'"result"' not in line:
                self._on_malformed(request_id, "The request names no method")
            return
        params = [] if request.params is None else request.params
        if not isinstance(params, list):
            self._on_malformed(request_id, "The parameters are not a list")
            return
        handler = METHODS.get(method)
        if handler is None:
            # Firmware says all sorts of things; only counted.
            self._server.stats.malformed += 1
            self.send(wire.error(request_id, RejectCode.OTHER, "Unknown method"))
            return
        handler(self, self._server, request_id, params)

    def _submit(self, request_id: bytes, params: object, now_ms: int) -> None:
        verdict = self._credit(request_id, params, now_ms)
        if verdict is None:
            return
        server = self._server
        self.send(wire.rejected(request_id, verdict))
        server.stats.rejected[verdict.reason] = server.stats.rejected.get(verdict.reason, 0) + 1
        if self.worker:
            header = self._header(params) if verdict.reason in _PROVABLE else b""
            reason = _REASONS[verdict.reason]
            server.log.reject(now_ms, self._logged(self.worker), reason, self.difficulty, header)
        if verdict.reason not in _INNOCENT:
            self._invalid += 1
        self._judge()

    def _credit(self, request_id: bytes, params: object, now_ms: int) -> Rejected | None:
        """Check a share and put it into the log; says why not."""
        fields = self._fields(params)
        if isinstance(fields, Rejected):
            return fields
        found = self._job_named(fields[1])
        if isinstance(found, Rejected):
            return found
        submission = parse_submission(*fields[2:])
        if isinstance(submission, Rejected):
            return submission
        server = self._server
        entry, difficulty, extranonce1 = found
        mask = self.version_mask or server.version_mask
        verdict = check(
            entry.job,
            extranonce1,
            submission,
            difficulty=difficulty,
            version_mask=mask,
            now_s=now_ms // 1000,
            seen=entry.seen,
        )
        if isinstance(verdict, Rejected):
            return verdict
        worker = fields[0] if self.log_names is None else self._logged(fields[0])
        logged = server.log.append(
            now_ms,
            worker,
            entry.logged,
            verdict.difficulty,
            verdict.achieved_bits,
            (self, request_id),
        )
        if verdict.is_block:
            # A block goes to the daemons whatever becomes of its share.
            server.on_block(entry.job, extranonce1, submission, verdict, worker, now_ms, logged)
        if not logged:
            forget(entry.job, extranonce1, submission, version_mask=mask, seen=entry.seen)
            return UNAVAILABLE
        self._after_credit()
        return None

    def _header(self, params: object) -> bytes:
        """The block header of a refused share; empty if its job is forgotten."""
        fields = self._fields(params)
        if isinstance(fields, Rejected):
            return b""
        submission = parse_submission(*fields[2:])
        server = self._server
        if (
            isinstance(submission, Rejected)
            or len(submission.extranonce2) != server.extranonce2_size
        ):
            return b""
        job, extranonce1 = self._job_shown(fields[1])
        if job is None:
            return b""
        mask = self.version_mask or server.version_mask
        return job.work.header(
            extranonce1,
            submission.extranonce2,
            submission.ntime,
            submission.nonce,
            rolled_version(job.version, submission, mask),
        )

    def _fields(self, params: object) -> list[str] | Rejected:
        """The parameters if they are five or six texts from an authorized worker."""
        if not self.extranonce1:
            return NOT_SUBSCRIBED
        if not isinstance(params, list) or not 5 <= len(params) <= 6:
            return MALFORMED
        for field in params:
            if type(field) is not str:
                return MALFORMED
        worker = params[0]
        if (worker != self.worker or not worker) and worker not in (self.workers or ()):
            return UNAUTHORIZED
        return params

    def _logged(self, worker: str) -> str:
        """The name that the log knows a worker by: its address in the canonical writing."""
        return (self.log_names or {}).get(worker, worker)

    def _job_named(self, name: str) -> tuple[JobEntry, int, bytes] | Rejected:
        """The job, and the difficulty and extranonce1 that it was sent with."""
        board = self._server.board
        entry = board.entries.get(name)
        if entry is not None and entry.serial >= self.since:
            return entry, self.difficulty, self.extranonce1
        return self._on_earlier_terms(name) or (STALE if board.was_known(name) else UNKNOWN_JOB)

    def _on_earlier_terms(self, name: str) -> tuple[JobEntry, int, bytes] | None:
        name = name.lower()
        entry = self._server.board.entries.get(name[:-2] + "00")
        if entry is None:
            return None
        terms = self._terms_of(name, entry.serial, plain=name == entry.name)
        return None if terms is None else (entry, *terms)

    def _terms_of(self, name: str, serial: int, *, plain: bool) -> Terms | None:
        """Terms of a name: the one that was broadcast, or one of this connection's."""
        history = self._history
        terms = None if history is None else history.named(name)
        if terms is not None or not plain:
            return terms
        if history is None or serial >= self.since:
            return Terms(self.difficulty, self.extranonce1)
        return history.at(serial)

    def _job_shown(self, name: str) -> tuple[Job | RetiredJob | None, bytes]:
        """The job of a refused share, known or of the block before, and its extranonce1."""
        found = self._job_named(name)
        if not isinstance(found, Rejected):
            return found[0].job, found[2]
        name = name.lower()
        serial = serial_of(name)
        terms = self._terms_of(name, serial, plain=name.endswith("00"))
        return self._server.board.retired(name), terms.extranonce1 if terms else self.extranonce1

    def _after_credit(self) -> None:
        limits = self._server.limits
        self._talk -= 1
        self._pending += 1
        if self._pending > limits.max_pending and self._reading:
            self._reading = False
            self.transport.pause_reading()
        self._seen_shares += 1
        if self._seen_shares >= limits.invalid_window:
            self._judge()
        if not self.fixed:
            self._count_for_vardiff()
        else:
            self._count_for_flood()

    # -- answers -------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Write, unless the connection is gone."""
        if not self.closed:
            self.transport.write(data)

    def deliver(self, answers: list[bytes]) -> None:
        """Write the answers of shares whose group is settled."""
        self._pending -= len(answers)
        if self.closed:
            return
        self.transport.write(answers[0] if len(answers) == 1 else b"".join(answers))
        if not self._reading and self._pending <= self._server.limits.max_pending // 2:
            self._reading = True
            self.transport.resume_reading()

    def abort(self) -> None:
        """End the connection now, dropping what is unsent."""
        if not self.closed:
            self.closed = True
            self.transport.abort()

    def close(self) -> None:
        """End the connection when what is unsent has gone out."""
        if not self.closed:
            self.closed = True
            self.heard_ns = self._server.clock.monotonic_ns()
            self.transport.close()

    def look_after(self, now_ns: int) -> None:
        """Housekeeping, every few seconds."""
        limits = self._server.limits
        silent_ns = now_ns - self.heard_ns
        if self.closed:
            # What is unsent may never go out: the other side does not read.
            if silent_ns > limits.login_s * 1e9:
                self.transport.abort()
            return
        self._talk = 0
        late = not self.started and now_ns - self.opened_ns > limits.login_s * 1e9
        if late or silent_ns > limits.idle_s * 1e9:
            self.abort()
        else:
            self._let_go()
            self.ease(now_ns)

    def _close_with(self, message: str) -> None:
        self._server.stats.malformed += 1
        self.send(wire.error(wire.NULL, RejectCode.OTHER, message))
        self.close()

    def _on_malformed(self, request_id: bytes, message: str) -> None:
        self._server.stats.malformed += 1
        self._malformed += 1
        self.send(wire.error(request_id, RejectCode.OTHER, message))
        if self._malformed >= self._server.limits.max_malformed:
            self.close()

    def _judge(self) -> None:
        """Look at the part of invalid shares once a window is full."""
        limits = self._server.limits
        total = self._seen_shares + self._invalid
        if total < limits.invalid_window:
            return
        if self._invalid * 100 >= total * limits.invalid_percent:
            self._server.ban(self.address)
            self.close()
        self._seen_shares = self._invalid = 0

    # -- difficulty ----------------------------------------------------------

    def begin(self) -> None:
        """Subscribed and authorized: say the difficulty and give the job."""
        self.started = True
        self._window_ns = self.heard_ns
        self._window_shares = 0
        current = self._server.board.current
        if current is None:
            self.send(wire.set_difficulty(self.difficulty))
            return
        self.send(
            wire.set_difficulty(self.difficulty)
            + wire.notify(current.name, current.tail, clean=True)
        )

    def change_difficulty(self, difficulty: int) -> None:
        """From the next job on."""
        if difficulty == self.difficulty:
            return
        if not self.started:
            self.difficulty = difficulty
            return
        terms = Terms(difficulty, self.extranonce1)
        self._change_terms(terms, wire.set_difficulty(difficulty))
        self._server.remember(self.worker, difficulty)

    def change_extranonce(self, extranonce1: bytes) -> None:
        """From the next job on; shares of those before stay good with the earlier one."""
        old, server = self.extranonce1, self._server
        current = server.board.current
        message = wire.set_extranonce(extranonce1, server.extranonce2_size)
        if self.started and current is not None:
            self._change_terms(Terms(self.difficulty, extranonce1), message)
            assert self._history is not None, "a change of terms is remembered"
            gone = self._history.hold(current.serial, old)
        else:
            self.extranonce1 = extranonce1
            self.send(message)
            gone = [old]
        for released in gone:
            server.extranonces.release(released)

    def held_extranonces(self) -> list[bytes]:
        """Extranonces that this connection uses: its own and earlier ones."""
        held = [] if self._history is None else self._history.held()
        return [*held, self.extranonce1] if self.extranonce1 else held

    def _change_terms(self, terms: Terms, message: bytes) -> None:
        """From the next job on; the current job is sent again under another name."""
        if self._history is None:
            self._history = History()
        self._history.ended(self.since, Terms(self.difficulty, self.extranonce1))
        self.difficulty, self.extranonce1 = terms
        current = self._server.board.current
        if current is not None:
            # Every job that is posted later has a greater number.
            self.since = current.serial + 1
            name = self._history.rename(current.serial, terms)
            message += wire.notify(name, current.tail, clean=False)
        self.send(message)

    def _let_go(self) -> None:
        """Release extranonces that no good job was sent with."""
        if self._history is not None:
            server = self._server
            for released in self._history.let_go(server.board.oldest_serial):
                server.extranonces.release(released)

    def ease(self, now_ns: int) -> None:
        """Look whether too few shares came; called every few seconds."""
        if self.started and not self.fixed:
            expected = self._expected(now_ns)
            self._retarget(expected, self._window_shares)
            if vardiff.window_over(self._window_shares, expected):
                self._new_window(now_ns)

    def _count_for_vardiff(self) -> None:
        self._window_shares = shares = self._window_shares + 1
        if vardiff.worth_a_look(shares):
            self._retarget(self._expected(self.heard_ns), shares)
            if self._window_shares >= vardiff.WINDOW_SHARES:
                self._new_window(self.heard_ns)

    def _count_for_flood(self) -> None:
        """A fixed difficulty so low that the miner floods is raised all the same."""
        self._window_shares = shares = self._window_shares + 1
        most = self._server.limits.max_shares_per_s
        if shares < _FLOOD_SHARES or not most:
            return
        expected = (self.heard_ns - self._window_ns) / 1e9 * most
        self._new_window(self.heard_ns)
        if shares <= expected:
            return
        before = self.difficulty
        self._retarget(expected, shares)
        if self.difficulty != before and not self._flooded:
            self._flooded = True
            self.send(wire.notification("client.show_message", FLOOD_MESSAGE))

    def _expected(self, now_ns: int) -> float:
        return (now_ns - self._window_ns) / self._server.vardiff_target_ns

    def _retarget(self, expected: float, shares: int) -> None:
        server = self._server
        floor, ceiling = server.difficulty_bounds(self.floor)
        wanted = vardiff.retarget(self.difficulty, shares, expected, floor, ceiling)
        if wanted != self.difficulty:
            self.change_difficulty(server.rounded(wanted))
            self._new_window(max(self.heard_ns, self._window_ns))

    def _new_window(self, now_ns: int) -> None:
        self._window_ns = now_ns
        self._window_shares = 0
