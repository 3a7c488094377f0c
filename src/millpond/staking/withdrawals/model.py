"""States and values of withdrawals. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from millpond.staking.accounts import derived_id


class WithdrawalState(StrEnum):
    """Where a withdrawal is.

    `PENDING`: asked for and reserved, in no transaction yet. `PROCESSING`: in a
    batch whose transaction may have been sent. `COMPLETED`: the chain has paid
    it. `FAILED`: it was not paid and will not be; what was reserved is back.
    """

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


FINAL = frozenset({WithdrawalState.COMPLETED, WithdrawalState.FAILED})


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet asks to be paid out of its stake; base units of the token.

    Attributes:
        id: Identifier that sorts by time.
        pool_id: Out of which pool.
        wallet: Whose stake, and who is paid.
        amount: How much.
        state: Where it is.
        reason: Why it is where it is, one sentence, for people; may be empty.
        batch_id: The batch that pays it, once there is one.
        reserved: True while its amount is reserved in the ledger.
        hold: How often it was reserved; names the reservation that is open.
        tx_hash: The transaction that paid or skipped it, once the chain showed it.
        block_number: That transaction's block.
        requested_ms: When it was asked for.
        updated_ms: When it changed last.
        finished_ms: When it was completed or failed.
    """

    id: str
    pool_id: str
    wallet: str
    amount: int
    state: WithdrawalState
    reason: str
    batch_id: str | None
    reserved: bool
    hold: int
    tx_hash: str | None
    block_number: int | None
    requested_ms: int
    updated_ms: int
    finished_ms: int | None

    @property
    def hold_id(self) -> str:
        """Identity of the pending transfer that reserves it."""
        return derived_id("withdrawal", self.id, self.hold)

    @property
    def reference(self) -> str:
        """What transfers and the risk engine call it."""
        return f"withdrawal:{self.id}"

    @property
    def final(self) -> bool:
        """Tell whether nothing more happens to it, short of a reorg."""
        return self.state in FINAL
