"""The window of shares that a block pays, exact at both edges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back from the block's own share a scheme looks.

    The window ends where the first of the given limits is met.

    Attributes:
        difficulty: Sum of share difficulty (fixed point, 32 binary places;
            may be fractional), or None for no such limit.
        shares: Number of shares, or None.
        round_only: True if the window ends at the pool's block before.
    """

    difficulty: Fraction | None = None
    shares: int | None = None
    round_only: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """What lies in a window, summed by worker.

    Attributes:
        weights: Difficulty of each worker in units of 1/`scale` of the fixed
            point, so that a share that counts in part is still a whole number.
        scale: Denominator of the weights.
        limit: The difficulty asked for in the same units, or None.
        shares: Shares that count, the one that counts in part included.
        oldest_counts: Part of the oldest share that counts; 1 unless it was cut.
    """

    weights: dict[str, int] = field(default_factory=dict)
    scale: int = 1
    limit: int | None = None
    shares: int = 0
    oldest_counts: Fraction = Fraction(1)

    @property
    def total(self) -> int:
        """Sum of all weights."""
        return sum(self.weights.values())

    @property
    def young(self) -> bool:
        """True if there were fewer shares than the window holds."""
        return self.limit is not None and self.total < self.limit


def take_window(shares: Iterable[tuple[str, int]], reach: Reach) -> Window:
    """Sum the shares within reach by worker, in one pass.

    Args:
        shares: `(worker, difficulty)` newest first, difficulty in fixed point
            and positive; read no further than needed. With `round_only` the
            caller ends the iteration at the block before.
        reach: Where to stop.
    """
    if reach.difficulty is None:
        return _take_all(shares, reach.shares)
    assert reach.difficulty > 0, "a window holds something"
    scale = reach.difficulty.denominator
    limit = reach.difficulty.numerator
    weights: dict[str, int] = {}
    get = weights.get
    left, count, oldest = limit, 0, Fraction(1)
    most = reach.shares
    for worker, difficulty in shares:
        if left == 0 or count == most:
            break
        weight = difficulty * scale
        count += 1
        if weight > left:
            oldest = Fraction(left, weight)
            weights[worker] = get(worker, 0) + left
            left = 0
            break
        weights[worker] = get(worker, 0) + weight
        left -= weight
    return Window(weights, scale, limit, count, oldest)


def _take_all(shares: Iterable[tuple[str, int]], most: int | None) -> Window:
    weights: dict[str, int] = {}
    get = weights.get
    count = 0
    for worker, difficulty in shares:
        if count == most:
            break
        count += 1
        weights[worker] = get(worker, 0) + difficulty
    return Window(weights, 1, None, count)
