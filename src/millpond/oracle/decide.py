"""From readings to a price, or to the reason why there is none; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from millpond.oracle.fixed import MAX_E18, median, within_bps
from millpond.oracle.model import Fault, Price, Problem, Reading


@dataclass(frozen=True, slots=True)
class Policy:
    """What makes a price of one asset in one quote.

    Attributes:
        asset: Code of the asset.
        quote: What it is priced in.
        tiers: Names of sources; the first tier that gives a price is used.
        minimum: How many sources of a tier must agree (all of a smaller tier).
        min_e18: Least price that is believed.
        max_e18: Highest price that is believed.
        max_deviation_bps: How far from the median a reading may be, in basis points.
        skew_ms: How far ahead of this machine's clock a source's may be.
        recheck_ms: From when on a price that nobody looked at again is degraded.
        last_known_ms: How long the last good price stands in when there is none.
    """

    asset: str
    quote: str
    tiers: tuple[tuple[str, ...], ...]
    minimum: int
    min_e18: int
    max_e18: int
    max_deviation_bps: int
    skew_ms: int
    recheck_ms: int
    last_known_ms: int

    def __post_init__(self) -> None:
        assert self.tiers, "a price has a source"
        assert all(self.tiers), "a tier has a source"
        assert self.minimum >= 1, "somebody says it"
        assert 0 < self.min_e18 <= self.max_e18 <= MAX_E18, "bounds are positive and in order"


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of one round of readings.

    Attributes:
        price: What may be used; None if nothing may.
        used: The readings that agree on it; none if it is an old one.
        problem: What was wrong with the first tier; None if it gave the price.
        faults: Every source that does not count this time, and why.
    """

    price: Price | None
    used: tuple[Reading, ...]
    problem: Problem | None
    faults: tuple[Fault, ...]

    @property
    def confirmed(self) -> bool:
        """Whether sources said it now, of whichever tier."""
        return bool(self.used)


def decide(
    results: Mapping[str, Reading | Fault], policy: Policy, now_ms: int, last: Price | None = None
) -> Decision:
    """Decide on a price.

    Args:
        results: What each source said, by its name.
        policy: What makes a price.
        now_ms: Now.
        last: The last price that was confirmed, if there was one.
    """
    good: dict[str, Reading] = {}
    faults: list[Fault] = []
    for name, result in results.items():
        fault = result if isinstance(result, Fault) else judge(result, policy, now_ms)
        if fault is None:
            assert isinstance(result, Reading), "a fault is not None"
            good[name] = result
        else:
            faults.append(fault)
    first_problem: Problem | None = None
    for number, tier in enumerate(policy.tiers):
        used, problem, outliers = _agreement([good[n] for n in tier if n in good], tier, policy)
        faults.extend(outliers)
        if problem is None:
            price = _price(used, policy, now_ms, fallback=number, because=first_problem)
            return Decision(price, tuple(used), first_problem, tuple(faults))
        first_problem = first_problem or problem
    assert first_problem is not None, "a tier gave no price"
    stand_in = None if last is None else standing_in(last, first_problem, policy, now_ms)
    return Decision(stand_in, (), first_problem, tuple(faults))


def judge(reading: Reading, policy: Policy, now_ms: int) -> Fault | None:
    """What is wrong with one reading by itself; None if nothing is."""
    if reading.value_e18 <= 0:
        return _fault(reading, Problem.NOT_POSITIVE, "the price is not above zero")
    if reading.at_ms > now_ms + policy.skew_ms:
        return _fault(reading, Problem.FUTURE, "the price is from the future")
    if now_ms - reading.at_ms > reading.max_age_ms:
        return _fault(reading, Problem.STALE, "the price is older than its source may be silent")
    if not policy.min_e18 <= reading.value_e18 <= policy.max_e18:
        return _fault(reading, Problem.OUT_OF_BOUNDS, "the price is outside of what is believed")
    return None


