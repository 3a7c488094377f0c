"""What is locked in staking pools, for the risk engine (`millpond.risk.Exposure`)."""

from __future__ import annotations

from millpond.money.accounts import Account
from millpond.money.amount import Asset
from millpond.money.ledger import Ledger
from millpond.risk import Scope, ScopeKind
from millpond.staking import accounts
from millpond.staking.pools import StakingPool, list_pools
from millpond.store import Tx


class StakingExposure:
    """Reads from the ledger what pools hold and what wallets have staked.

    Args:
        ledger: The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def locked(self, tx: Tx, scope: Scope, asset: Asset, user: str | None) -> int:
        """Base units locked in all pools, in one, or of one user in either.

        A vault is measured in its token, also for a user: by the rate of its shares,
        rounded up. In its shares it is measured where they are what is asked for.
        """
        pools = await list_pools(tx)
        if scope.kind is ScopeKind.POOL:
            pools = [pool for pool in pools if pool.pool_id == scope.id]
        if scope.kind is ScopeKind.USER:
            user = scope.id
        vaults = [p for p in pools if user is not None and p.share and p.asset == asset]
        counted = [account for pool in pools if (account := _account(pool, asset, user))]
        found = await self._ledger.balances(tx, counted)
        plain = sum(balance.posted.units for balance in found.values())
        return plain + sum([await self._worth(tx, vault, user or "") for vault in vaults])

    async def _worth(self, tx: Tx, vault: StakingPool, user: str) -> int:
        """What a user's shares are worth, as the contract reckons (its virtual offset included)."""
        mine = accounts.staked(vault.pool_id, user, vault.stake)
        ours = accounts.holdings(vault.pool_id, vault.asset)
        supply = accounts.shares(vault.pool_id, vault.stake)
        found = await self._ledger.balances(tx, [mine, ours, supply])
        held, assets, shares = (found[each].posted.units for each in (mine, ours, supply))
        return -(-held * (assets + 1) // (shares + _VIRTUAL_SHARES))


_VIRTUAL_SHARES = 10**6
"""As in `contracts/src/Vault.vy`."""


def _account(pool: StakingPool, asset: Asset, user: str | None) -> Account | None:
    if user is not None:
        mine = accounts.staked(pool.pool_id, user, pool.stake)
        return mine if pool.stake == asset else None
    return accounts.principal(pool.pool_id, pool.asset) if pool.asset == asset else None
