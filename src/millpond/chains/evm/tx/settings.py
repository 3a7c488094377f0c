"""What an operator sets about transactions on one EVM chain."""

from __future__ import annotations

import msgspec

GWEI = 10**9


class TxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How transactions are paid for, followed and replaced; fees in wei a unit of gas.

    Attributes:
        confirmations: Blocks, its own included, after which a transaction is final.
        max_fee: Cap on what a unit of gas may cost altogether; above it is waited.
        min_priority_fee: Smallest priority fee that is offered.
        max_priority_fee: Largest priority fee that is offered.
        base_fee_factor: The first offer covers the base fee so many times.
        bump_percent: Growth of both fees at a replacement; nodes want 10 at least.
        bump_after_s: Time without a block after which a transaction is replaced.
        max_attempts: Transactions of one nonce; then only the newest is sent again.
        max_pending: Transactions of one signer that may be in no block; geth keeps 16
            of an account for sure.
        max_gas: Cap on the gas of one transaction; above it a person is asked.
        gas_percent: Limit of gas in percent of the estimate.
        poll_s: Time between two looks at a transaction under way.
        patience_s: How long it must be unknown before it is sent again.
        max_tries: Tries in a row without progress before a person is asked.
        lease_s: Time after which others take over what a dead worker had in hand; a
            single step is given a quarter of it.
        keeper_s: Time between two rounds of the keeper.
        keep_depth: Nonces of one signer that the keeper looks at in a round.
    """

    confirmations: int = 12
    max_fee: int = 300 * GWEI
    min_priority_fee: int = GWEI // 1000
    max_priority_fee: int = 20 * GWEI
    base_fee_factor: int = 2
    bump_percent: int = 15
    bump_after_s: float = 60.0
    max_attempts: int = 30
    max_pending: int = 16
    max_gas: int = 16_000_000
    gas_percent: int = 125
    poll_s: float = 5.0
    patience_s: float = 30.0
    max_tries: int = 60
    lease_s: float = 120.0
    keeper_s: float = 15.0
    keep_depth: int = 200

    def __post_init__(self) -> None:
        assert self.confirmations >= 1, "a transaction is final once it is in a block"
        assert 0 <= self.min_priority_fee <= self.max_priority_fee <= self.max_fee, (
            "smallest ≤ largest priority fee ≤ largest fee"
        )
        assert self.base_fee_factor >= 1, "the base fee has to be paid"
        assert 10 <= self.bump_percent <= 100, "nodes want replacements of 10 percent at least"
        assert self.gas_percent >= 100, "the limit is no less than the estimate"
        assert 1 <= self.max_attempts <= 1000, "a nonce has at least one transaction"
        assert min(self.max_gas, self.keep_depth, self.max_pending, self.max_tries) >= 1, (
            "there is something to do"
        )
        assert self.lease_s >= 1, "a worker is given a second at least"
