"""How the staking pools are, read from the books."""

from __future__ import annotations

import msgspec
from sqlalchemy import func, select

from millpond.api.models import iso
from millpond.money.ledger import Ledger
from millpond.ops.config import Config
from millpond.ops.database import open_database
from millpond.ops.system import SystemClock
from millpond.staking import accounts
from millpond.staking.info import pool_info
from millpond.staking.pools import StakingPool, list_pools
from millpond.staking.rewards.tables import epoch_table
from millpond.staking.withdrawals import rows as withdrawal_rows
from millpond.staking.withdrawals.model import WithdrawalState
from millpond.store import Tx

_OPEN = (WithdrawalState.PENDING, WithdrawalState.PROCESSING)


class PoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One pool; amounts as text with their unit.

    Attributes:
        pool_id, kind, chain_id, state: Of the pool.
        staked: Tokens in the contract, as booked: the TVL.
        stakers: Wallets with a position.
        reserve: Funded and not distributed.
        owed: Distributed and not claimed.
        last_epoch: The last one that was closed; None before the first.
        waiting: Withdrawals that are not over.
        indexed: Up to which block the chain is indexed.
        behind: Blocks from there to the head that was seen last.
        silent_since: Since when too few nodes of the chain answer (RFC 3339); None: enough do.
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
    last_epoch: int | None
    waiting: int
    indexed: int
    behind: int
    silent_since: str | None
    stopped: str


async def read_status(config: Config) -> list[PoolStatus]:
    """Every pool in service, by name."""
    async with open_database(config) as store:
        ledger = Ledger(SystemClock())
        async with store.read() as tx:
            return [await _status(tx, ledger, pool) for pool in await list_pools(tx)]


async def _status(tx: Tx, ledger: Ledger, pool: StakingPool) -> PoolStatus:
    info = await pool_info(tx, ledger, pool)
    funds = await ledger.balance(tx, accounts.reward_funds(pool.pool_id, pool.asset))
    last = await tx.execute(
        select(func.max(epoch_table.c.epoch)).where(epoch_table.c.pool_id == pool.pool_id)
    )
    counts = await withdrawal_rows.counts(tx, pool.pool_id)
    amount = pool.asset.amount
    return PoolStatus(
        pool_id=pool.pool_id,
        kind=pool.kind.value,
        chain_id=pool.chain_id,
        state=pool.state.value,
        staked=str(amount(info.tvl)),
        stakers=info.stakers,
        reserve=str(amount(info.reserve)),
        owed=str(amount(funds.posted.units - info.reserve)),
        last_epoch=last.scalar(),
        waiting=sum(counts.get(state, 0) for state in _OPEN),
        indexed=info.indexed,
        behind=info.behind,
        silent_since=None if info.silent_since_ms is None else iso(info.silent_since_ms),
        stopped=info.stopped,
    )
