"""How the staking pools are, read from the books."""

from __future__ import annotations

import msgspec
from sqlalchemy import func, select

from millpond.alerts import Alerts
from millpond.alerts.service import MAX_PAGE
from millpond.api.models import iso
from millpond.clock import Ids
from millpond.money.ledger import Ledger
from millpond.ops.config import Config
from millpond.ops.database import open_database
from millpond.ops.system import SystemClock, SystemEntropy
from millpond.risk import Hold, RiskEngine, Scope
from millpond.staking import accounts
from millpond.staking.info import pool_info
from millpond.staking.pools import PRODUCT, StakingPool, list_pools
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
        indexed_at: When that was (RFC 3339); None: never yet.
        behind: Blocks from there to the head that was seen then.
        silent_since: Since when too few nodes of the chain answer (RFC 3339); None: enough do.
        stopped: Why indexing stands still, or empty.
        held: What pauses and safety switches hold, with their reasons.
        alerts: Open alerts of the platform; see the operator's page or the API.
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
    indexed_at: str | None
    behind: int
    silent_since: str | None
    stopped: str
    held: list[str]
    alerts: int


async def read_status(config: Config) -> list[PoolStatus]:
    """Every pool in service, by name."""
    async with open_database(config) as store:
        clock = SystemClock()
        ids = Ids(clock, SystemEntropy())
        ledger, alerts = Ledger(clock), Alerts(clock, ids)
        risk = RiskEngine(ledger, clock, ids)
        async with store.read() as tx:
            count = len(await alerts.open(tx, limit=MAX_PAGE))
            return [await _status(tx, ledger, risk, pool, count) for pool in await list_pools(tx)]


async def _status(
    tx: Tx, ledger: Ledger, risk: RiskEngine, pool: StakingPool, alerts: int
) -> PoolStatus:
    holds = await risk.status(tx, Scope.pool(pool.pool_id), product=PRODUCT)
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
        indexed_at=None if info.indexed_ms is None else iso(info.indexed_ms),
        behind=info.behind,
        silent_since=None if info.silent_since_ms is None else iso(info.silent_since_ms),
        stopped=info.stopped,
        held=[_told(hold) for hold in (*holds.pauses, *holds.breakers)],
        alerts=alerts,
    )


def _told(hold: Hold) -> str:
    what = ", ".join(sorted(hold.functions))
    return f"{what} by {hold.kind.value} ({hold.scope.path}): {hold.reason}"
