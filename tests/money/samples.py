"""Accounts and transfers that the tests of this room use."""

from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Asset
from millpond.money.model import Transfer

LTC = Asset("LTC", 8)
TOKEN = Asset("BTCD", 18)
WALLET = Account(AccountType.ASSET, "pool/litecoin", "wallet", LTC)
ALICE = Account(AccountType.LIABILITY, "miner/alice", "balance", LTC)
BOB = Account(AccountType.LIABILITY, "miner/bob", "balance", LTC)
RISK = Account(AccountType.EQUITY, "pool/main", "risk", LTC)
FEES = Account(AccountType.INCOME, "pool/main", "fees", LTC)
COSTS = Account(AccountType.EXPENSE, "pool/main", "network-fees", LTC)


def reward(number: int, units: int, account: Account = ALICE) -> Transfer:
    """Coins come into the wallet for a miner."""
    return Transfer(f"reward-{number}", WALLET, account, LTC.amount(units), "reward", "block:00")


def payout(number: int, units: int, account: Account = ALICE) -> Transfer:
    """Coins leave the wallet on a miner's behalf."""
    return Transfer(
        f"payout-{number}", account, WALLET, LTC.amount(units), "payout", f"payout:{number}"
    )
