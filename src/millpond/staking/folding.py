"""From effects in chain order to events with balances, and the positions after them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from millpond.chains.evm.types import Log
from millpond.staking.decode import effects
from millpond.staking.errors import ChainGapError
from millpond.staking.model import MOVES_POSITION, Effect, Event, EventKind, EventState
from millpond.staking.pools import StakingPool

_ADDS = frozenset({EventKind.DEPOSIT, EventKind.TRANSFER_IN})


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What a wallet has in a pool; token units, or shares of a vault.

    Attributes:
        wallet: Whose, EIP-55 checksummed.
        balance: By events that are booked: the wallet's position.
        seen: By all events up to the head, some of which may yet go.
        since_s: Timestamp of the block since which it has held something without
            a break, by booked events; 0 while it holds nothing.
        seq: Its last event.
    """

    wallet: str
    balance: int = 0
    seen: int = 0
    since_s: int = 0
    seq: int = 0


def decode_logs(pool: StakingPool, logs: Iterable[Log]) -> list[tuple[Log, Effect]]:
    """What logs of a pool's contracts do, in their order."""
    return [(log, effect) for log in logs for effect in effects(pool, log)]


def fold(
    pool: StakingPool,
    decoded: Iterable[tuple[Log, Effect]],
    times: Mapping[int, int],
    held: Mapping[str, int],
    rounds: Mapping[tuple[str, int], int],
    *,
    last_seq: int,
) -> list[Event]:
    """Give effects their places and balances.

    Args:
        pool: The pool.
        decoded: Effects with their logs in chain order, whole blocks.
        times: Timestamp in Unix seconds of each block that has logs.
        held: What wallets hold before them, unconfirmed included; 0 if absent.
        rounds: By transaction and ordinal, how often it was booked and undone before.
        last_seq: Place of the pool's last event.

    Raises:
        ChainGapError: The contract says that a wallet holds something else than
            its events add up to: logs are missing.
    """
    balances = dict(held)
    ordinals: defaultdict[str, int] = defaultdict(int)
    events: list[Event] = []
    for log, effect in decoded:
        ordinal = ordinals[log.tx_hash]
        ordinals[log.tx_hash] += 1
        last_seq += 1
        balance: int | None = None
        if effect.kind in MOVES_POSITION:
            sign = 1 if effect.kind in _ADDS else -1
            balance = balances.get(effect.wallet, 0) + sign * effect.amount
            _check(pool, effect.wallet, balance, effect.stated, log)
            balances[effect.wallet] = balance
        events.append(
            Event(
                pool_id=pool.pool_id,
                seq=last_seq,
                block_number=log.block_number,
                block_hash=log.block_hash,
                block_time_s=times[log.block_number],
                tx_hash=log.tx_hash,
                log_index=log.log_index,
                ordinal=ordinal,
                round=rounds.get((log.tx_hash, ordinal), 0),
                kind=effect.kind,
                wallet=effect.wallet,
                amount=effect.amount,
                balance=balance,
                details=effect.details,
                state=EventState.SEEN,
            )
        )
    return events


def _check(pool: StakingPool, wallet: str, balance: int, stated: int | None, log: Log) -> None:
    if balance < 0 or stated not in {None, balance}:
        raise ChainGapError(
            f"{wallet} holds {stated if stated is not None else 'at least 0'} by the contract and "
            f"{balance} by the logs: the node left logs out",
            pool=pool.pool_id,
            block=log.block_number,
            tx_hash=log.tx_hash,
        )


def see(positions: Mapping[str, Position], events: Sequence[Event]) -> dict[str, Position]:
    """Positions after events that were indexed; only those that changed."""
    changed: dict[str, Position] = {}
    for event in events:
        if event.balance is None:
            continue
        before = changed.get(event.wallet) or positions.get(event.wallet)
        before = before or Position(wallet=event.wallet)
        changed[event.wallet] = msgspec.structs.replace(before, seen=event.balance, seq=event.seq)
    return changed


def confirm(positions: Mapping[str, Position], events: Sequence[Event]) -> dict[str, Position]:
    """Positions after events that were booked; only those that changed."""
    changed: dict[str, Position] = {}
    for event in events:
        if event.balance is None:
            continue
        before = changed.get(event.wallet) or positions.get(event.wallet)
        assert before is not None, "what is booked was seen"
        since_s = before.since_s if before.balance and event.balance else event.block_time_s
        changed[event.wallet] = msgspec.structs.replace(
            before, balance=event.balance, since_s=since_s if event.balance else 0
        )
    return changed


def total_of(events: Sequence[Event]) -> int:
    """What events add to the sum of all positions."""
    return sum(
        (event.amount if event.kind in _ADDS else -event.amount)
        for event in events
        if event.kind in MOVES_POSITION
    )
