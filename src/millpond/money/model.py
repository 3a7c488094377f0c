"""The values that go into the ledger and come out of it; all immutable.

Those that come by the ten thousand in one call are structs, which are made in a
fifth of the time that a dataclass takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Amount


class Kind(StrEnum):
    """What a row of the ledger does.

    `POSTED` moves at once. `PENDING` reserves; exactly one of `POST` (moves
    all or a part, the rest returns), `VOID` (returns all) and `EXPIRED`
    (returns all because time was over) may follow it.
    """

    POSTED = "posted"
    PENDING = "pending"
    POST = "post"
    VOID = "void"
    EXPIRED = "expired"


class Transfer(msgspec.Struct, frozen=True):
    """An amount to move from one account to another of the same asset.

    Attributes:
        id: The caller's identity of it, 1 to 128 printable characters, stored
            by the caller before it calls; the same id is never booked twice.
        debit: The account whose debits grow.
        credit: The account whose credits grow.
        amount: More than zero.
        code: What kind of business it is, such as `reward`.
        reference: What it belongs to, such as `block:<hash>`; may be empty.
    """

    id: str
    debit: Account
    credit: Account
    amount: Amount
    code: str
    reference: str = ""


class Resolution(msgspec.Struct, frozen=True):
    """The end of a pending transfer.

    Attributes:
        id: The caller's identity of the resolution itself.
        pending_id: Identity of the pending transfer.
        amount: What to post, if less than all; None posts all of it. A void takes none.
        reference: What it belongs to; empty takes over that of the pending transfer.
    """

    id: str
    pending_id: str
    amount: Amount | None = None
    reference: str = ""


class Posted(msgspec.Struct, frozen=True):
    """A row of the ledger, as it was written and as it will always be.

    Attributes:
        seq: Position in the ledger; grows, per account in the order of booking.
        id: The caller's identity.
        kind: What the row does.
        debit: The account whose debits it concerns.
        credit: The account whose credits it concerns.
        amount: What was moved, reserved or returned.
        code: Kind of business.
        reference: What it belongs to.
        pending_id: The pending transfer that it resolves, if it does.
        timeout_ms: For a pending transfer, how long it may stay; None is for ever.
        created_ms: When it was booked, Unix milliseconds.
    """

    seq: int
    id: str
    kind: Kind
    debit: Account
    credit: Account
    amount: Amount
    code: str
    reference: str
    pending_id: str | None
    timeout_ms: int | None
    created_ms: int

    @property
    def expires_ms(self) -> int | None:
        """When a pending transfer's time is over, Unix milliseconds; None if never."""
        return None if self.timeout_ms is None else self.created_ms + self.timeout_ms


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds. The four sums only ever describe whole bookings.

    Attributes:
        type: Type of the account, which decides the sign.
        debits_posted: Sum of posted debits.
        credits_posted: Sum of posted credits.
        debits_pending: Sum of reserved debits.
        credits_pending: Sum of reserved credits.
    """

    type: AccountType
    debits_posted: Amount
    credits_posted: Amount
    debits_pending: Amount
    credits_pending: Amount

    @property
    def posted(self) -> Amount:
        """The posted balance in the account's normal sign."""
        if self.type.debit_normal:
            return self.debits_posted - self.credits_posted
        return self.credits_posted - self.debits_posted

    @property
    def outgoing(self) -> Amount:
        """What is reserved to leave the account."""
        return self.credits_pending if self.type.debit_normal else self.debits_pending

    @property
    def incoming(self) -> Amount:
        """What is reserved to come into the account."""
        return self.debits_pending if self.type.debit_normal else self.credits_pending

    @property
    def available(self) -> Amount:
        """What may still be taken out: posted less what is reserved to leave."""
        return self.posted - self.outgoing


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line of an account's statement.

    Attributes:
        transfer: The ledger's row.
        change: Effect on the posted balance in the account's normal sign; zero
            for reservations and for what returns.
        balance: Posted balance after the row.
    """

    transfer: Posted
    change: Amount
    balance: Amount


@dataclass(frozen=True, slots=True)
class TrialLine:
    """Sums over all accounts of one type and asset.

    Attributes:
        asset: Asset code.
        type: Account type.
        accounts: How many accounts.
        balance: The four sums, added up.
    """

    asset: str
    type: AccountType
    accounts: int
    balance: Balance


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something that `verify` found not to be as it must.

    Attributes:
        kind: Stable word for the rule that is broken.
        subject: The account path, transfer id or asset code.
        expected: What the rule says.
        found: What the tables say.
    """

    kind: str
    subject: str
    expected: str
    found: str
