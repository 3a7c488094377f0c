"""What is known of one node, and when it counts as well again; no I/O."""

from __future__ import annotations

from millpond.chains.evm.settings import NodesSettings
from millpond.clock import Clock


class NodeHealth:
    """One node's state.

    Attributes:
        name: Of the node; without key or password.
        healthy: Answers reliably; changes with hysteresis.
        wrong_chain: It serves another chain, and is not asked anything else.
        lagging: Too far behind the highest head that any node has.
        admitted: It has shown its chain id since it last failed.
        head: Number of its newest block at the last check; None before.
        latency_ns: Of the last check.
        reason: Why it is not healthy or lags; empty when all is well.
    """

    def __init__(self, name: str, clock: Clock, settings: NodesSettings) -> None:
        self.name = name
        self.healthy = True
        self.wrong_chain = False
        self.lagging = False
        self.admitted = False
        self.head: int | None = None
        self.latency_ns = 0
        self.reason = ""
        self.answers = 0
        self.failures = 0
        self.rate_limits = 0
        self._clock = clock
        self._settings = settings
        self._failed_in_a_row = 0
        self._good_in_a_row = 0
        self._closed_until_ns: int | None = None

    @property
    def circuit_open(self) -> bool:
        """True while the node is left alone after failures, or because it asked for rest."""
        until = self._closed_until_ns
        return until is not None and self._clock.monotonic_ns() < until

    @property
    def usable(self) -> bool:
        """The node may be asked."""
        return not self.circuit_open and not self.wrong_chain

    def failed(self, reason: str) -> None:
        """Count a failure; several in a row open the circuit for longer and longer."""
        self.failures += 1
        self._failed_in_a_row += 1
        self._good_in_a_row = 0
        self.reason = reason
        # What answers at this address next may be another node.
        self.admitted = False
        if self._failed_in_a_row >= self._settings.fail_after:
            self.healthy = False
            doublings = min(self._failed_in_a_row - self._settings.fail_after, 16)
            pause_s = min(self._settings.backoff_s * 2**doublings, self._settings.backoff_max_s)
            self._close_for(pause_s)

    def rate_limited(self, retry_after_s: int | None) -> None:
        """Leave the node alone for as long as it asks, or a while; it is not ill."""
        self.rate_limits += 1
        self.reason = "asked too often"
        wanted = self._settings.backoff_s if retry_after_s is None else float(retry_after_s)
        self._close_for(min(wanted, self._settings.rest_max_s))

    def refused(self, reason: str) -> None:
        """The node serves another chain: it is out until a check finds otherwise."""
        self.wrong_chain = True
        self.admitted = False
        self.reason = reason

    def admit(self) -> None:
        """The node has shown the right chain id."""
        self.wrong_chain = False
        self.admitted = True

    def answered(self) -> None:
        """Count a good answer."""
        self.answers += 1
        self._failed_in_a_row = 0
        self._closed_until_ns = None
        self._good_in_a_row = min(self._good_in_a_row + 1, self._settings.recover_after)
        if not self.healthy and self._good_in_a_row >= self._settings.recover_after:
            self.healthy = True
        if self.healthy and not self.lagging:
            self.reason = ""

    def checked(self, head: int, latency_ns: int) -> None:
        """Count a good check with what it told."""
        self.head = head
        self.latency_ns = latency_ns
        self.answered()

    def compare(self, best: int) -> None:
        """Hold this node's head against the highest."""
        if self.head is None:
            return
        behind = best - self.head
        self.lagging = behind > self._settings.max_lag_blocks
        if self.lagging:
            self.reason = f"{behind} blocks behind"
        elif self.healthy:
            self.reason = ""

    def _close_for(self, seconds: float) -> None:
        self._closed_until_ns = self._clock.monotonic_ns() + round(seconds * 1e9)
