"""What a pool is worth looking at for: TVL, rates, stakers, and their history.

APR is the rate without compounding: what the pool pays in a year at the
present reward rate, over what is staked now. APY is what the same rate would
come to if every epoch's rewards were staked again at once, which the platform
does not do by itself. Both are whole millionths, computed with integers.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import delete, select

from millpond.chains.evm.alerting import silent_since
from millpond.clock import Clock
from millpond.money.ledger import Ledger
from millpond.staking import accounts, metrics
from millpond.staking.checkpoints import load
from millpond.staking.pools import PPM, PoolKind, StakingPool
from millpond.staking.positions import count_stakers
from millpond.staking.settings import StakingSettings
from millpond.staking.tables import history_table
from millpond.store import Tx
from millpond.store.sql import insert_or_ignore

YEAR_S = 365 * 86_400
MINUTES_A_YEAR = YEAR_S // 60
KEPT_MS = 400 * 86_400_000
"""How long the history of a pool is kept: 400 days."""

MAX_PAGE = 10_000
_H = history_table.c

VIRTUAL_SHARES = 10**6
VIRTUAL_ASSETS = 1
"""The vault's virtual offset, as in the contract."""

_SCALE = 10**30


class PoolInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A pool's figures now; amounts in base units of the token.

    Attributes:
        pool_id: The pool.
        tvl: Tokens that its contract holds for stakers, as booked.
        total_shares: Shares of a vault; of a direct pool the same as `tvl`.
        stakers: Wallets with a confirmed stake.
        reward_per_minute: What the pool pays at its weight.
        apr_ppm: Millionths a year, nothing compounded; None while nobody stakes.
        apy_ppm: Millionths a year, each epoch's rewards staked again; None likewise.
        compounds: How often a year the APY assumes.
        reserve: Funded and not yet distributed.
        runs_out_s: Seconds until the reserve is empty at this rate; None: never.
        indexed: Last block that is indexed.
        indexed_ms: When that was; None: never yet.
        behind: Blocks from there to the head that was seen then.
        silent_since_ms: Since when too few nodes of the chain answer; None: enough do.
        stopped: Why the pool stands still; empty: it does not.
    """

    pool_id: str
    tvl: int
    total_shares: int
    stakers: int
    reward_per_minute: int
    apr_ppm: int | None
    apy_ppm: int | None
    compounds: int
    reserve: int
    runs_out_s: int | None
    indexed: int
    indexed_ms: int | None
    behind: int
    silent_since_ms: int | None
    stopped: str


class HistoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pool's figures at a moment."""

    pool_id: str
    at_ms: int
    tvl: int
    stakers: int
    total_shares: int
    reward_per_minute: int
    apr_ppm: int
    apy_ppm: int

    @property
    def rate_e18(self) -> int:
        """Tokens' base units for 10^18 base units of shares."""
        return assets_of(10**18, self.tvl, self.total_shares)


def apr_ppm(reward_per_minute: int, tvl: int) -> int | None:
    """Millionths a year without compounding, rounded down; None while nothing is staked."""
    if tvl <= 0:
        return None
    return reward_per_minute * MINUTES_A_YEAR * PPM // tvl


