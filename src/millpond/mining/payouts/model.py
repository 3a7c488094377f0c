"""States and values of payouts. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from millpond.intents.model import IntentState


class PayoutState(StrEnum):
    """Where a payout is.

    `REQUESTED` waits for money in the pool's wallet; from `RESERVED` on the
    amount is out of the miner's balance. `FAILED`: it is back in it.
    `FROZEN` waits for a person.
    """

    REQUESTED = "requested"
    RESERVED = "reserved"
    SIGNED = "signed"
    BROADCAST = "broadcast"
    CONFIRMED = "confirmed"
    SETTLED = "settled"
    FAILED = "failed"
    FROZEN = "frozen"


FINAL = frozenset({PayoutState.SETTLED, PayoutState.FAILED})

STATE_OF_INTENT = {
    IntentState.CREATED: PayoutState.RESERVED,
    IntentState.SIGNED: PayoutState.SIGNED,
    IntentState.SENDING: PayoutState.SIGNED,
    IntentState.SENT: PayoutState.BROADCAST,
    IntentState.CONFIRMED: PayoutState.CONFIRMED,
    IntentState.FROZEN: PayoutState.FROZEN,
}
"""What a batch's intent means for its payouts; its end is booked, not mapped."""


class FeePolicy(StrEnum):
    """Who pays the network fee of a payout."""

    PAYEE = "payee"
    POOL = "pool"


class Schedule(StrEnum):
    """How often the automatic run may pay an address at most; periods are of UTC."""

    ANY = "any"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"

    @property
    def period_ms(self) -> int:
        """Length of the period; 0 for any run."""
        return _PERIOD_MS[self]

    def due(self, now_ms: int, last_ms: int) -> bool:
        """Tell whether a new period has begun since the last automatic payout."""
        return not self.period_ms or now_ms // self.period_ms > last_ms // self.period_ms

    def next_ms(self, now_ms: int, last_ms: int) -> int:
        """When the next automatic payout may be made."""
        if self.due(now_ms, last_ms):
            return now_ms
        return (last_ms // self.period_ms + 1) * self.period_ms


_HOUR_MS = 3_600_000
_PERIOD_MS = {
    Schedule.ANY: 0,
    Schedule.HOURLY: _HOUR_MS,
    Schedule.DAILY: 24 * _HOUR_MS,
    Schedule.WEEKLY: 7 * 24 * _HOUR_MS,
}


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """One payment to one miner; amounts in base units of the coin.

    Attributes:
        amount: Taken from the balance.
        fee: The payee's part of the network fee; the payee gets `amount - fee`.
        origin: `request`, `automatic` or `operator`.
        batch_id: The transaction that it goes with, once it was assigned.
    """

    id: str
    pool_id: str
    coin: str
    wallet: str
    address: str
    amount: int
    fee: int
    fee_policy: FeePolicy
    origin: str
    state: PayoutState
    reason: str
    batch_id: str | None
    txid: str | None
    confirmations: int
    requested_ms: int
    updated_ms: int
    settled_ms: int | None
