"""The accounts of the mining pool's books; every posting of the pool is between these.

What the daemon's wallet holds is one asset account a coin. Against it stand
what miners are owed (liabilities), the pool's fees (income), the fees paid to
the network (expense), the pool's own risk under PPS, and the capital that the
operator brought (equity).
"""

from __future__ import annotations

from millpond.chains.coins import Coin
from millpond.money.accounts import Account, AccountType

WALLET = "wallet"
BALANCE = "balance"
FEES = "fees"
NETWORK_FEES = "network-fees"
RISK = "risk"
CAPITAL = "capital"


def pool_wallet(coin: Coin) -> Account:
    """What the daemon's wallet holds, immature coinbases as pending."""
    return Account(AccountType.ASSET, f"pool/{coin.name}", WALLET, coin.asset)


def miner_owner(wallet: str) -> str:
    """Owner of a miner's accounts."""
    return f"miner/{wallet}"


def miner_balance(coin: Coin, wallet: str) -> Account:
    """What the pool owes to the payout address `wallet`."""
    return Account(AccountType.LIABILITY, miner_owner(wallet), BALANCE, coin.asset)


def pool_fees(pool_id: str, coin: Coin) -> Account:
    """What the pool kept of rewards."""
    return Account(AccountType.INCOME, f"pool/{pool_id}", FEES, coin.asset)


def network_fees(coin: Coin) -> Account:
    """What the pool paid to the network for its payouts."""
    return Account(AccountType.EXPENSE, f"pool/{coin.name}", NETWORK_FEES, coin.asset)


def risk(pool_id: str, coin: Coin) -> Account:
    """The pool's own luck under PPS: blocks found less shares paid; may be negative."""
    return Account(AccountType.EQUITY, f"pool/{pool_id}", RISK, coin.asset)


def capital(coin: Coin) -> Account:
    """Coins of the wallet that no block of ours brought: opening balance and top-ups."""
    return Account(AccountType.EQUITY, f"pool/{coin.name}", CAPITAL, coin.asset)


def wallet_of(worker: str) -> str:
    """The payout address of `wallet.worker_name`; an address holds no dot."""
    return worker.partition(".")[0]
