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


class WindowTaker:
    """Takes a window from shares that come in pieces, newest first.

    Args:
        reach: Where to stop. The end of a round is for the caller to see.
    """

    def __init__(self, reach: Reach) -> None:
        assert reach.difficulty is None or reach.difficulty > 0, "a window holds something"
        self._weights: dict[str, int] = {}
        self._scale = 1 if reach.difficulty is None else reach.difficulty.denominator
        self._limit = None if reach.difficulty is None else reach.difficulty.numerator
        self._left = self._limit
        self._most = reach.shares
        self._count = 0
        self._oldest = Fraction(1)

    @property
    def full(self) -> bool:
        """True if no older share counts."""
        return self._left == 0 or self._count == self._most

    def take(self, shares: Iterable[tuple[str, int]]) -> bool:
        """Take further `(worker, difficulty)`, newest first; True once full."""
        if self._left is None or self._most is not None:
            return self._take_singly(shares)
        weights, scale = self._weights, self._scale
        get = weights.get
        left, count = self._left, self._count
        if left:
            for worker, difficulty in shares:
                weight = difficulty * scale
                count += 1
                if weight >= left:
                    self._oldest = Fraction(left, weight)
                    weights[worker] = get(worker, 0) + left
                    left = 0
                    break
                weights[worker] = get(worker, 0) + weight
                left -= weight
        self._left, self._count = left, count
        return left == 0

    def _take_singly(self, shares: Iterable[tuple[str, int]]) -> bool:
        weights = self._weights
        for worker, difficulty in () if self.full else shares:
            weight = difficulty * self._scale
            self._count += 1
            if self._left is not None:
                if weight > self._left:
                    self._oldest = Fraction(self._left, weight)
                weight = min(weight, self._left)
                self._left -= weight
            weights[worker] = weights.get(worker, 0) + weight
            if self.full:
                break
        return self.full

    def window(self) -> Window:
        """What was taken so far."""
        return Window(dict(self._weights), self._scale, self._limit, self._count, self._oldest)


def take_window(shares: Iterable[tuple[str, int]], reach: Reach) -> Window:
    """Sum the shares within reach by worker, in one pass.

    Args:
        shares: `(worker, difficulty)` newest first, difficulty in fixed point
            and positive; read no further than needed. With `round_only` the
            caller ends the iteration at the block before.
        reach: Where to stop.
    """
    taker = WindowTaker(reach)
    taker.take(shares)
    return taker.window()
