"""From the staking rooms' structs to the API's answers; pure."""

from __future__ import annotations

import msgspec

from millpond.api.models import Money, iso
from millpond.api.staking import models
from millpond.risk import Hold, ScopeStatus
from millpond.staking import deposits
from millpond.staking.info import HistoryRow, PoolInfo, assets_of
from millpond.staking.model import MOVES_POSITION, Event
from millpond.staking.pools import PPM, PoolKind, StakingPool
from millpond.staking.rewards.claims import Claim
from millpond.staking.rewards.model import Epoch, Proof, Snapshot
from millpond.staking.withdrawals.model import Withdrawal


def tokens(pool: StakingPool, units: int) -> Money:
    """An amount of a pool's token."""
    return Money.of(pool.asset.amount(units))


def stake(pool: StakingPool, units: int) -> Money:
    """An amount of what a pool's contract counts: tokens, or a vault's shares."""
    return Money.of(pool.stake.amount(units))


def fraction(ppm: int) -> str:
    """Millionths as a decimal."""
    return f"{ppm // PPM}.{ppm % PPM:06d}"


def seconds(at_s: int) -> str:
    """Unix seconds as a time."""
    return iso(at_s * 1000)


def _or_none(ppm: int | None) -> str | None:
    return None if ppm is None else fraction(ppm)


def worth(pool: StakingPool, info: PoolInfo, units: int) -> int:
    """Tokens that a position is worth; of a direct pool itself."""
    if pool.kind is PoolKind.DIRECT:
        return units
    return assets_of(units, info.tvl, info.total_shares)


def pool(row: StakingPool, info: PoolInfo) -> models.StakingPool:
    """A pool with its figures."""
    rate = None
    if row.share is not None:
        rate = row.asset.amount(worth(row, info, 10**row.share.decimals)).decimal
    return models.StakingPool(
        id=row.pool_id,
        kind=row.kind.value,
        state=row.state.value,
        chain_id=row.chain_id,
        asset=row.token.code,
        symbol=row.token.symbol,
        decimals=row.token.decimals,
        token=row.token.address,
        contract=row.contract,
        rewards_contract=row.rewards_contract,
        share=None if row.share is None else row.share.code,
        share_rate=rate,
        confirmations=row.confirmations,
        epoch_s=row.epoch_s,
        minimum_withdrawal=stake(row, row.min_withdrawal),
        reward_per_minute=tokens(row, info.reward_per_minute),
        weight=fraction(row.weight_ppm),
        tvl=tokens(row, info.tvl),
        stakers=info.stakers,
        apr=_or_none(info.apr_ppm),
        apy=_or_none(info.apy_ppm),
        compounds=info.compounds,
        reserve=tokens(row, info.reserve),
        reserve_lasts_s=info.runs_out_s,
        indexed_block=info.indexed,
        blocks_behind=info.behind,
        silent_since=None if info.silent_since_ms is None else iso(info.silent_since_ms),
        stopped=info.stopped,
    )


def point(row: StakingPool, at: HistoryRow) -> models.StakingPoint:
    """A pool's figures at a moment."""
    return models.StakingPoint(
        at=iso(at.at_ms),
        tvl=tokens(row, at.tvl),
        stakers=at.stakers,
        reward_per_minute=tokens(row, at.reward_per_minute),
        apr=fraction(at.apr_ppm),
        apy=fraction(at.apy_ppm),
    )


def epoch(row: StakingPool, closed: Epoch) -> models.Epoch:
    """A closed epoch."""
    return models.Epoch(
        pool_id=row.pool_id,
        epoch=closed.epoch,
        number=closed.number,
        start=seconds(closed.start_s),
        end=seconds(closed.end_s),
        state=closed.state.value,
        note=closed.note,
        wanted=tokens(row, closed.wanted),
        pot=tokens(row, closed.pot),
        shortfall=tokens(row, closed.shortfall),
        distributed=tokens(row, closed.distributed),
        cumulative=tokens(row, closed.cumulative),
        accounts=closed.accounts,
        root=closed.root,
        statement_hash=closed.statement_hash,
        previous=closed.previous,
        closed_at=iso(closed.closed_ms),
    )


def reward_line(row: StakingPool, line: Snapshot) -> models.RewardLine:
    """A wallet's line of an epoch."""
    return models.RewardLine(
        epoch=line.epoch,
        weight=str(line.weight),
        earned=tokens(row, line.earned),
        cumulative=tokens(row, line.cumulative),
    )


