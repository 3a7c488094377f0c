"""A run of the miner, from the first connection to the exit code."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from millpond.clock import Clock, Entropy
from millpond.errors import MillpondError
from millpond.mining.miner.client import LoginRefusedError, Redirected, Session
from millpond.mining.miner.connection import PoolRefusedError, PoolUnreachableError
from millpond.mining.miner.protocol import ClientJob, PoolProtocolError
from millpond.mining.miner.report import Progress, Reporter
from millpond.mining.miner.scanner import Found, Scanner
from millpond.mining.miner.settings import Endpoint, InvalidMinerSettingsError, MinerRun
from millpond.mining.work import native

EXIT_DONE = 0
EXIT_GAVE_UP = 1
EXIT_REFUSED = 2

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
RATE_SAMPLES = 20
MAX_REASONS = 32


async def run_miner(
    settings: MinerRun,
    clock: Clock,
    entropy: Entropy,
    *,
    stop: asyncio.Event,
    reporter: Reporter,
) -> int:
    """Mine until `stop` is set.

    Returns:
        0 when stopped or after `max_shares`, 1 after `max_attempts` failed
        connections in a row, 2 if the pool does not take the user.

    Raises:
        InvalidMinerSettingsError: The settings cannot be worked with.
    """
    try:
        settings.validate()
    except InvalidMinerSettingsError:
        reporter.close()
        raise
    return await _Run(settings, clock, entropy, stop, reporter).run()


class _Run:
    def __init__(
        self,
        settings: MinerRun,
        clock: Clock,
        entropy: Entropy,
        stop: asyncio.Event,
        reporter: Reporter,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._stop = stop
        self._reporter = reporter
        self._loop = asyncio.get_running_loop()
        self._scanner = Scanner(
            settings.algorithm,
            settings.threads,
            settings.load,
            clock,
            self._on_found,
            pause_s=settings.pause_s,
        )
        self._session: Session | None = None
        self._job: ClientJob | None = None
        self._clean_before: set[str] | None = None
        self._submissions: set[asyncio.Task[None]] = set()
        self._samples: deque[tuple[int, int]] = deque(maxlen=RATE_SAMPLES)
        self._started_ns = clock.monotonic_ns()
        self._difficulty = 0.0
        self._accepted = 0
        self._blocks = 0
        self._rejected: dict[str, int] = {}
        self._round_trip_ms: float | None = None
        self._sessions = 0
        self._failures = 0

    async def run(self) -> int:
        if not native():
            self._reporter.say("the native kernel is not built: hashing slowly, in Python")
        self._scanner.start()
        reporting = asyncio.create_task(self._report())
        try:
            return await self._until_stopped()
        finally:
            reporting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reporting
            await asyncio.to_thread(self._scanner.stop)
            self._reporter.progress(self._summary())
            self._reporter.close()

    async def _until_stopped(self) -> int:
        endpoint = self._settings.endpoint()
        while not self._stop.is_set():
            try:
                await self._one_session(endpoint)
            except LoginRefusedError as error:
                self._reporter.say(f"{endpoint} refuses {self._settings.user}: {error.message}")
                return EXIT_REFUSED
            except Redirected as redirect:
                self._reporter.say(f"the pool asks to reconnect to port {redirect.port}")
                endpoint = endpoint._replace(port=redirect.port)
                await self._pause(redirect.wait_s)
            except MillpondError as error:
                endpoint = self._settings.endpoint()
                if not await self._after_failure(error):
                    return EXIT_GAVE_UP
        return EXIT_DONE

    async def _after_failure(self, error: MillpondError) -> bool:
        """Wait longer after each failure in a row; False once it is enough."""
        self._failures += 1
        attempts = self._settings.max_attempts
        if attempts is not None and self._failures >= attempts:
            self._reporter.say(f"{error.message}; giving up after {self._failures} attempts")
            return False
        longest = min(FIRST_PAUSE_S * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE_S)
        # Half fixed, half by chance: a thousand miners must not return together.
        pause_s = longest * (0.5 + 0.5 * self._entropy.uniform())
        self._reporter.say(f"{error.message}; trying again in {pause_s:.1f} s")
        await self._pause(pause_s)
        return True

    async def _pause(self, seconds: float) -> None:
        """Sleep, but wake up when the run ends."""
        sleeping = asyncio.create_task(_slept(self._clock, seconds))
        await self._wait_for(sleeping)
        await _settle(sleeping)

    async def _one_session(self, endpoint: Endpoint) -> None:
        """Connect, log in and work until the connection or the run ends."""
        session = Session(self._settings, self._clock, self._on_job, self._reporter.say)
        opening = asyncio.create_task(session.open(endpoint))
        await self._wait_for(opening)
        await _settle(opening)
        if self._stop.is_set():
            await session.close()
            return
        opening.result()
        self._session = session
        self._sessions += 1
        reading = asyncio.create_task(session.read())
        login = asyncio.create_task(session.log_in())
        try:
            await self._wait_for(login, reading)
            if login.done() and not _ended_with_the_connection(login):
                login.result()
                self._reporter.say(f"connected to {endpoint} as {self._settings.user}")
                await self._wait_for(reading)
            for task in (reading, login):
                if task.done():
                    task.result()
        finally:
            self._difficulty = session.difficulty
            self._session = None
            self._job = None
            self._scanner.set_job(None)
            await _settle(reading, login)
            await session.close()
            for task in list(self._submissions):
                await _settle(task)

    async def _wait_for(self, *tasks: asyncio.Task[None]) -> None:
        """Wait for the first of the tasks or the end of the run."""
        stopping = asyncio.create_task(_set(self._stop))
        try:
            await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _settle(stopping)

    def _on_job(self, job: ClientJob) -> None:
        self._failures = 0
        self._job = job
        self._scanner.set_job(job)

    def _on_found(self, found: Found) -> None:
        """Called in a hashing thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed at the very end
            self._loop.call_soon_threadsafe(self._submit_soon, found)

    def _submit_soon(self, found: Found) -> None:
        if self._is_worthless(found):
            self._scanner.answered()
            return
        task = self._loop.create_task(self._submit(found))
        self._submissions.add(task)
        task.add_done_callback(self._submitted)

    def _submitted(self, task: asyncio.Task[None]) -> None:
        self._submissions.discard(task)
        self._scanner.answered()

    def _is_worthless(self, found: Found) -> bool:
        """True for a share of a job that the pool has told to forget."""
        if self._job is None or self._stop.is_set():
            return True
        return self._job.clean and found.job is not self._job

    async def _submit(self, found: Found) -> None:
        session = self._session
        try:
            if session is not None:
                self._round_trip_ms = await session.submit(found)
                self._count_accepted(found)
        except PoolRefusedError as error:
            self._count_rejected(error.message)
        except PoolUnreachableError:
            if not self._stop.is_set():
                self._count_rejected("no answer")

    def _count_accepted(self, found: Found) -> None:
        self._accepted += 1
        if found.is_block:
            self._blocks += 1
            self._reporter.say("found a block")
        if self._settings.max_shares is not None and self._accepted >= self._settings.max_shares:
            self._stop.set()

    def _count_rejected(self, reason: str) -> None:
        known = reason if reason in self._rejected or len(self._rejected) < MAX_REASONS else "other"
        self._rejected[known] = self._rejected.get(known, 0) + 1

    async def _report(self) -> None:
        while True:
            await self._clock.sleep(self._reporter.every_s)
            self._reporter.progress(self._progress())

    def _progress(self) -> Progress:
        self._samples.append((self._clock.monotonic_ns(), self._scanner.hashes))
        (first_ns, first), (last_ns, last) = self._samples[0], self._samples[-1]
        spent_ns = last_ns - first_ns
        rate = (last - first) * 1e9 / spent_ns if spent_ns else 0.0
        return self._figures(connected=self._job is not None, hashrate=rate)

    def _summary(self) -> Progress:
        """The whole run, for the last line."""
        spent_ns = max(self._clock.monotonic_ns() - self._started_ns, 1)
        return self._figures(connected=True, hashrate=self._scanner.hashes * 1e9 / spent_ns)

    def _figures(self, *, connected: bool, hashrate: float) -> Progress:
        session = self._session
        return Progress(
            connected=connected,
            hashrate=hashrate,
            difficulty=self._difficulty if session is None else session.difficulty,
            accepted=self._accepted,
            rejected=dict(self._rejected),
            blocks=self._blocks,
            round_trip_ms=self._round_trip_ms,
            reconnects=max(self._sessions - 1, 0),
        )


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _slept(clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds)


def _ended_with_the_connection(login: asyncio.Task[None]) -> bool:
    """True if a log-in failed for no reason of its own; the reader knows the reason."""
    return isinstance(login.exception(), PoolUnreachableError)  # noqa: LOG004 - not a logger


async def _settle(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait until they are gone; what they raised was seen or is moot."""
    for task in tasks:
        task.cancel()
        with contextlib.suppress(
            asyncio.CancelledError, PoolUnreachableError, PoolProtocolError, Redirected,
            PoolRefusedError,
        ):  # fmt: skip
            await task
