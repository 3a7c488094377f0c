"""Sending miners what they are owed, once.

A request reserves in the ledger; reserved payouts are put together into
batches; a batch is one intent, whose handler makes, signs, sends and follows
one transaction and books it when it is final. May touch the store, the
ledger, intents and a daemon's wallet. Promises: what is taken from balances
is what payees get plus the network fee, to the unit; a payout that cannot be
made returns; a payout that may have been made is never made again. See
docs/payouts.md.
"""

from typing import TYPE_CHECKING

from millpond.lazy import lazily

if TYPE_CHECKING:
    from millpond.mining.payouts.handler import BitcoinPayoutHandler
    from millpond.mining.payouts.miners import MinerSettings, PayoutMiners, SettingsChange
    from millpond.mining.payouts.model import FeePolicy, Payout, PayoutState, Schedule
    from millpond.mining.payouts.run import PayoutRun
    from millpond.mining.payouts.service import Payouts
    from millpond.mining.payouts.settings import PayoutSettings
else:
    __getattr__ = lazily(
        __name__,
        {
            "handler": ("BitcoinPayoutHandler",),
            "miners": ("MinerSettings", "PayoutMiners", "SettingsChange"),
            "model": ("FeePolicy", "Payout", "PayoutState", "Schedule"),
            "run": ("PayoutRun",),
            "service": ("Payouts",),
            "settings": ("PayoutSettings",),
        },
    )

__all__ = [
    "BitcoinPayoutHandler",
    "FeePolicy",
    "MinerSettings",
    "Payout",
    "PayoutMiners",
    "PayoutRun",
    "PayoutSettings",
    "PayoutState",
    "Payouts",
    "Schedule",
    "SettingsChange",
]
