"""What a unit of gas is offered; pure. Amounts in wei.

Source of the rules: EIP-1559 for the fees, and for replacements what go-ethereum's
pool demands: both fees strictly higher, and by 10 percent.
"""

from __future__ import annotations

import msgspec

from millpond.chains.evm.tx.settings import TxSettings


class Fees(msgspec.Struct, frozen=True):
    """An offer: what a unit of gas may cost altogether, and the producer's part of it."""

    max_fee: int
    max_priority_fee: int

    def __post_init__(self) -> None:
        assert 0 <= self.max_priority_fee <= self.max_fee, "the priority fee is part of the fee"


class Market(msgspec.Struct, frozen=True):
    """What the chain asks now: the next block's base fee, and a usual priority fee."""

    base_fee: int
    priority_fee: int

    def __post_init__(self) -> None:
        assert min(self.base_fee, self.priority_fee) >= 0, "nothing is negative"


def first_offer(market: Market, settings: TxSettings) -> Fees | None:
    """Offer for a new transaction; None while the market is above the cap."""
    tip = _tip(market, settings)
    if market.base_fee + tip > settings.max_fee:
        return None
    wanted = market.base_fee * settings.base_fee_factor + tip
    return Fees(min(wanted, settings.max_fee), tip)


def replacement(old: Fees, market: Market, settings: TxSettings) -> Fees | None:
    """Offer that nodes take in place of `old`; None when the cap forbids it.

    Both fees grow by `bump_percent`, and to what the market asks if that is
    more. At the cap the growth may be as little as the 10 percent that nodes
    demand.
    """
    percent = settings.bump_percent
    tip = max(_tip(market, settings), grown(old.max_priority_fee, percent))
    wanted = market.base_fee * settings.base_fee_factor + tip
    fee = max(wanted, grown(old.max_fee, percent), tip)
    if fee > settings.max_fee:
        fee = settings.max_fee
        tip = min(tip, fee)
        if not takes_the_place(old, Fees(fee, tip)):
            tip = grown(old.max_priority_fee, 10)
    offer = Fees(fee, min(tip, fee))
    return offer if takes_the_place(old, offer) else None


def takes_the_place(old: Fees, new: Fees) -> bool:
    """Tell whether a node that holds a transaction with `old` takes one with `new`."""
    return new.max_fee >= grown(old.max_fee, 10) and new.max_priority_fee >= grown(
        old.max_priority_fee, 10
    )


def grown(fee: int, percent: int) -> int:
    """`fee` and `percent` of it, rounded up, and at least one wei more."""
    return max(fee + 1, -(-fee * (100 + percent) // 100))


def _tip(market: Market, settings: TxSettings) -> int:
    return min(max(market.priority_fee, settings.min_priority_fee), settings.max_priority_fee)
