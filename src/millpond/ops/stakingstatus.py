"""How the staking pools are, read from the books."""

from __future__ import annotations

import msgspec
from sqlalchemy import func, select

from millpond.money.accounts import AccountType
from millpond.money.ledger import Ledger
from millpond.ops.config import Config
from millpond.ops.system import SystemClock
from millpond.staking import accounts
from millpond.staking.pools import StakingPool, list_pools
from millpond.staking.rewards.tables import epoch_table
from millpond.staking.tables import checkpoint_table, position_table
from millpond.staking.withdrawals import rows as withdrawal_rows
from millpond.staking.withdrawals.model import WithdrawalState
from millpond.store import Store, Tx

_OPEN = (WithdrawalState.PENDING, WithdrawalState.PROCESSING)


class PoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One pool; amounts as text with their unit.

    Attributes:
        pool_id, kind, chain_id, state: Of the pool.
        staked: Tokens in the contract, as booked: the TVL.
        stakers: Wallets with a position.
        reserve: Funded and not distributed.
        owed: Distributed and not claimed.
        last_epoch: The last one that was closed, in words.
        waiting: Withdrawals that are not over.
        booked_block: Up to where the chain is booked.
        stopped: Why indexing stands still, or empty.
    """

    pool_id: str
    kind: str
    chain_id: int
    state: str
    staked: str
    stakers: int
    reserve: str
    owed: str
    last_epoch: str
    waiting: int
    booked_block: int
    stopped: str


async def read_status(config: Config) -> list[PoolStatus]:
    """Every pool in service, by name."""
    store = await Store.open(config.database_url, pool_size=1)
    try:
        ledger = Ledger(SystemClock())
        async with store.read() as tx:
            return [await _status(tx, ledger, pool) for pool in await list_pools(tx)]
    finally:
        await store.close()


async def _status(tx: Tx, ledger: Ledger, pool: StakingPool) -> PoolStatus:
    principal = accounts.principal(pool.pool_id, pool.asset)
    reserve = accounts.reward_reserve(pool.pool_id, pool.asset)
    funds = accounts.reward_funds(pool.pool_id, pool.asset)
    balances = await ledger.balances(tx, [principal, reserve, funds])
    assert principal.type is AccountType.ASSET, "tokens in a contract are ours to account for"
    position, checkpoint = position_table.c, checkpoint_table.c
    stakers = await tx.execute(
        select(func.count()).where(position.pool_id == pool.pool_id, position.balance != 0)
    )
    last = await tx.execute(
        select(func.max(epoch_table.c.epoch)).where(epoch_table.c.pool_id == pool.pool_id)
    )
    place = (
        await tx.execute(
            select(checkpoint.booked_number, checkpoint.stopped).where(
                checkpoint.pool_id == pool.pool_id
            )
        )
    ).first()
    counts = await withdrawal_rows.counts(tx, pool.pool_id)
    number = last.scalar()
    owed = balances[funds].posted - balances[reserve].posted
    return PoolStatus(
        pool_id=pool.pool_id,
        kind=pool.kind.value,
        chain_id=pool.chain_id,
        state=pool.state.value,
        staked=str(balances[principal].posted),
        stakers=int(stakers.scalar_one()),
        reserve=str(balances[reserve].posted),
        owed=str(owed),
        last_epoch="none closed yet" if number is None else f"the last closed is {number}",
        waiting=sum(counts.get(state, 0) for state in _OPEN),
        booked_block=-1 if place is None else place.booked_number,
        stopped="" if place is None else place.stopped,
    )
