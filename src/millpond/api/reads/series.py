"""From folded slices to an even series that a graph can show; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millpond.api.models import Performance, Point, iso
from millpond.errors import InvalidInputError
from millpond.mining.folds.figures import Point as Slice
from millpond.mining.folds.figures import Rate

MINUTE_S = 60
HOUR_S = 3_600
DAY_S = 86_400
_YOUNG_S = 3 * HOUR_S


@dataclass(frozen=True, slots=True)
class Span:
    """What a window is made of: how long, read in which slices, shown in which steps."""

    length_s: int
    slice_s: int
    step_s: int


SPANS = {
    "1h": Span(HOUR_S, MINUTE_S, MINUTE_S),
    "24h": Span(DAY_S, MINUTE_S, 5 * MINUTE_S),
    "7d": Span(7 * DAY_S, HOUR_S, HOUR_S),
    "30d": Span(30 * DAY_S, HOUR_S, 4 * HOUR_S),
}


def span_of(window: str) -> Span:
    """Look a window up.

    Raises:
        InvalidInputError: No such window.
    """
    if window not in SPANS:
        raise InvalidInputError(f"a window is one of {', '.join(SPANS)}")
    return SPANS[window]


def even_series(window: str, slices: Sequence[Slice], rate: Rate, now_ms: int) -> Performance:
    """Steps of equal length from the first share in the window until now.

    Empty steps are zero. A young series is shown in finer steps; the step
    under way is shown once half of it has passed.
    """
    span = span_of(window)
    if not slices:
        return Performance(window=window, step_s=span.step_s, points=[])
    now_s = now_ms // 1000
    first_s = slices[0].start_ms // 1000
    young = now_s - first_s < _YOUNG_S and span.slice_s == MINUTE_S
    step_s = MINUTE_S if young else span.step_s
    start_s = first_s // step_s * step_s
    if start_s - step_s >= now_s - span.length_s:
        # Before its first share there was nothing: the line starts from zero.
        start_s -= step_s
    groups: dict[int, list[Slice]] = {}
    for each in slices:
        groups.setdefault(each.start_ms // 1000 // step_s * step_s, []).append(each)
    points = []
    for at_s in range(start_s, now_s + 1, step_s):
        seconds = min(step_s, now_s - at_s)
        if seconds * 2 < step_s:
            break
        counts = [each.counts for each in groups.get(at_s, ())]
        points.append(
            Point(
                at=iso(at_s * 1000),
                hashrate=rate.per_second(sum(each.accepted_sum for each in counts), seconds),
                shares=sum(each.accepted for each in counts),
                rejected=sum(each.rejected + each.stale for each in counts),
            )
        )
    return Performance(window=window, step_s=step_s, points=points)
