"""What an operator sets about payouts of one coin."""

from __future__ import annotations

import msgspec

from millpond.mining.payouts.model import FeePolicy


class PayoutSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one coin is paid out; amounts in base units.

    Attributes:
        enabled: Whether the automatic run makes requests by itself.
        minimum: Smallest payout that anybody can ask for.
        threshold: Balance at which an address without settings of its own is paid.
        fee_policy: Who pays the network, where the address has not chosen.
        choose_fee_policy: Whether an address may choose.
        confirmations: Depth at which a payment is final.
        dust: Smallest output that is worth spending.
        max_payees: Payees of one transaction.
        fee_rate: Base units per 1,000 virtual bytes; None lets the daemon estimate.
        max_fee: Cap on the fee of one transaction.
        address_delay_s: Safety period before a changed address is used.
        poll_s: Time between two looks at a payment under way.
        patience_s: How long a payment must be unknown before its bytes are sent again.
        run_interval_s: Time between two automatic runs.
        lease_s: Time after which others take over what a dead worker had in hand; a
            single call to the daemon is given a quarter of it.
    """

    enabled: bool = True
    minimum: int = 100_000
    threshold: int = 1_000_000
    fee_policy: FeePolicy = FeePolicy.PAYEE
    choose_fee_policy: bool = False
    confirmations: int = 6
    dust: int = 10_000
    max_payees: int = 500
    fee_rate: int | None = None
    max_fee: int = 10_000_000
    address_delay_s: int = 86_400
    poll_s: float = 5.0
    patience_s: float = 30.0
    run_interval_s: float = 60.0
    lease_s: float = 120.0

    def __post_init__(self) -> None:
        assert 0 < self.dust <= self.minimum <= self.threshold, "dust ≤ minimum ≤ threshold"
        assert 1 <= self.max_payees <= 2_000, "a transaction has 1 to 2,000 payees"
        assert self.confirmations >= 1, "a payment is final once it is in a block"
        assert self.lease_s >= 1, "a worker is given a second at least"
        assert self.max_fee > 0, "the network wants a fee"
