"""What the API and the pages ask about blocks."""

from __future__ import annotations

import msgspec
from sqlalchemy import func, select

from millpond.mining.blocks import rows
from millpond.mining.blocks.model import (
    EFFORT_BITS,
    LOST,
    Block,
    BlockLine,
    BlockState,
    block_of,
)
from millpond.mining.blocks.rounds import current_round
from millpond.mining.blocks.tables import block, block_line
from millpond.store import Tx

MAX_ROWS = 1_000


class RoundStats(msgspec.Struct, frozen=True, kw_only=True):
    """The round that is open.

    Attributes:
        number: From 1.
        started_ms: Time of the block before, or of the first share; None before that.
        shares: Accepted shares in it.
        effort_percent: Work so far in percent of the expected for a block.
    """

    number: int
    started_ms: int | None
    shares: int
    effort_percent: float


class LuckStats(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks of a pool, counted.

    Attributes:
        found: All that the share log knows.
        lost: Rejected or orphaned.
        mature: With their reward posted.
        luck_percent: Blocks found per work spent over the last `window` blocks,
            in percent of the expected; 0 before the first.
    """

    found: int
    lost: int
    mature: int
    luck_percent: float
    window: int
    last_found_ms: int | None


class MinerReward(msgspec.Struct, frozen=True, kw_only=True):
    """What a block brought to an address, and why."""

    block: Block
    kind: str
    weight: int
    amount: int
    voided: bool


async def pool_blocks(
    tx: Tx, pool_id: str, *, limit: int = 50, before_height: int | None = None
) -> list[Block]:
    """Blocks of a pool, the highest first.

    Args:
        tx: A snapshot.
        pool_id: The pool.
        limit: Up to 1,000.
        before_height: Only lower blocks, for the next page.
    """
    column = block.c
    query = select(block).where(column.pool_id == pool_id)
    if before_height is not None:
        query = query.where(column.height < before_height)
    query = query.order_by(column.height.desc(), column.position.desc(), column.share_index.desc())
    return [block_of(row) for row in await tx.execute(query.limit(min(limit, MAX_ROWS)))]


async def find_block(tx: Tx, block_hash: str) -> Block | None:
    """One block by its hash."""
    row = (await tx.execute(select(block).where(block.c.block_hash == block_hash))).first()
    return None if row is None else block_of(row)


async def allocation(tx: Tx, of: Block) -> list[BlockLine]:
    """How the block's reward is split now; empty before it is credited."""
    return await rows.lines(tx, of.block_hash, of.credit_round)


async def miner_rewards(
    tx: Tx, wallet: str, *, pool_id: str | None = None, limit: int = 50
) -> list[MinerReward]:
    """What blocks brought to an address, the newest block first; voided lines included."""
    query = (
        select(block, block_line.c.kind, block_line.c.weight, block_line.c.amount)
        .add_columns(block_line.c.credit_round.label("line_round"))
        .join(block_line, block_line.c.block_hash == block.c.block_hash)
        .where(block_line.c.wallet == wallet)
        .order_by(block.c.found_ms.desc(), block.c.block_hash, block_line.c.kind)
        .limit(min(limit, MAX_ROWS))
    )
    if pool_id is not None:
        query = query.where(block.c.pool_id == pool_id)
    found = []
    for row in await tx.execute(query):
        of = block_of(row)
        found.append(
            MinerReward(
                block=of,
                kind=row.kind,
                weight=row.weight,
                amount=row.amount,
                voided=of.state in LOST or row.line_round != of.credit_round,
            )
        )
    return found


async def round_stats(tx: Tx, pool_id: str) -> RoundStats:
    """The open round of a pool."""
    now = await current_round(tx, pool_id)
    return RoundStats(
        number=now.number,
        started_ms=now.started_ms or None,
        shares=now.shares,
        effort_percent=now.effort * 100 / (1 << EFFORT_BITS),
    )


async def luck_stats(tx: Tx, pool_id: str, *, window: int = 100) -> LuckStats:
    """Counts, and luck over the last `window` blocks that were found."""
    column = block.c
    mine = column.pool_id == pool_id
    counted = select(column.state, func.count()).where(mine).group_by(column.state)
    counts = {BlockState(row[0]): int(row[1]) for row in await tx.execute(counted)}
    newest = (
        select(column.effort, column.found_ms)
        .where(mine)
        .order_by(column.found_ms.desc())
        .limit(window)
    )
    recent = (await tx.execute(newest)).all()
    effort = sum(row.effort for row in recent)
    return LuckStats(
        found=sum(counts.values()),
        lost=sum(counts.get(state, 0) for state in LOST),
        mature=counts.get(BlockState.MATURE, 0),
        luck_percent=(len(recent) << EFFORT_BITS) * 100 / effort if effort else 0.0,
        window=window,
        last_found_ms=recent[0].found_ms if recent else None,
    )
