"""What operators watch: amounts as counts of events, places, ages."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import Counter, Gauge

from millpond.staking.model import Event, EventKind
from millpond.staking.pools import PPM, StakingPool

EVENTS = Counter("millpond_staking_events_total", "Events that were indexed", ["pool", "kind"])
DEPOSITS = Counter("millpond_staking_deposits_total", "Deposits seen on chain", ["pool"])
WITHDRAWALS = Counter("millpond_staking_withdrawals_total", "Withdrawals seen on chain", ["pool"])
REORGS = Counter("millpond_staking_reorgs_total", "Reorgs that were followed back", ["chain"])
BEHIND = Gauge("millpond_staking_blocks_behind", "Blocks that are not indexed yet", ["pool"])
TVL = Gauge("millpond_staking_tvl", "Staked tokens, whole tokens", ["pool"])
STAKERS = Gauge("millpond_staking_stakers", "Wallets with a stake", ["pool"])
APR = Gauge("millpond_staking_apr", "Yearly rate without compounding, 1 is 100 %", ["pool"])
APY = Gauge("millpond_staking_apy", "Yearly rate with compounding, 1 is 100 %", ["pool"])
OLDEST_WITHDRAWAL = Gauge(
    "millpond_staking_oldest_withdrawal_seconds",
    "Age of the oldest withdrawal that is not finished; 0 if there is none",
    ["pool"],
)


def indexed(events: Sequence[Event]) -> None:
    """Count what was indexed; after the commit."""
    for event in events:
        EVENTS.labels(event.pool_id, event.kind.value).inc()
        if event.kind is EventKind.DEPOSIT:
            DEPOSITS.labels(event.pool_id).inc()
        elif event.kind is EventKind.WITHDRAW:
            WITHDRAWALS.labels(event.pool_id).inc()


def shown(
    pool: StakingPool, tvl: int, stakers: int, apr_ppm: int | None, apy_ppm: int | None
) -> None:
    """Show a pool's figures; gauges are floats, so nothing is ever computed from them."""
    TVL.labels(pool.pool_id).set(tvl / 10**pool.token.decimals)
    STAKERS.labels(pool.pool_id).set(stakers)
    APR.labels(pool.pool_id).set((apr_ppm or 0) / PPM)
    APY.labels(pool.pool_id).set((apy_ppm or 0) / PPM)
