"""What is known of one daemon, and when it counts as well again; no I/O."""

from __future__ import annotations

import msgspec

from millpond.clock import Clock


class HealthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How daemons are watched.

    Attributes:
        interval_s: Between two checks.
        timeout_s: For one check.
        fail_after: Failures in a row until a daemon counts as ill.
        recover_after: Good answers in a row until it counts as well again.
        backoff_s: First pause of an open circuit; doubled up to `backoff_max_s`.
        max_lag_blocks: This far behind the best daemon is too far at once.
        lag_grace_s: A smaller lag, or another tip of the same height, may last this long.
        longpoll_timeout_s: A long poll that has not answered by then is asked anew.
        submit_timeout_s: For one daemon's verdict on a block.
        submit_retry_s: Pause before a block is offered again.
    """

    interval_s: float = 5.0
    timeout_s: float = 5.0
    fail_after: int = 2
    recover_after: int = 3
    backoff_s: float = 1.0
    backoff_max_s: float = 30.0
    max_lag_blocks: int = 2
    lag_grace_s: float = 20.0
    longpoll_timeout_s: float = 90.0
    submit_timeout_s: float = 30.0
    submit_retry_s: float = 0.5


class Tip(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon's best block.

    Attributes:
        work: Expected hashes of the whole chain.
        initial_download: True while the daemon is still catching up.
    """

    height: int
    block_hash: str
    work: int
    initial_download: bool = False


class DaemonHealth:
    """One daemon's state.

    Attributes:
        healthy: Answers reliably; changes with hysteresis.
        lagging: Must not be worked for: behind the others, on another branch
            than the one with most work, or still downloading.
        contradicts: Has stood on another tip of the same height for longer than the grace.
        tip: Its best block at the last good check.
        reason: Why it is not healthy or lags; empty when all is well.
    """

    def __init__(self, name: str, clock: Clock, settings: HealthSettings) -> None:
        self.name = name
        self.healthy = True
        self.lagging = False
        self.contradicts = False
        self.tip: Tip | None = None
        self.latency_ns = 0
        self.reason = ""
        self._clock = clock
        self._settings = settings
        self._failures = 0
        self._successes = 0
        self._closed_until_ns: int | None = None
        self._behind_since_ns: int | None = None

    @property
    def circuit_open(self) -> bool:
        """True while the daemon is left alone after failures."""
        until = self._closed_until_ns
        return until is not None and self._clock.monotonic_ns() < until

    def failed(self, reason: str) -> None:
        """Count a failure; several in a row open the circuit for longer and longer."""
        self._failures += 1
        self._successes = 0
        self.reason = reason
        if self._failures >= self._settings.fail_after:
            self.healthy = False
            doublings = min(self._failures - self._settings.fail_after, 16)
            pause_s = min(self._settings.backoff_s * 2**doublings, self._settings.backoff_max_s)
            self._closed_until_ns = self._clock.monotonic_ns() + round(pause_s * 1e9)

    def answered(self) -> None:
        """Count a good answer."""
        self._failures = 0
        self._closed_until_ns = None
        self._successes = min(self._successes + 1, self._settings.recover_after)
        if not self.healthy and self._successes >= self._settings.recover_after:
            self.healthy = True
        if self.healthy and not self.lagging:
            self.reason = ""

    def checked(self, tip: Tip, latency_ns: int) -> None:
        """Count a good check with what it told."""
        self.tip = tip
        self.latency_ns = latency_ns
        self.answered()

    def compare(self, best: Tip | None) -> None:
        """Hold this daemon's tip against the best that any daemon has."""
        if self.tip is None or best is None:
            return
        behind = self.tip.block_hash != best.block_hash
        now = self._clock.monotonic_ns()
        if not behind:
            self._behind_since_ns = None
        elif self._behind_since_ns is None:
            self._behind_since_ns = now
        waited_ns = now - (self._behind_since_ns if self._behind_since_ns is not None else now)
        overdue = behind and waited_ns > self._settings.lag_grace_s * 1e9
        blocks = best.height - self.tip.height
        self.contradicts = overdue and blocks <= 0
        # Where every daemon is downloading they speak for themselves (-10).
        downloading = self.tip.initial_download and not best.initial_download
        self.lagging = downloading or overdue or blocks >= self._settings.max_lag_blocks
        if downloading:
            self.reason = "still downloading blocks"
        elif self.lagging:
            self.reason = "on another branch" if blocks <= 0 else f"{blocks} blocks behind"
        elif self.healthy:
            self.reason = ""
