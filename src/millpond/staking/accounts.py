"""The accounts of a staking pool's books; every posting of a pool is between these.

A direct pool's stakes are counted in the token. A vault's are counted in its
shares, which are an asset of their own: what a wallet holds of them is exact
whatever the exchange rate does, and beside them one pair of accounts counts
the tokens that the vault holds for all its holders together.

Which asset a code names is settled when a pool is made: a code belongs to one
contract on one chain (`staking_asset`), so that two tokens of one symbol never
meet in one account.
"""

from __future__ import annotations

from millpond.money import ids
from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Asset

STAKED = "staked"
PRINCIPAL = "principal"
HOLDINGS = "holdings"
SHARES = "shares"
QUEUED = "queued"
REWARD_FUNDS = "reward-funds"
REWARD_RESERVE = "reward-reserve"
SHORTFALL = "shortfall"
REWARDS = "rewards"
CLAIMING = "claiming"
KEPT = "kept"


def pool_owner(pool_id: str) -> str:
    """Owner of the accounts that a pool has as a whole."""
    return f"staking/{pool_id}"


def staker_owner(pool_id: str, wallet: str) -> str:
    """Owner of a wallet's accounts in one pool."""
    return f"staker/{pool_id}/{wallet}"


def wallet_of(owner: str, pool_id: str) -> str:
    """The wallet in the owner of a staker's account; the inverse of `staker_owner`."""
    return owner.removeprefix(staker_owner(pool_id, ""))


def principal(pool_id: str, asset: Asset) -> Account:
    """Tokens that the pool's contract holds for its stakers: the TVL."""
    return Account(AccountType.ASSET, pool_owner(pool_id), PRINCIPAL, asset)


def staked(pool_id: str, wallet: str, stake: Asset) -> Account:
    """What a wallet has staked: tokens in a direct pool, shares in a vault."""
    return Account(AccountType.LIABILITY, staker_owner(pool_id, wallet), STAKED, stake)


def shares(pool_id: str, share: Asset) -> Account:
    """Shares of a vault that exist; against it stands what each wallet has of them."""
    return Account(AccountType.ASSET, pool_owner(pool_id), SHARES, share)


def holdings(pool_id: str, asset: Asset) -> Account:
    """Tokens of a vault that belong to the holders of its shares together."""
    return Account(AccountType.LIABILITY, pool_owner(pool_id), HOLDINGS, asset)


def queued(pool_id: str, asset: Asset) -> Account:
    """Tokens of a vault that were redeemed and wait to be paid."""
    return Account(AccountType.LIABILITY, pool_owner(pool_id), QUEUED, asset)


def reward_funds(pool_id: str, asset: Asset) -> Account:
    """Tokens that were funded for rewards and not paid out yet."""
    return Account(AccountType.ASSET, pool_owner(pool_id), REWARD_FUNDS, asset)


def reward_reserve(pool_id: str, asset: Asset) -> Account:
    """Funded and not yet distributed; cannot go below zero: distributed ≤ funded."""
    return Account(AccountType.LIABILITY, pool_owner(pool_id), REWARD_RESERVE, asset)


def shortfall(pool_id: str, asset: Asset) -> Account:
    """Funding that went away after it was distributed; the next funding fills it first."""
    return Account(AccountType.EQUITY, pool_owner(pool_id), SHORTFALL, asset)


def kept(pool_id: str, wallet: str, asset: Asset) -> Account:
    """Rewards that could not be pushed and wait in the contract for the wallet to fetch."""
    return Account(AccountType.LIABILITY, staker_owner(pool_id, wallet), KEPT, asset)


def rewards(pool_id: str, wallet: str, asset: Asset) -> Account:
    """Rewards that were distributed to a wallet and not paid out yet."""
    return Account(AccountType.LIABILITY, staker_owner(pool_id, wallet), REWARDS, asset)


def claiming(pool_id: str, wallet: str, asset: Asset) -> Account:
    """Where a claim's reservation points to; nothing is ever posted here.

    Only the chain takes money out of the reward funds, so nothing else may make them
    less: a claim is reserved between two accounts of what is owed.
    """
    return Account(AccountType.LIABILITY, staker_owner(pool_id, wallet), CLAIMING, asset)


def derived_id(kind: str, *parts: str | int) -> str:
    """The id of a staking pool's transfer; the mining pool's kinds may have the same names."""
    return ids.derived_id("staking", kind, *parts)
