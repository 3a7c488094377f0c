"""Prices for everybody: asked from the cache, refreshed by a task, alerted about."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from millpond.alerts import Alerts, Severity
from millpond.clock import Clock, Ids
from millpond.errors import MillpondError
from millpond.oracle import rows
from millpond.oracle.decide import Decision, Policy, check_decimals, decide, seen_at
from millpond.oracle.model import (
    Fault,
    Price,
    PriceUnavailableError,
    Problem,
    Reading,
    ReadingError,
)
from millpond.oracle.prices import Prices, usable
from millpond.oracle.sources.base import PriceSource
from millpond.store import Store, Tx
from millpond.store.cache import SingleFlightCache

_log = structlog.get_logger(__name__)

ALERT_SOURCE = "oracle_source"
"""A source does not count; the subject is `BTCD/USD:<source>`."""
ALERT_DEGRADED = "oracle_degraded"
"""The price is less than it should be; the subject is the pair."""
ALERT_UNAVAILABLE = "oracle_unavailable"
"""There is no price; the subject is the pair."""

_READINGS = Counter(
    "millpond_oracle_readings_total", "Readings of sources by outcome", ["source", "outcome"]
)
_FAILURES = Counter(
    "millpond_oracle_failures_total", "Rounds that confirmed no price", ["pair", "problem"]
)
_AGE = Gauge("millpond_oracle_price_age_seconds", "Age of the price as of its last round", ["pair"])
_DEGRADED = Gauge(
    "millpond_oracle_price_state", "0 a good price, 1 a degraded one, 2 none", ["pair"]
)


class Breaker(Protocol):
    """What is asked of the risk engine."""

    async def oracle_failed(
        self,
        tx: Tx,
        *,
        asset: str,
        quote: str,
        reason: str,
        since_ms: int,
        at_once: bool = False,
    ) -> None:
        """Hold what depends on a price that failed; again changes nothing.

        Args:
            tx: The transaction in which the failure is written down.
            asset: Code of the asset.
            quote: What it is priced in.
            reason: One plain sentence.
            since_ms: Since when there is no good price.
            at_once: It is a problem that the operator wants to hold things at once.
        """


@dataclass(frozen=True, slots=True)
class Feed:
    """One asset in one quote.

    Attributes:
        policy: What makes its price.
        sources: All sources that the policy's tiers name.
        trip_after_ms: Without a confirmed price for this long the breaker trips.
        trip_on: Problems that trip it at once.
    """

    policy: Policy
    sources: tuple[PriceSource, ...]
    trip_after_ms: int = 3_600_000
    trip_on: frozenset[Problem] = frozenset()

    def __post_init__(self) -> None:
        named = sorted(name for tier in self.policy.tiers for name in tier)
        assert named == sorted(source.name for source in self.sources), "tiers name the sources"

    @property
    def pair(self) -> tuple[str, str]:
        """Asset and quote."""
        return self.policy.asset, self.policy.quote

    @property
    def subject(self) -> str:
        """The pair as alerts name it."""
        return f"{self.policy.asset}/{self.policy.quote}"


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    """What a refresh of all prices did; each a list of pairs such as `BTCD/USD`.

    Attributes:
        good: Confirmed as the policy asks.
        degraded: Confirmed by a fallback, or an old price standing in.
        unavailable: Without any price.
        pruned: Rows of the history that were dropped.
    """

    good: list[str]
    degraded: list[str]
    unavailable: list[str]
    pruned: int


class Oracle:
    """What assets cost.

    Args:
        store: The database.
        clock: Source of time.
        ids: For rows of the history.
        alerts: Where failures are raised.
        feeds: What is priced.
        breaker: What is told when a price fails for too long; None for nobody.
        cache_s: How long an answer is given without asking sources again.
        read_timeout_s: Longest wait for one source.
        history_ms: How long prices are kept.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        alerts: Alerts,
        feeds: Sequence[Feed],
        *,
        breaker: Breaker | None = None,
        cache_s: float = 30.0,
        read_timeout_s: float = 10.0,
        history_ms: int = 90 * 24 * 3_600_000,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._alerts = alerts
        self._feeds = {feed.pair: feed for feed in feeds}
        assert len(self._feeds) == len(feeds), "a pair is priced once"
        self.prices = Prices(clock, [feed.policy for feed in feeds])
        self._breaker = breaker
        self._read_timeout_s = read_timeout_s
        self._history_ms = history_ms
        self._cache: SingleFlightCache[tuple[str, str], Decision] = SingleFlightCache(
            "oracle", ttl_s=cache_s, max_size=max(1, len(feeds)), clock=clock
        )

    async def price(self, asset: str, quote: str = "USD", *, degraded: bool = True) -> Price:
        """What an asset costs: from the cache, else from the sources, asked once for all.

        May write to the database: not to be called inside a transaction, where
        `Prices.current` is what to ask.

        Args:
            asset: Code of the asset.
            quote: What it is priced in.
            degraded: Whether a degraded price will do.

        Raises:
            UnknownPairError: It is not priced.
            PriceUnavailableError: There is no price now.
            PriceDegradedError: There is one, but degraded.
        """
        feed = self._feed(asset, quote)
        decision = await self._cache.get(feed.pair, lambda: self._round(feed))
        return self._usable(feed, decision.price, degraded=degraded)

    async def refresh(self, asset: str, quote: str = "USD") -> Price:
        """Ask the sources now, whatever is cached.

        Raises:
            UnknownPairError: It is not priced.
            PriceUnavailableError: There is no price now.
        """
        feed = self._feed(asset, quote)
        self._cache.invalidate(feed.pair)
        decision = await self._cache.get(feed.pair, lambda: self._round(feed))
        return self._usable(feed, decision.price, degraded=True)

    async def refresh_all(self) -> Refreshed:
        """Ask for every price once and drop old history; what a periodic task runs.

        A price that fails is alerted about and does not keep the others.
        """
        good: list[str] = []
        degraded: list[str] = []
        unavailable: list[str] = []
        for feed in self._feeds.values():
            try:
                price = await self.refresh(*feed.pair)
            except PriceUnavailableError:
                unavailable.append(feed.subject)
                continue
            (degraded if price.degraded else good).append(feed.subject)
        async with self._store.begin() as tx:
            pruned = await rows.prune(tx, before_ms=self._clock.now_ms() - self._history_ms)
        return Refreshed(good=good, degraded=degraded, unavailable=unavailable, pruned=pruned)

    def _feed(self, asset: str, quote: str) -> Feed:
        policy = self.prices.policy(asset, quote)
        return self._feeds[policy.asset, policy.quote]

    def _usable(self, feed: Feed, price: Price | None, *, degraded: bool) -> Price:
        seen = None if price is None else seen_at(price, feed.policy, self._clock.now_ms())
        return usable(seen, feed.policy, degraded=degraded)

    async def _round(self, feed: Feed) -> Decision:
        """Read all sources, decide, and write down what came of it."""
        results = await self._read_all(feed)
        async with self._store.begin() as tx:
            now_ms = self._clock.now_ms()
            known = await rows.known_decimals(tx, *feed.pair)
            last = await rows.latest(tx, *feed.pair)
            decision = decide(check_decimals(results, known), feed.policy, now_ms, last)
            if decision.confirmed:
                await rows.add_price(tx, self._ids.new(), decision)
            await rows.note_sources(tx, feed.pair, results, decision.faults, now_ms)
            await self._alert_sources(tx, feed, results, decision)
            problem = None if decision.confirmed else decision.problem
            state = await rows.note_pair(tx, *feed.pair, problem, now_ms)
            await self._alert_price(tx, feed, decision)
            since_ms = last.checked_ms if last is not None else state.failing_ms or now_ms
            await self._trip(tx, feed, decision, since_ms)
        self._count(feed, results, decision)
        return decision

    async def _read_all(self, feed: Feed) -> dict[str, Reading | Fault]:
        async with asyncio.TaskGroup() as group:
            tasks = {s.name: group.create_task(self._read(s)) for s in feed.sources}
        return {name: task.result() for name, task in tasks.items()}

    async def _read(self, source: PriceSource) -> Reading | Fault:
        try:
            async with asyncio.timeout(self._read_timeout_s):
                return await source.read()
        except ReadingError as error:
            return Fault(source.name, error.problem, error.message, error.details)
        except TimeoutError:
            return Fault(source.name, Problem.UNAVAILABLE, "the source did not answer in time")
        except MillpondError as error:
            details = {"code": error.code}
            return Fault(source.name, Problem.UNAVAILABLE, error.message, details)

    async def _alert_sources(
        self, tx: Tx, feed: Feed, results: Mapping[str, Reading | Fault], decision: Decision
    ) -> None:
        failed = {fault.source: fault for fault in decision.faults}
        for name in sorted(results):
            subject = f"{feed.subject}:{name}"
            fault = failed.get(name)
            if fault is None:
                await self._alerts.clear(tx, ALERT_SOURCE, subject)
                continue
            details = {"problem": fault.problem.value, **fault.details}
            message = f"{name} does not count for {feed.subject}: {fault.message}"
            await self._alerts.raise_(tx, ALERT_SOURCE, subject, Severity.WARNING, message, details)

    async def _alert_price(self, tx: Tx, feed: Feed, decision: Decision) -> None:
        price, subject = decision.price, feed.subject
        if price is None:
            message = f"There is no price of {subject}: {decision.problem}."
            await self._alerts.raise_(tx, ALERT_UNAVAILABLE, subject, Severity.CRITICAL, message)
        else:
            await self._alerts.clear(tx, ALERT_UNAVAILABLE, subject)
        if price is None or not price.degraded:
            await self._alerts.clear(tx, ALERT_DEGRADED, subject)
            return
        message = f"The price of {subject} is degraded: {price.reason}."
        details = {"age_ms": price.age_ms, "source": price.source}
        await self._alerts.raise_(tx, ALERT_DEGRADED, subject, Severity.WARNING, message, details)

    async def _trip(self, tx: Tx, feed: Feed, decision: Decision, since_ms: int) -> None:
        """Tell the breaker of a price that nobody confirmed for too long, or of a grave problem."""
        if self._breaker is None:
            return
        problems = {fault.problem for fault in decision.faults} | {decision.problem}
        grave = sorted(problem for problem in problems if problem in feed.trip_on)
        unconfirmed_ms = self._clock.now_ms() - since_ms
        if grave:
            reason = f"A source of {feed.subject} is {', '.join(grave)}."
        elif not decision.confirmed and unconfirmed_ms > feed.trip_after_ms:
            reason = (
                f"No source confirmed a price of {feed.subject} for {unconfirmed_ms // 1000} s."
            )
        else:
            return
        await self._breaker.oracle_failed(
            tx,
            asset=feed.policy.asset,
            quote=feed.policy.quote,
            reason=reason,
            since_ms=since_ms,
            at_once=bool(grave),
        )

    def _count(
        self, feed: Feed, results: Mapping[str, Reading | Fault], decision: Decision
    ) -> None:
        failed = {fault.source: fault.problem.value for fault in decision.faults}
        for name in results:
            _READINGS.labels(name, failed.get(name, "good")).inc()
        price = decision.price
        if not decision.confirmed:
            _FAILURES.labels(feed.subject, str(decision.problem)).inc()
            _log.warning("oracle_failed", pair=feed.subject, problem=str(decision.problem))
        _DEGRADED.labels(feed.subject).set(2 if price is None else int(price.degraded))
        if price is not None:
            _AGE.labels(feed.subject).set(price.age_ms / 1000)
