"""From the pools' own structs to the API's answers; pure."""

from __future__ import annotations

from collections.abc import Sequence

from millpond.api.models import Allocation, Block, Miner, Money, Worker, iso
from millpond.api.terms import PoolTerms
from millpond.chains.coins import Coin
from millpond.mining.accounts import miner_balance, pool_fees, wallet_of
from millpond.mining.blocks.model import EFFORT_BITS, BlockLine, Credit
from millpond.mining.blocks.model import Block as BlockRow
from millpond.mining.difficulty import to_float
from millpond.mining.folds.figures import Counts, MinerStats, Rate, WorkerStats

DAY_S = 86_400
_STATES = {
    Credit.NONE: "none",
    Credit.PENDING: "immature",
    Credit.POSTED: "posted",
    Credit.VOID: "voided",
}


def money(coin: Coin, units: int) -> Money:
    """An amount of a coin."""
    return Money.of(coin.asset.amount(units))


def time_or_none(at_ms: int | None) -> str | None:
    """A time, if there is one."""
    return iso(at_ms) if at_ms else None


def day_rate(rate: Rate, day: Counts, first_share_ms: int, now_ms: int) -> float:
    """Hashrate over the last day, or since the first share if that is later."""
    seconds = min(DAY_S, max((now_ms - first_share_ms) // 1000, 60))
    return rate.per_second(day.accepted_sum, seconds)


def block(row: BlockRow, coin: Coin) -> Block:
    """A block."""
    return Block(
        pool_id=row.pool_id,
        coin=row.coin,
        block_hash=row.block_hash,
        height=row.height,
        state=str(row.state),
        confirmations=row.confirmations,
        confirmations_needed=row.required,
        reward=money(coin, row.reward),
        wallet=wallet_of(row.worker),
        worker=row.worker,
        network_difficulty=to_float(row.network_difficulty),
        effort=row.effort / (1 << EFFORT_BITS) if row.effort else None,
        found_at=iso(row.found_ms),
        reason=row.reason,
    )


def worker(row: WorkerStats, rate: Rate, now_ms: int) -> Worker:
    """A worker."""
    day = row.shares_24h
    return Worker(
        pool_id=row.pool_id,
        worker=row.worker,
        wallet=row.wallet,
        worker_name=row.worker_name,
        active=row.online,
        hashrate=row.hashrate,
        hashrate_24h=day_rate(rate, day, row.first_share_ms, now_ms),
        shares_24h=day.accepted,
        rejected_24h=day.rejected + day.stale,
        last_share_at=time_or_none(row.last_share_ms),
    )


def miner(row: MinerStats, rate: Rate, now_ms: int) -> Miner:
    """An address in a pool."""
    day = row.shares_24h
    return Miner(
        pool_id=row.pool_id,
        wallet=row.wallet,
        active=row.active_workers > 0,
        workers=row.workers,
        active_workers=row.active_workers,
        hashrate=row.hashrate,
        hashrate_24h=day_rate(rate, day, row.first_share_ms, now_ms),
        shares_24h=day.accepted,
        rejected_24h=day.rejected + day.stale,
        last_share_at=time_or_none(row.last_share_ms),
    )


def allocations(terms: PoolTerms, row: BlockRow, lines: Sequence[BlockLine]) -> list[Allocation]:
    """How a block is split, the largest part first."""
    total = sum(line.weight for line in lines)
    made = []
    for line in sorted(lines, key=lambda each: (-each.amount, each.kind, each.wallet)):
        account = (
            miner_balance(terms.coin, line.wallet)
            if line.wallet
            else pool_fees(terms.pool_id, terms.coin)
        )
        made.append(
            Allocation(
                kind=line.kind,
                account=account.path,
                wallet=line.wallet,
                weight=str(line.weight),
                fraction=line.weight / total if total else 0.0,
                amount=money(terms.coin, line.amount),
                state=_STATES[row.credit],
            )
        )
    return made
