"""What a payment is made of, and the checks that it must pass; all without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from millpond.chains.bitcoin.errors import PaymentRefusedError
from millpond.chains.bitcoin.wire import Transaction


class SignedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that exists and has a name, and was not sent.

    Attributes:
        raw_hex: What is handed to `sendrawtransaction`.
        txid: Its name, computed here from the bytes.
        fee_sat: Whole network fee: inputs less outputs.
        deducted_sat: The part of the fee that the payees bear: their outputs
            are smaller than asked by this in sum. `fee_sat - deducted_sat` is
            borne by the wallet (all of it when nobody bears it; a few units
            otherwise, when change too small for an output goes into the fee).
        inputs: What is spent, as `txid:vout`.
        outputs: Address (or script in hex) and base units, the payees first.
        change_index: Position of the change; None if there is none.
    """

    raw_hex: str
    txid: str
    fee_sat: int
    deducted_sat: int
    inputs: tuple[str, ...]
    outputs: tuple[tuple[str, int], ...]
    change_index: int | None

    @property
    def payments(self) -> tuple[tuple[str, int], ...]:
        """The outputs without the change: what each payee really gets."""
        return self.outputs[: self.change_index]


class SendVerdict(StrEnum):
    """What came of handing a transaction over."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class SendOutcome(msgspec.Struct, frozen=True):
    """Verdict and the daemon's words.

    `NOT_SENT` means that nothing reached the daemon: try again later.
    `UNKNOWN` means that it may have: look up by the transaction's id.
    """

    verdict: SendVerdict
    reason: str

    @property
    def accepted(self) -> bool:
        """True if the transaction is in the mempool or in the chain."""
        return self.verdict is SendVerdict.ACCEPTED


class TxState(StrEnum):
    """Where a transaction is.

    `DROPPED`: the wallet knows it, the mempool does not; broadcast it again.
    `CONFLICTED`: its money was spent by another transaction.
    """

    NOT_FOUND = "not_found"
    DROPPED = "dropped"
    IN_MEMPOOL = "in_mempool"
    CONFIRMED = "confirmed"
    CONFLICTED = "conflicted"


class TxStatus(msgspec.Struct, frozen=True):
    """State, depth and place of a transaction.

    Attributes:
        confirmations: Blocks on top, its own included; negative: depth of the conflict.
        conflicts: Ids of the wallet's transactions that spend the same money.
    """

    txid: str
    state: TxState
    confirmations: int = 0
    block_hash: str | None = None
    block_height: int | None = None
    conflicts: tuple[str, ...] = ()

    @property
    def in_mempool(self) -> bool:
        """True if it waits for a block."""
        return self.state is TxState.IN_MEMPOOL


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's money in base units.

    Attributes:
        trusted: Spendable: confirmed, or own change.
        untrusted_pending: From others, unconfirmed.
        immature: Coinbases not yet deep enough.
    """

    trusted: int
    untrusted_pending: int
    immature: int


class Unspent(msgspec.Struct, frozen=True, kw_only=True):
    """An output that the wallet can spend."""

    txid: str
    vout: int
    sat: int
    confirmations: int
    address: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came to the wallet.

    Attributes:
        category: `receive`, or for a coinbase `immature`, `generate`, `orphan`.
    """

    txid: str
    vout: int
    sat: int
    category: str
    confirmations: int
    block_hash: str | None
    address: str


class Receipts(msgspec.Struct, frozen=True):
    """Receipts since a block.

    Attributes:
        removed: Transactions that a reorganisation took out of the chain.
        last_block: Ask from here the next time.
    """

    receipts: tuple[Receipt, ...]
    removed: tuple[str, ...]
    last_block: str


def check_payment(
    transaction: Transaction,
    asked: Sequence[tuple[bytes, int]],
    bearers: Sequence[int],
    fee: int,
    *,
    max_fee: int,
) -> int:
    """Hold a transaction against what was asked for.

    Args:
        transaction: What the daemon made: the payees in order, then at most one change.
        asked: Script and base units of each payee.
        bearers: Positions of the payees that bear the fee.
        fee: Inputs less outputs.
        max_fee: Cap on it.

    Returns:
        How much of the fee the payees bear, in base units.

    Raises:
        PaymentRefusedError: Another payee, amount, number of outputs, or too high a fee.
    """
    outputs = transaction.outputs
    if not len(asked) <= len(outputs) <= len(asked) + 1:
        raise PaymentRefusedError("the payment has outputs that nobody asked for")
    if not 0 < fee <= max_fee:
        raise PaymentRefusedError(f"the fee of {fee} is not above 0 and at most {max_fee}")
    deducted = 0
    for i, ((script, sat), txout) in enumerate(zip(asked, outputs, strict=False)):
        if txout.script != script:
            raise PaymentRefusedError(f"output {i} pays to somebody else than was asked")
        less = sat - txout.value
        if less and (i not in bearers or less < 0 or txout.value <= 0):
            raise PaymentRefusedError(f"output {i} pays {txout.value} instead of {sat}")
        deducted += less
    if deducted > fee:
        raise PaymentRefusedError("the payees are charged more than the fee")
    return deducted
