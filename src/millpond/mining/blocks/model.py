"""What a block is to the pool."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Row

from millpond.mining.sharelog.records import Position

EFFORT_BITS = 32
"""Binary places of an effort."""


class BlockState(StrEnum):
    """Where a block is in its life; docs/blocks.md draws it."""

    FOUND = "found"
    """A share met the network target; no daemon is known to have the block."""
    SUBMITTED = "submitted"
    """Given to the daemons; what they made of it is not known."""
    ACCEPTED = "accepted"
    """A daemon has it, outside of its best chain."""
    REJECTED = "rejected"
    """No daemon takes it."""
    CONFIRMING = "confirming"
    """In the best chain; its reward is credited and immature."""
    MATURE = "mature"
    """Deep enough: its reward is posted."""
    ORPHANED = "orphaned"
    """The chain went another way; what was credited is void."""


OPEN = (BlockState.FOUND, BlockState.SUBMITTED, BlockState.ACCEPTED, BlockState.CONFIRMING)
"""States that are still to be followed; the lost ones are while they may come back."""

LOST = (BlockState.REJECTED, BlockState.ORPHANED)


class Credit(StrEnum):
    """What the ledger holds for a block."""

    NONE = "none"
    PENDING = "pending"
    POSTED = "posted"
    VOID = "void"


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One block, as in its row.

    Attributes:
        height: Its height.
        worker: Who found it.
        found_ms: When.
        position: Of the share that found it; its window ends there, included.
        share_index: Of that share in its group.
        adopted: True if the log does not hold the share: the process died between
            submission and commit. Its window ends with the newest share before.
        network_difficulty: Fixed point, 32 binary places.
        reward: What the coinbase pays to the pool, base units.
        round: Number of the pool's round that it ended, from 1.
        round_shares: Shares of that round.
        effort: Work of the round in parts of the expected, 32 binary places.
        confirmations: 0 while outside the best chain.
        required: Confirmations at which it is mature.
        submissions: How often the worker gave it to the daemons again.
        credit: What the ledger holds.
        credit_round: How often it was credited; each time under fresh transfer ids.
        terms: The reward settings that it was credited by.
        basis: What its window held, for people and for the audit.
        state_ms: When it came into its state.
    """

    block_hash: str
    pool_id: str
    coin: str
    height: int
    worker: str
    found_ms: int
    position: int
    share_index: int
    adopted: bool
    network_difficulty: int
    reward: int
    round: int
    round_shares: int
    effort: int
    state: BlockState
    reason: str
    confirmations: int
    required: int
    submissions: int
    credit: Credit
    credit_round: int
    terms: dict[str, Any] | None
    basis: dict[str, Any] | None
    state_ms: int
    updated_ms: int

    @property
    def place(self) -> Position:
        """Where its share stands in the log."""
        return Position(self.position, self.share_index)

    @property
    def reference(self) -> str:
        """What its transfers refer to."""
        return f"block:{self.block_hash}"

    @property
    def effort_percent(self) -> float:
        """Work spent, in percent of what the network difficulty asks; 100 is expected."""
        return self.effort * 100 / (1 << EFFORT_BITS)

    @property
    def luck_percent(self) -> float:
        """The inverse of the effort: above 100 the block came early."""
        return (1 << EFFORT_BITS) * 100 / self.effort if self.effort else 0.0


class BlockLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a block's allocation, as booked."""

    block_hash: str
    credit_round: int
    kind: str
    wallet: str
    weight: int
    amount: int
    transfer_id: str


def block_of(row: Row[Any]) -> Block:
    """Read a row; columns that are not the block's are left alone."""
    values = {name: getattr(row, name) for name in Block.__struct_fields__}
    return Block(**{**values, "state": BlockState(row.state), "credit": Credit(row.credit)})


def line_of(row: Row[Any]) -> BlockLine:
    """Read a row."""
    return BlockLine(**{name: getattr(row, name) for name in BlockLine.__struct_fields__})
