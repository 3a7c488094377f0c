"""Reading and changing the rows of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import and_, insert, or_, select, tuple_, update

from millpond.mining.blocks.model import (
    LOST,
    OPEN,
    Block,
    BlockLine,
    BlockState,
    block_of,
    line_of,
)
from millpond.mining.blocks.tables import block, block_line
from millpond.mining.sharelog.records import Position
from millpond.store import Tx

_FOLLOWED = 500
_LOST_FOLLOWED = 100
"""Blocks beyond maturity in which a lost block is looked at: long enough for a
daemon that stood on a wrong branch, or told nonsense, to be put right."""
"""Most blocks followed in one pass, the lowest first."""


async def followed(tx: Tx, pool_id: str, tip_height: int) -> list[Block]:
    """Open blocks, then lost ones that may still come back, lowest first."""
    column = block.c
    recent = and_(
        column.state.in_([state.value for state in LOST]),
        column.height > tip_height - column.required - _LOST_FOLLOWED,
    )
    is_open = column.state.in_([state.value for state in OPEN])
    query = (
        select(block)
        .where(column.pool_id == pool_id, or_(is_open, recent))
        .order_by(recent, column.height, column.position)
        .limit(_FOLLOWED)
    )
    return [block_of(row) for row in await tx.execute(query)]


async def locked(tx: Tx, block_hash: str) -> Block:
    """A block's row, locked until the transaction ends."""
    query = select(block).where(block.c.block_hash == block_hash).with_for_update()
    return block_of((await tx.execute(query)).one())


async def change(tx: Tx, block_hash: str, now_ms: int, **values: Any) -> None:
    """Set columns of a block."""
    statement = update(block).where(block.c.block_hash == block_hash)
    await tx.execute(statement.values(updated_ms=now_ms, **values))


async def add_lines(tx: Tx, lines: Sequence[BlockLine]) -> None:
    """Store an allocation."""
    rows = [{name: getattr(line, name) for name in line.__struct_fields__} for line in lines]
    if rows:
        await tx.execute(insert(block_line), rows)


async def lines(tx: Tx, block_hash: str, credit_round: int) -> list[BlockLine]:
    """The allocation of one crediting, by kind and wallet."""
    column = block_line.c
    query = (
        select(block_line)
        .where(column.block_hash == block_hash, column.credit_round == credit_round)
        .order_by(column.kind, column.wallet)
    )
    return [line_of(row) for row in await tx.execute(query)]


async def round_start(tx: Tx, of: Block) -> Position | None:
    """Share of the block before that was not rejected: where a round begins, excluded."""
    column = block.c
    query = (
        select(column.position, column.share_index)
        .where(
            column.pool_id == of.pool_id,
            column.state != BlockState.REJECTED.value,
            tuple_(column.position, column.share_index) < tuple_(of.position, of.share_index),
        )
        .order_by(column.position.desc(), column.share_index.desc())
        .limit(1)
    )
    row = (await tx.execute(query)).first()
    return None if row is None else Position(row.position, row.share_index)


async def known_hashes(tx: Tx, hashes: Iterable[str]) -> set[str]:
    """Which of these blocks have a row."""
    query = select(block.c.block_hash).where(block.c.block_hash.in_(list(hashes)))
    return set((await tx.execute(query)).scalars())
