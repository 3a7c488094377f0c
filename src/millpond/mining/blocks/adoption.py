"""Blocks whose share never reached the log.

A block goes to the daemons before its share is committed. When the process
dies in between, the chain may hold a block of ours that no share speaks for.
Its coins are the miners' all the same: after a while the stored candidate is
taken up as a block that ends with the newest share before it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

import structlog
from sqlalchemy import select

from millpond.chains.bitcoin.wire import HEADER_SIZE, Reader, WireError, read_transaction
from millpond.chains.coins import Coin
from millpond.mining.blocks import rows
from millpond.mining.blocks.rounds import add_blocks, current_round
from millpond.mining.blocks.settings import BlockSettings
from millpond.mining.difficulty import bits_to_target, target_to_difficulty
from millpond.mining.folds.tables import fold_checkpoint
from millpond.mining.sharelog.reader import Candidate, CandidateHead
from millpond.mining.sharelog.records import Position
from millpond.store import Store

_log = structlog.get_logger(__name__)


class CandidateSource(Protocol):
    """Where candidates are kept."""

    async def head(self, pool_id: str) -> Position | None:
        """Position of the newest group."""

    async def candidate_heads(
        self,
        pool_id: str,
        *,
        hashes: Collection[str] | None = None,
        before_ms: int | None = None,
        limit: int = 200,
    ) -> list[CandidateHead]:
        """Blocks found, newest first, without the blocks."""

    async def candidate(self, block_hash: str) -> Candidate | None:
        """One block found, whole."""


async def adopt(
    store: Store,
    log: CandidateSource,
    coin: Coin,
    *,
    pool_id: str,
    settings: BlockSettings,
    now_ms: int,
) -> list[str]:
    """Take up candidates that are old enough and that the log does not know.

    Nothing is taken up while the fold is behind the log.

    Returns:
        Hashes of the blocks taken up.
    """
    before_ms = now_ms - settings.adopt_after_s * 1000
    old = await log.candidate_heads(pool_id, before_ms=before_ms)
    if not old:
        return []
    async with store.read() as tx:
        known = await rows.known_hashes(tx, [c.block_hash for c in old])
        folded = select(fold_checkpoint.c.position).where(
            fold_checkpoint.c.pool_id == pool_id, fold_checkpoint.c.fold == "rounds"
        )
        position = (await tx.execute(folded)).scalar() or 0
    unknown = [c.block_hash for c in reversed(old) if c.block_hash not in known]
    head = await log.head(pool_id) if unknown else None
    if not unknown or (head.group if head else 0) != position:
        return []
    missing = [c for name in unknown if (c := await log.candidate(name)) is not None]
    place = head or Position(0, -1)
    async with store.begin() as tx:
        now = await current_round(tx, pool_id)
        work = {"round": now.number, "round_shares": now.shares, "effort": now.effort}
        taken = [_row(c, coin, place, settings) | work for c in missing]
        await add_blocks(tx, taken, now_ms=now_ms)
    for candidate in missing:
        _log.warning("block_adopted", block_hash=candidate.block_hash, height=candidate.height)
    return [candidate.block_hash for candidate in missing]


def _row(
    candidate: Candidate, coin: Coin, place: Position, settings: BlockSettings
) -> dict[str, Any]:
    network_difficulty, reward = read_block(bytes(candidate.block), coin)
    return {
        "block_hash": candidate.block_hash,
        "pool_id": candidate.pool_id,
        "coin": coin.name,
        "height": candidate.height,
        "worker": candidate.worker,
        "found_ms": candidate.found_ms,
        "position": place.group,
        "share_index": place.share,
        "adopted": True,
        "network_difficulty": network_difficulty,
        "reward": reward,
        "required": settings.required(coin),
    }


def read_block(raw: bytes, coin: Coin) -> tuple[int, int]:
    """Network difficulty (fixed point) and coinbase value of a serialised block.

    Raises:
        WireError: The bytes are no block.
    """
    reader = Reader(raw)
    header = reader.take(HEADER_SIZE)
    target = bits_to_target(int.from_bytes(header[72:76], "little"))
    reader.count()
    coinbase = read_transaction(reader)
    if not coinbase.is_coinbase:
        raise WireError("the first transaction of a block is its coinbase")
    value = sum(output.value for output in coinbase.outputs)
    return target_to_difficulty(target, coin.difficulty_1_target), value
