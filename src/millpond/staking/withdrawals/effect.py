"""The transaction that pays a batch of withdrawals (`StakingPool.pay_withdrawals`)."""

from __future__ import annotations

from millpond.alerts import Alerts
from millpond.staking.batches import BatchEffect, BatchKind
from millpond.staking.withdrawals.model import Withdrawal
from millpond.staking.withdrawals.service import Withdrawals

BATCH = BatchKind(
    intent="staking-withdrawals",
    what="withdrawals",
    artifact="StakingPool",
    function="pay_withdrawals",
    refused_alert="staking_withdrawals_refused",
)


class WithdrawalEffect(BatchEffect[Withdrawal]):
    """Makes the call of a batch of withdrawals and follows its end.

    Args:
        withdrawals: The withdrawals.
        alerts: Told when a batch came to nothing.
    """

    def __init__(self, withdrawals: Withdrawals, alerts: Alerts) -> None:
        super().__init__(BATCH, withdrawals, alerts)
