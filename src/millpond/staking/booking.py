"""What an event is in the ledger. Pure.

Every transfer carries its event's reference, so that what was booked for an
event can be found again and reversed by the opposite.
"""

from __future__ import annotations

from msgspec.structs import replace

from millpond.money.accounts import Account
from millpond.money.model import Kind, Posted, Transfer
from millpond.staking import accounts
from millpond.staking.accounts import derived_id
from millpond.staking.model import Event, EventKind
from millpond.staking.pools import PoolKind, StakingPool

_K = EventKind

FUNDING = frozenset({_K.FUNDED, _K.DEFUNDED})
"""Kinds that fill or empty the reserve; what they book depends on what is in it."""

REWARD_PAYMENTS = frozenset({_K.REWARD_PAID, _K.REWARD_KEPT})
"""Kinds that answer to a batch of the operator's own."""


MOVES_FUNDS = FUNDING | REWARD_PAYMENTS | {_K.REWARD_CLAIMED}
"""Kinds whose booking or reversal may change the reward funds."""


def transfer_of(pool: StakingPool, event: Event) -> Transfer | None:
    """The transfer that books an event; None if it moves nothing in the books.

    The kinds of `FUNDING` are booked by `fund` and `defund`.
    """
    assert event.kind not in FUNDING, "funding depends on the reserve"
    sides = _sides(pool, event)
    if sides is None or not event.amount:
        return None
    debit, credit = sides
    return Transfer(
        event.identity,
        debit=debit,
        credit=credit,
        amount=debit.asset.amount(event.amount),
        code=event.kind.value,
        reference=event.reference,
    )


def _sides(pool: StakingPool, event: Event) -> tuple[Account, Account] | None:
    if event.kind in _POSITION:
        return _position_sides(pool, event)
    if event.kind in _REWARD:
        return _reward_sides(pool, event)
    return _custody_sides(pool, event)


_POSITION = frozenset({_K.DEPOSIT, _K.WITHDRAW, _K.TRANSFER_OUT})
_REWARD = REWARD_PAYMENTS | {_K.REWARD_CLAIMED}


def _position_sides(pool: StakingPool, event: Event) -> tuple[Account, Account]:
    whose = accounts.staked(pool.pool_id, event.wallet, pool.stake)
    if event.kind is _K.TRANSFER_OUT:
        return whose, accounts.staked(pool.pool_id, event.details["to"], pool.stake)
    total = stake_total(pool)
    return (total, whose) if event.kind is _K.DEPOSIT else (whose, total)


def _reward_sides(pool: StakingPool, event: Event) -> tuple[Account, Account]:
    owed = accounts.rewards(pool.pool_id, event.wallet, pool.asset)
    kept = accounts.kept(pool.pool_id, event.wallet, pool.asset)
    funds = accounts.reward_funds(pool.pool_id, pool.asset)
    if event.kind is _K.REWARD_KEPT:
        return owed, kept
    return (kept if event.details.get("kept") else owed), funds


def _custody_sides(pool: StakingPool, event: Event) -> tuple[Account, Account] | None:
    held = accounts.principal(pool.pool_id, pool.asset)
    ours = accounts.holdings(pool.pool_id, pool.asset)
    queue = accounts.queued(pool.pool_id, pool.asset)
    return {
        _K.ASSETS_IN: (held, ours),
        _K.ASSETS_OUT: (ours, held),
        _K.LOSS: (ours, held),
        _K.REDEEM_REQUESTED: (ours, queue),
        _K.REDEEM_PAID: (queue, held),
    }.get(event.kind)


def stake_total(pool: StakingPool) -> Account:
    """The account that stands against all positions: tokens held, or shares that exist."""
    if pool.kind is PoolKind.DIRECT:
        return accounts.principal(pool.pool_id, pool.asset)
    return accounts.shares(pool.pool_id, pool.stake)


def fund(pool: StakingPool, event: Event, *, missing: int) -> list[Transfer]:
    """Book funds that arrived: first what is `missing`, the rest into the reserve."""
    repaid = min(missing, event.amount)
    into = accounts.reward_funds(pool.pool_id, pool.asset)
    return _split(
        pool,
        event,
        (into, accounts.shortfall(pool.pool_id, pool.asset), repaid),
        (into, accounts.reward_reserve(pool.pool_id, pool.asset), event.amount - repaid),
    )


def defund(pool: StakingPool, event: Event, *, reserve: int) -> list[Transfer]:
    """Book funds that left: out of the `reserve`, and what is not in it as missing."""
    covered = min(reserve, event.amount)
    out = accounts.reward_funds(pool.pool_id, pool.asset)
    return _split(
        pool,
        event,
        (accounts.reward_reserve(pool.pool_id, pool.asset), out, covered),
        (accounts.shortfall(pool.pool_id, pool.asset), out, event.amount - covered),
    )


def reward(pool: StakingPool, transfer: Transfer, *, owed: int) -> list[Transfer]:
    """Cut the booking of a reward that left into what was `owed`, and the rest as missing."""
    surplus = transfer.amount.units - min(owed, transfer.amount.units)
    if not surplus:
        return [transfer]
    missing = replace(
        transfer,
        id=derived_id("surplus", transfer.id),
        debit=accounts.shortfall(pool.pool_id, pool.asset),
        amount=pool.asset.amount(surplus),
    )
    rest = pool.asset.amount(transfer.amount.units - surplus)
    return [missing] if not rest.units else [replace(transfer, amount=rest), missing]


def _split(pool: StakingPool, event: Event, *parts: tuple[Account, Account, int]) -> list[Transfer]:
    return [
        Transfer(
            derived_id("part", event.identity, number),
            debit=debit,
            credit=credit,
            amount=pool.asset.amount(units),
            code=event.kind.value,
            reference=event.reference,
        )
        for number, (debit, credit, units) in enumerate(parts)
        if units
    ]


_MOVED = frozenset({Kind.POSTED, Kind.POST})


def reversal(posted: Posted) -> Transfer | None:
    """The transfer that takes back one that was booked; None if it moved nothing."""
    if posted.kind not in _MOVED:
        return None
    return Transfer(
        derived_id("undo", posted.id),
        debit=posted.credit,
        credit=posted.debit,
        amount=posted.amount,
        code="reorg",
        reference=f"{posted.reference}:undone",
    )
