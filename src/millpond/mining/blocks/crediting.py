"""From a block to the lines of its reward, and from the lines to the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Any, Protocol

import msgspec

from millpond.chains.coins import Coin
from millpond.mining.accounts import miner_balance, pool_fees, pool_wallet, risk
from millpond.mining.blocks.model import Block, BlockLine
from millpond.mining.rewards import (
    Allocation,
    LineKind,
    Reach,
    RewardSettings,
    Window,
    WindowTaker,
    scheme_from,
)
from millpond.mining.sharelog.records import DecodedGroup, Position
from millpond.money.accounts import Account
from millpond.money.ids import derived_id
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution, Transfer
from millpond.store import Tx


class WindowSource(Protocol):
    """Where windows come from: `millpond.mining.sharelog.reader.ShareLogReader`."""

    def groups_before(self, pool_id: str, upto: Position) -> AsyncIterator[DecodedGroup]:
        """Groups from the one `upto` stands in back to the oldest."""


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A block's reward, split, with what it was split by."""

    allocation: Allocation
    window: Window
    terms: RewardSettings
    round_start: Position | None

    def record(self) -> dict[str, Any]:
        """What the block's row keeps of the window; numbers as text, for they may be large."""
        window, start = self.window, self.round_start
        filled = self.allocation.filled
        return {
            "shares": window.shares,
            "scale": str(window.scale),
            "limit": None if window.limit is None else str(window.limit),
            "total": str(window.total),
            "oldest_counts": str(window.oldest_counts),
            "filled": None if filled is None else str(filled),
            "young": self.allocation.young,
            "round_start": None if start is None else list(start),
        }


async def split_reward(
    log: WindowSource, block: Block, terms: RewardSettings, round_start: Position | None
) -> Split:
    """Split a block's reward by the share log.

    Args:
        log: The share log.
        block: The block.
        terms: The pool's reward settings.
        round_start: Share of the pool's block before, which is excluded.

    Raises:
        RewardSettingsError: The terms name no scheme that can pay.
    """
    scheme = scheme_from(terms)
    reach = scheme.reach(block.network_difficulty)
    window = await window_of(log, block, reach, round_start)
    allocation = scheme.allocate(window, block.reward, terms.fees)
    return Split(allocation=allocation, window=window, terms=terms, round_start=round_start)


async def window_of(
    log: WindowSource, block: Block, reach: Reach, round_start: Position | None
) -> Window:
    """The shares within reach of a block, its own included."""
    if block.adopted and (reach.shares == 1 or block.position == 0):
        # The log does not hold the share, or nothing yet, but the finder is known all the same.
        return Window({block.worker: 1}, shares=1)
    taker = WindowTaker(reach)
    if block.position == 0:
        return taker.window()
    stop = round_start if reach.round_only else None
    async for group in log.groups_before(block.pool_id, block.place):
        if stop is not None and group.position.group < stop.group:
            break
        if taker.take(_within(group, block.place, stop)):
            break
    return taker.window()


def _within(
    group: DecodedGroup, upto: Position, stop: Position | None
) -> Iterable[tuple[str, int]]:
    last = upto.share if group.position.group == upto.group else len(group.rows) - 1
    newest_first = group.newest_first(last)
    if stop is not None and group.position.group == stop.group:
        return islice(newest_first, max(last - stop.share, 0))
    return newest_first


def line_account(kind: str, wallet: str, pool_id: str, coin: Coin) -> Account:
    """The account that a line of an allocation credits."""
    match LineKind(kind):
        case LineKind.FEE:
            return pool_fees(pool_id, coin)
        case LineKind.RISK:
            return risk(pool_id, coin)
        case LineKind.SHARE | LineKind.DONATION:
            return miner_balance(coin, wallet)


def lines_of(block: Block, allocation: Allocation, credit_round: int) -> list[BlockLine]:
    """The lines as they are stored and booked; ids follow from the block and the line."""
    return [
        BlockLine(
            block_hash=block.block_hash,
            credit_round=credit_round,
            kind=line.kind.value,
            wallet=line.wallet,
            weight=line.weight,
            amount=line.amount,
            transfer_id=derived_id(
                "reward", block.block_hash, str(credit_round), line.kind.value, line.wallet
            ),
        )
        for line in allocation.lines
    ]


async def reserve_lines(
    tx: Tx, ledger: Ledger, block: Block, lines: Iterable[BlockLine], coin: Coin
) -> None:
    """Book the lines as pending: what the coinbase brings, and whom it belongs to."""
    wallet = pool_wallet(coin)
    await ledger.reserve(
        tx,
        [
            Transfer(
                id=line.transfer_id,
                debit=wallet,
                credit=line_account(line.kind, line.wallet, block.pool_id, coin),
                amount=coin.asset.amount(line.amount),
                code="reward" if line.kind == LineKind.SHARE else line.kind,
                reference=block.reference,
            )
            for line in lines
            if line.amount
        ],
    )


async def resolve_lines(
    tx: Tx, ledger: Ledger, lines: Iterable[BlockLine], *, posted: bool
) -> None:
    """Post what was reserved, or void it."""
    word = "mature" if posted else "orphan"
    resolutions = [
        Resolution(derived_id(word, line.transfer_id), line.transfer_id)
        for line in lines
        if line.amount
    ]
    await (ledger.post_pending if posted else ledger.void_pending)(tx, resolutions)
