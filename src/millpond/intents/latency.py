"""How long intents stay in each state: from the events, and as histograms."""

from __future__ import annotations

import msgspec
from prometheus_client import Counter, Histogram
from sqlalchemy import func, select

from millpond.intents.model import Intent
from millpond.intents.tables import intent_event_table, intent_table
from millpond.store import Tx

_E = intent_event_table.c

MAX_SAMPLES = 200_000
"""Most events that one computation reads, the newest first."""

STAGE_SECONDS = Histogram(
    "millpond_intent_stage_seconds",
    "Time that an intent spent in a state before it went to the next",
    ["kind", "stage"],
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800, 7200, 43200),
)
TRANSITIONS_TOTAL = Counter(
    "millpond_intent_transitions_total", "Changes of state of intents", ["kind", "to"]
)
LEASES_LOST = Counter(
    "millpond_intent_leases_lost_total", "Results thrown away because the lease was taken over"
)


class StageLatency(msgspec.Struct, frozen=True):
    """Times spent between two states, in milliseconds.

    Attributes:
        kind: Kind of the intents.
        stage: `from→to`.
        count: How many went that way.
        mean_ms: Mean, rounded down.
        p50_ms: Median (nearest rank).
        p99_ms: 99th percentile (nearest rank).
        max_ms: Longest.
    """

    kind: str
    stage: str
    count: int
    mean_ms: int
    p50_ms: int
    p99_ms: int
    max_ms: int


def observe(before: Intent, after: Intent) -> None:
    """Count a change of state after it was committed."""
    if before.state is after.state:
        return
    elapsed_s = max(0, after.entered_ms - before.entered_ms) / 1000
    STAGE_SECONDS.labels(after.kind, f"{before.state}→{after.state}").observe(elapsed_s)
    TRANSITIONS_TOTAL.labels(after.kind, after.state.value).inc()


def summarise(kind: str, stage: str, samples_ms: list[int]) -> StageLatency:
    """Describe samples; pure.

    Args:
        kind: Kind of the intents.
        stage: `from→to`.
        samples_ms: One or more times.
    """
    ordered = sorted(samples_ms)
    count = len(ordered)
    return StageLatency(
        kind=kind,
        stage=stage,
        count=count,
        mean_ms=sum(ordered) // count,
        p50_ms=ordered[_rank(count, 50)],
        p99_ms=ordered[_rank(count, 99)],
        max_ms=ordered[-1],
    )


async def stage_latencies(tx: Tx, *, since_ms: int = 0) -> list[StageLatency]:
    """Latencies per kind and stage of the changes of state since `since_ms`."""
    previous_ms = func.lag(_E.at_ms).over(partition_by=_E.intent_id, order_by=_E.seq)
    steps = select(
        _E.intent_id,
        _E.from_state,
        _E.to_state,
        _E.at_ms,
        (_E.at_ms - previous_ms).label("spent_ms"),
    ).subquery()
    query = (
        select(intent_table.c.kind, steps.c.from_state, steps.c.to_state, steps.c.spent_ms)
        .join(intent_table, intent_table.c.id == steps.c.intent_id)
        .where(steps.c.from_state.is_not(None), steps.c.at_ms >= since_ms)
        .order_by(steps.c.at_ms.desc())
        .limit(MAX_SAMPLES)
    )
    samples: dict[tuple[str, str], list[int]] = {}
    for kind, from_state, to_state, spent_ms in await tx.execute(query):
        samples.setdefault((kind, f"{from_state}→{to_state}"), []).append(int(spent_ms))
    return [summarise(kind, stage, found) for (kind, stage), found in sorted(samples.items())]


def _rank(count: int, percent: int) -> int:
    return max(0, -(-count * percent // 100) - 1)
