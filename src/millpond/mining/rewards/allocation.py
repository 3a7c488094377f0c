"""What a scheme decides: lines that sum to the reward exactly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum
from fractions import Fraction

import msgspec

from millpond.mining.rewards.rounding import largest_remainder
from millpond.mining.rewards.settings import BASIS, FeeRules
from millpond.mining.rewards.window import Window


class LineKind(StrEnum):
    """Whom a line is for."""

    SHARE = "share"
    """A miner, for shares."""
    DONATION = "donation"
    """The donation address."""
    FEE = "fee"
    """The pool's income."""
    RISK = "risk"
    """The pool's own risk account (PPS pays miners from it)."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One beneficiary of a block.

    Attributes:
        kind: Why.
        wallet: The payout address; empty for the pool's own lines.
        weight: What the amount is in proportion to, fees already taken off.
        amount: Base units.
    """

    kind: LineKind
    wallet: str
    weight: int
    amount: int


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """The split of one reward.

    Attributes:
        scheme: Name of the scheme.
        reward: Base units; always the sum of the lines.
        lines: Sorted by kind and wallet.
        shares: Shares that counted.
        filled: How full the window was, 0 to 1; None for schemes without a size.
        young: True if the window was not yet full.
    """

    scheme: str
    reward: int
    lines: tuple[Line, ...]
    shares: int
    filled: Fraction | None
    young: bool

    def by_wallet(self) -> dict[str, int]:
        """Units of each payout address, shares and donations together."""
        result: defaultdict[str, int] = defaultdict(int)
        for line in self.lines:
            if line.wallet:
                result[line.wallet] += line.amount
        return dict(result)

    @property
    def pool(self) -> int:
        """Units that stay with the pool, as fee or against its risk."""
        return sum(line.amount for line in self.lines if not line.wallet)


Weights = dict[tuple[str, str], int]
"""Weight of each `(kind, wallet)`."""


def after_fees(weights: Iterable[tuple[str, int]], fees: FeeRules) -> Weights:
    """Divide each worker's weight between its address, the donation and the pool.

    All in units of 1/10,000 of a weight, so that nothing is rounded here.
    """
    result: defaultdict[tuple[str, str], int] = defaultdict(int)
    for worker, weight in weights:
        fee_bp, donation_bp = fees.rates(worker)
        wallet = worker.partition(".")[0]
        result[LineKind.SHARE, wallet] += weight * (BASIS - fee_bp - donation_bp)
        if fee_bp:
            result[LineKind.FEE, ""] += weight * fee_bp
        if donation_bp:
            result[LineKind.DONATION, fees.donation_wallet] += weight * donation_bp
    return dict(result)


def allocate_by_weight(scheme: str, weights: Weights, reward: int, window: Window) -> Allocation:
    """Round once, at the end; without any weight the reward is the pool's."""
    if not any(weights.values()):
        weights = {(LineKind.FEE, ""): 1}
    parts = largest_remainder(weights, reward)
    lines = tuple(
        Line(kind=LineKind(key[0]), wallet=key[1], weight=weights[key], amount=amount)
        for key, amount in parts.items()
        if amount or weights[key]
    )
    allocation = Allocation(
        scheme=scheme,
        reward=reward,
        lines=lines,
        shares=window.shares,
        filled=None if window.limit is None else Fraction(window.total, window.limit),
        young=window.young,
    )
    assert sum(line.amount for line in lines) == reward, "no unit is lost or made"
    return allocation