def check_decimals(
    results: Mapping[str, Reading | Fault], known: Mapping[str, int]
) -> dict[str, Reading | Fault]:
    """Turn readings whose source has other decimals than it first had into faults."""
    checked: dict[str, Reading | Fault] = {}
    for name, result in results.items():
        checked[name] = result
        if isinstance(result, Reading) and result.decimals != known.get(name, result.decimals):
            message = f"the feed had {known[name]} decimals and now says {result.decimals}"
            checked[name] = _fault(result, Problem.WRONG_DECIMALS, message)
    return checked


def standing_in(last: Price, problem: Problem, policy: Policy, now_ms: int) -> Price | None:
    """The last confirmed price for one that cannot be confirmed; None if it is too old."""
    seen = seen_at(last, policy, now_ms)
    if seen is None:
        return None
    reason = f"last known price: {problem}"
    return msgspec.structs.replace(seen, degraded=True, reason=reason)


def seen_at(price: Price, policy: Policy, now_ms: int) -> Price | None:
    """The same price some time later: older, perhaps degraded, at last None.

    It lives `last_known_ms` from when it was last confirmed; a price whose
    reading outlived its source's heartbeat, or that nobody looked at for
    `recheck_ms`, is degraded. Bounds may have been set anew since.
    """
    unchecked_ms = now_ms - price.checked_ms
    if unchecked_ms > policy.last_known_ms:
        return None
    if not policy.min_e18 <= price.value_e18 <= policy.max_e18:
        return None
    reason = price.reason
    if not price.degraded and now_ms > price.fresh_until_ms:
        reason = "stale"
    elif not price.degraded and unchecked_ms > policy.recheck_ms:
        reason = "not looked at again"
    age_ms = max(0, now_ms - price.at_ms)
    return msgspec.structs.replace(price, age_ms=age_ms, degraded=bool(reason), reason=reason)


def _agreement(
    readings: Sequence[Reading], tier: tuple[str, ...], policy: Policy
) -> tuple[list[Reading], Problem | None, list[Fault]]:
    """Those who agree with the median; or why that is not enough; and those who do not."""
    minimum = min(policy.minimum, len(tier))
    if len(readings) < minimum:
        return [], Problem.TOO_FEW, []
    middle = median([reading.value_e18 for reading in readings])
    agreeing, outliers = [], []
    for reading in readings:
        if within_bps(reading.value_e18, middle, policy.max_deviation_bps):
            agreeing.append(reading)
        else:
            message = "the price is too far from the median"
            outliers.append(_fault(reading, Problem.DEVIATES, message, median_e18=str(middle)))
    # Of two camps of one size neither is right.
    if len(agreeing) < minimum or 2 * len(agreeing) <= len(readings):
        return [], Problem.CONTRADICTING, outliers
    return agreeing, None, outliers


def _price(
    used: Sequence[Reading],
    policy: Policy,
    now_ms: int,
    *,
    fallback: int,
    because: Problem | None,
) -> Price:
    names = ", ".join(reading.source for reading in used)
    at_ms = min(reading.at_ms for reading in used)
    return Price(
        asset=policy.asset,
        quote=policy.quote,
        value_e18=median([reading.value_e18 for reading in used]),
        source=names if len(used) == 1 else f"median({names})",
        at_ms=at_ms,
        checked_ms=now_ms,
        fresh_until_ms=min(reading.at_ms + reading.max_age_ms for reading in used),
        age_ms=max(0, now_ms - at_ms),
        degraded=fallback > 0,
        reason=f"fallback {fallback}: {because}" if fallback else "",
    )


def _fault(reading: Reading, problem: Problem, message: str, **details: object) -> Fault:
    # As text: what a source says may be larger than JSON's integers.
    figures = {"value_e18": str(reading.value_e18), "at_ms": str(reading.at_ms)}
    return Fault(reading.source, problem, message, {**figures, **reading.details, **details})