def proof(row: StakingPool, found: Proof) -> models.RewardProof:
    """A proof."""
    return models.RewardProof(
        pool_id=found.pool_id,
        wallet=found.wallet,
        epoch=found.epoch,
        number=found.number,
        cumulative=tokens(row, found.cumulative),
        root=found.root,
        proof=found.proof,
        statement_hash=found.statement_hash,
    )


def withdrawal(row: StakingPool, found: Withdrawal) -> models.Withdrawal:
    """A withdrawal."""
    return models.Withdrawal(
        id=found.id,
        pool_id=found.pool_id,
        wallet=found.wallet,
        amount=stake(row, found.amount),
        state=found.state.value,
        reason=found.reason,
        tx_hash=found.tx_hash,
        block_number=found.block_number,
        requested_at=iso(found.requested_ms),
        updated_at=iso(found.updated_ms),
        finished_at=None if found.finished_ms is None else iso(found.finished_ms),
    )


def claim(row: StakingPool, found: Claim) -> models.Claim:
    """A claim."""
    return models.Claim(
        id=found.id,
        pool_id=found.pool_id,
        wallet=found.wallet,
        amount=tokens(row, found.amount),
        state=found.state.value,
        reason=found.reason,
        tx_hash=found.tx_hash,
        requested_at=iso(found.requested_ms),
        updated_at=iso(found.updated_ms),
        finished_at=None if found.finished_ms is None else iso(found.finished_ms),
    )


def event(row: StakingPool, found: Event) -> models.StakingEvent:
    """An event of a wallet."""
    moves = found.kind in MOVES_POSITION
    return models.StakingEvent(
        seq=found.seq,
        kind=found.kind.value,
        amount=stake(row, found.amount) if moves else tokens(row, found.amount),
        balance=None if found.balance is None else stake(row, found.balance),
        state=found.state.value,
        block_number=found.block_number,
        tx_hash=found.tx_hash,
        at=seconds(found.block_time_s),
    )


def pool_event(row: StakingPool, found: Event) -> models.PoolEvent:
    """The same with whom it concerns."""
    told = msgspec.structs.asdict(event(row, found))
    return models.PoolEvent(**told, wallet=found.wallet or None)


def to_sign(made: deposits.ToSign) -> models.ToSign:
    """A transaction to sign."""
    return models.ToSign(
        what=made.what,
        chain_id=made.chain_id,
        sender=made.sender,
        to=made.to,
        data=made.data,
        value=made.value,
        gas=made.gas,
        simulated=made.simulated,
    )


def deposit(row: StakingPool, made: deposits.Prepared) -> models.Deposit:
    """A prepared deposit."""
    return models.Deposit(
        pool_id=row.pool_id,
        wallet=made.wallet,
        amount=tokens(row, int(made.amount)),
        transactions=[to_sign(each) for each in made.transactions],
        permit=made.permit,
        allowance=tokens(row, int(made.allowance)),
        balance=tokens(row, int(made.balance)),
    )


def risk(pool_id: str, found: ScopeStatus) -> models.PoolRisk:
    """What limits and holds a pool; without what is only the operator's to know."""
    return models.PoolRisk(
        pool_id=pool_id,
        held=[function.value for function in found.held],
        exits_open=found.exits_open,
        limits=limits(found),
        pauses=[_hold(hold) for hold in found.pauses],
        breakers=[_hold(hold) for hold in found.breakers],
    )


def limits(found: ScopeStatus) -> list[models.RiskLimits]:
    """The limits of a scope and of those around it."""
    return [
        models.RiskLimits(
            scope=row.scope.path,
            asset=row.asset,
            source=row.source,
            limits=row.limits.to_json(),
            gauges=[
                models.Gauge(
                    rule=gauge.rule.value,
                    limit=str(gauge.limit),
                    used=None if gauge.used is None else str(gauge.used),
                    room=str(gauge.room),
                    window_s=gauge.window_s,
                )
                for gauge in row.gauges
            ],
            stale=row.stale,
        )
        for row in found.limits
    ]


def _hold(hold: Hold) -> models.RiskHold:
    return models.RiskHold(
        kind=hold.kind.value,
        scope=hold.scope.path,
        asset=hold.asset,
        held=sorted(function.value for function in hold.functions),
        reason=hold.reason,
        exits_because=hold.exits_because,
        reset_role=hold.reset_role.value,
        since=iso(hold.since_ms),
        until=None if hold.until_ms is None else iso(hold.until_ms),
    )
