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

        A vault is measured in its token for everybody and in its shares for a user,
        each only if `asset` is the one that is asked for.
        """
        pools = await list_pools(tx)
        if scope.kind is ScopeKind.POOL:
            pools = [pool for pool in pools if pool.pool_id == scope.id]
        if scope.kind is ScopeKind.USER:
            user = scope.id
        counted = [account for pool in pools if (account := _account(pool, asset, user))]
        found = await self._ledger.balances(tx, counted)
        return sum(balance.posted.units for balance in found.values())


def _account(pool: StakingPool, asset: Asset, user: str | None) -> Account | None:
    if user is not None:
        mine = accounts.staked(pool.pool_id, user, pool.stake)
        return mine if pool.stake == asset else None
    return accounts.principal(pool.pool_id, pool.asset) if pool.asset == asset else None
