"""Series are even, start from zero, and never show a slice that has hardly begun."""

from millpond.api.models import iso
from millpond.api.reads.series import even_series
from millpond.mining.folds.figures import Counts, Point, Rate

RATE = Rate(0xFFFF << 208)
MINUTE = 60_000
START = 1_700_000_040_000


def slice_at(at_ms: int, shares: int) -> Point:
    counts = Counts(accepted=shares, accepted_sum=shares << 32, rejected=1)
    return Point(start_ms=at_ms, seconds=60, hashrate=0.0, counts=counts)


def test_gaps_are_zero_and_the_line_starts_from_zero():
    slices = [slice_at(START, 6), slice_at(START + 2 * MINUTE, 12)]
    series = even_series("1h", slices, RATE, START + 3 * MINUTE)
    assert [point.shares for point in series.points] == [0, 6, 0, 12]
    assert series.points[1].at == iso(START)
    assert series.points[3].hashrate == 2 * series.points[1].hashrate > 0
    assert series.points[1].rejected == 1


def test_the_slice_under_way_waits_for_its_half():
    slices = [slice_at(START, 6), slice_at(START + MINUTE, 6)]
    early = even_series("1h", slices, RATE, START + MINUTE + 29_000)
    late = even_series("1h", slices, RATE, START + MINUTE + 30_000)
    assert len(early.points) == 2
    assert len(late.points) == 3
    assert late.points[2].hashrate == 2 * late.points[1].hashrate, "averaged over what passed"


def test_a_long_series_has_longer_steps():
    day = [slice_at(START + i * MINUTE, 1) for i in range(1_400)]
    series = even_series("24h", day, RATE, START + 1_400 * MINUTE)
    assert series.step_s == 300
    assert sum(point.shares for point in series.points) == 1_400
    assert even_series("24h", day[:30], RATE, START + 30 * MINUTE).step_s == 60
    assert even_series("7d", [], RATE, START).points == []
