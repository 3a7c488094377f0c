"""Events of a staking pool as values, and the states they go through. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from millpond.staking.accounts import derived_id


class EventKind(StrEnum):
    """What an event does to one wallet of one pool.

    A transfer of shares is two events, one for each side. The last group moves
    no position and is booked for the pool as a whole or only kept.
    """

    DEPOSIT = "deposit"
    WITHDRAW = "withdraw"
    TRANSFER_IN = "transfer_in"
    TRANSFER_OUT = "transfer_out"

    SKIPPED = "skipped"
    ASSETS_IN = "assets_in"
    ASSETS_OUT = "assets_out"
    REDEEM_REQUESTED = "redeem_requested"
    REDEEM_PAID = "redeem_paid"
    REDEEM_CLAIMABLE = "redeem_claimable"
    LOSS = "loss"
    FUNDED = "funded"
    DEFUNDED = "defunded"
    EPOCH_POSTED = "epoch_posted"
    EPOCH_REVOKED = "epoch_revoked"
    REWARD_PAID = "reward_paid"
    REWARD_KEPT = "reward_kept"
    REWARD_CLAIMED = "reward_claimed"


MOVES_POSITION = frozenset(
    {EventKind.DEPOSIT, EventKind.WITHDRAW, EventKind.TRANSFER_IN, EventKind.TRANSFER_OUT}
)
"""Kinds after which a wallet holds another amount."""


class EventState(StrEnum):
    """How sure an event is.

    `SEEN`: in a block that may yet go. `BOOKED`: deep enough, in the ledger.
    `UNDONE`: was booked, and its block was taken back after all; the ledger
    has the reversing transfers. A seen event that goes is deleted.
    """

    SEEN = "seen"
    BOOKED = "booked"
    UNDONE = "undone"


class Effect(msgspec.Struct, frozen=True):
    """What one log does to one wallet, before it has a place in the pool.

    Attributes:
        kind: What it does.
        wallet: To whom.
        amount: Token units, or shares where a vault's position moves.
        details: Further facts of the log.
        stated: What the contract says the wallet holds after it; None if it does not say.
    """

    kind: EventKind
    wallet: str
    amount: int
    details: dict[str, Any] = {}
    stated: int | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One effect of one log on one wallet, at its place in the pool.

    Attributes:
        pool_id: The pool.
        seq: Place in the pool; grows in chain order.
        block_number: Its block.
        block_hash: Hash of its block, 0x-hex.
        block_time_s: Timestamp of its block, Unix seconds.
        tx_hash: Its transaction, 0x-hex.
        log_index: Index of the log in the block.
        ordinal: Index of the effect among the pool's effects of its transaction,
            which stays the same if the transaction moves to another block.
        round: How often this effect of this transaction was booked and undone before.
        kind: What it does.
        wallet: To whom; empty for what concerns the pool as a whole.
        amount: Token units, or shares where a vault's position moves.
        balance: What the wallet holds after it; None if no position moves.
        details: Further facts of the log (`batch_id`, `assets`, `epoch` …) as JSON.
        state: How sure it is.
    """

    pool_id: str
    seq: int
    block_number: int
    block_hash: str
    block_time_s: int
    tx_hash: str
    log_index: int
    ordinal: int
    round: int
    kind: EventKind
    wallet: str
    amount: int
    balance: int | None
    details: dict[str, Any]
    state: EventState

    @property
    def identity(self) -> str:
        """What its transfers' ids follow from; without the block, which may change."""
        return derived_id("event", self.pool_id, self.tx_hash, self.ordinal, self.round)

    @property
    def reference(self) -> str:
        """The reference of its transfers in the ledger."""
        return f"staking-event:{self.identity}"

    @property
    def batch_id(self) -> str | None:
        """The batch that paid or skipped it, 0x-hex; None if the user acted."""
        return self.details.get("batch_id")
