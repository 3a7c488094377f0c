"""What an operator sets about staking, for all pools."""

from __future__ import annotations

import msgspec


class StakingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How pools are followed and paid.

    Attributes:
        trail: Blocks whose hashes are kept to find where a reorg began; a deeper
            reorg stops the pool for a person to look.
        ranges: Ranges of blocks indexed in one run; the next run takes the rest.
        header_batch: Headers asked for in one call.
        checked_depth: Ranges that end at most so far below the head are held
            against the contract's own total; older state is not kept by all nodes.
        poll_s: Time between two runs of the indexer.
        max_payees: Withdrawals in one transaction; the contract takes 500.
        max_batches: Batches that one run of the withdrawal worker writes.
        withdrawal_poll_s: Time between two looks at a payment under way.
        withdrawal_patience_s: How long a payment must be unknown before it is sent again.
        min_gas_wei: Hot wallet balance below which no batch is written.
        gas_per_payee: Gas reckoned for each payee when the hot wallet is checked.
        old_withdrawal_s: Age at which a withdrawal that waits is an alert.
        history_s: Time between two rows of a pool's history.
        snapshots_days: How long the lines of a closed epoch are kept; its row and the
            hash of its statement stay. 0: for ever.
    """

    trail: int = 128
    ranges: int = 20
    header_batch: int = 100
    checked_depth: int = 64
    poll_s: float = 5.0
    max_payees: int = 200
    max_batches: int = 10
    withdrawal_poll_s: float = 5.0
    withdrawal_patience_s: float = 60.0
    min_gas_wei: int = 10**15
    gas_per_payee: int = 60_000
    old_withdrawal_s: int = 3_600
    history_s: int = 300
    snapshots_days: int = 90

    def __post_init__(self) -> None:
        assert 16 <= self.trail <= 1_024, "16 to 1,024 blocks are remembered"
        assert 1 <= self.max_payees <= 500, "a batch has 1 to 500 payees"
        assert min(self.ranges, self.header_batch, self.max_batches) >= 1, "some work is done"
