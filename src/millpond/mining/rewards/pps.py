"""What single shares are worth under PPS, to less than a base unit.

The worth of a share is `difficulty * block reward / network difficulty`, a
fraction. It is counted in 2**-64 of a base unit, rounded down once for each
worker in each group of the share log, so that it does not depend on how many
groups are folded at a time; whole units are paid and the rest is carried.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from millpond.mining.rewards.allocation import LineKind, after_fees
from millpond.mining.rewards.settings import BASIS, FeeRules

FRACTION_BITS = 64
"""Binary places of a worth."""


def worth_of_group(
    shares: Iterable[tuple[str, int, int]], block_reward: int, fees: FeeRules
) -> dict[str, int]:
    """Worth of one group of the share log to each payout address.

    The pool's fee is not paid out: it stays in the risk account as the price
    of taking the risk.

    Args:
        shares: `(worker, difficulty, network difficulty)`, both fixed point;
            sums of several shares at one network difficulty will do.
        block_reward: Base units of a block.
        fees: Fees and donations.

    Returns:
        Units of 2**-64 of a base unit for each address.
    """
    sums: defaultdict[tuple[str, int], int] = defaultdict(int)
    for worker, difficulty, network_difficulty in shares:
        sums[worker, network_difficulty] += difficulty
    result: defaultdict[str, int] = defaultdict(int)
    for (worker, network_difficulty), difficulty in sorted(sums.items()):
        for (kind, wallet), weight in after_fees(((worker, difficulty),), fees).items():
            if kind != LineKind.FEE and weight:
                worth = (weight * block_reward << FRACTION_BITS) // (network_difficulty * BASIS)
                result[wallet] += worth
    return dict(result)


def whole_units(worth: int) -> tuple[int, int]:
    """Split a worth into base units to pay and the rest to carry."""
    return worth >> FRACTION_BITS, worth & ((1 << FRACTION_BITS) - 1)