def apy_ppm(reward_per_minute: int, tvl: int, epoch_s: int) -> int | None:
    """Millionths a year if each epoch's rewards were staked again, rounded down.

    (1 + rate of an epoch) to the power of epochs a year, with 30 decimal places;
    beyond ten thousandfold it is no more than a number, and ends there.
    """
    if tvl <= 0:
        return None
    base = _SCALE + reward_per_minute * epoch_s * _SCALE // (60 * tvl)
    most = 10_000 * _SCALE
    result, power = _SCALE, max(1, YEAR_S // epoch_s)
    while power:
        if power & 1:
            result = min(most, result * base // _SCALE)
        base = min(most, base * base // _SCALE)
        power >>= 1
    return (result - _SCALE) * PPM // _SCALE


def assets_of(shares: int, total_assets: int, total_shares: int) -> int:
    """What shares of a vault are worth, rounded down, as the contract computes it (EIP-4626)."""
    return shares * (total_assets + VIRTUAL_ASSETS) // (total_shares + VIRTUAL_SHARES)


async def tvl(tx: Tx, ledger: Ledger, pool: StakingPool) -> int:
    """Tokens that belong to stakers: of a vault without what was redeemed and waits."""
    if pool.kind is PoolKind.DIRECT:
        account = accounts.principal(pool.pool_id, pool.asset)
    else:
        account = accounts.holdings(pool.pool_id, pool.asset)
    return (await ledger.balance(tx, account)).posted.units


async def pool_info(
    tx: Tx, ledger: Ledger, pool: StakingPool, *, reward_per_minute: int | None = None
) -> PoolInfo:
    """A pool's figures now.

    Args:
        tx: A transaction.
        ledger: The ledger.
        pool: The pool.
        reward_per_minute: What it really pays, where that is not rate times weight.
    """
    locked = await tvl(tx, ledger, pool)
    shares = locked
    if pool.share is not None:
        account = accounts.shares(pool.pool_id, pool.stake)
        shares = (await ledger.balance(tx, account)).posted.units
    rate = pool.reward_per_minute * pool.weight_ppm // PPM
    rate = rate if reward_per_minute is None else reward_per_minute
    kept = accounts.reward_reserve(pool.pool_id, pool.asset)
    reserve = (await ledger.balance(tx, kept)).posted.units
    at = (await load(tx, [pool.pool_id])).get(pool.pool_id)
    return PoolInfo(
        pool_id=pool.pool_id,
        tvl=locked,
        total_shares=shares,
        stakers=await count_stakers(tx, pool.pool_id),
        reward_per_minute=rate,
        apr_ppm=apr_ppm(rate, locked),
        apy_ppm=apy_ppm(rate, locked, pool.epoch_s),
        compounds=max(1, YEAR_S // pool.epoch_s),
        reserve=reserve,
        runs_out_s=reserve * 60 // rate if rate else None,
        indexed=pool.start_block - 1 if at is None else at.number,
        indexed_ms=None if at is None or not at.block_hash else at.updated_ms,
        behind=0 if at is None else at.lag,
        silent_since_ms=await silent_since(tx, pool.chain_id),
        stopped="" if at is None else at.stopped,
    )


async def record(
    tx: Tx, ledger: Ledger, pool: StakingPool, clock: Clock, settings: StakingSettings
) -> PoolInfo:
    """Keep a pool's figures, at most one row in `settings.history_s`, and show them as metrics."""
    info = await pool_info(tx, ledger, pool)
    step_ms = settings.history_s * 1000
    now_ms = clock.now_ms()
    await tx.execute(
        insert_or_ignore(tx, history_table).values(
            pool_id=pool.pool_id,
            at_ms=now_ms // step_ms * step_ms,
            tvl=info.tvl,
            stakers=info.stakers,
            total_shares=info.total_shares,
            reward_per_minute=info.reward_per_minute,
            apr_ppm=info.apr_ppm or 0,
            apy_ppm=info.apy_ppm or 0,
        )
    )
    old = delete(history_table).where(_H.pool_id == pool.pool_id, _H.at_ms < now_ms - KEPT_MS)
    await tx.execute(old)
    metrics.shown(pool, info.tvl, info.stakers, info.apr_ppm, info.apy_ppm)
    return info


async def history(
    tx: Tx, pool_id: str, *, since_ms: int = 0, limit: int = MAX_PAGE
) -> list[HistoryRow]:
    """A pool's figures over time, oldest first."""
    assert 0 < limit <= MAX_PAGE, f"a page has 1 to {MAX_PAGE} rows"
    query = (
        select(history_table)
        .where(_H.pool_id == pool_id, _H.at_ms >= since_ms)
        .order_by(_H.at_ms)
        .limit(limit)
    )
    return [HistoryRow(**row) for row in (await tx.execute(query)).mappings()]
