"""The fold that finds blocks in the share log and measures the work of each round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from millpond.chains.coins import Coin
from millpond.clock import Clock
from millpond.mining.blocks.model import EFFORT_BITS, BlockState
from millpond.mining.blocks.tables import block, mining_round
from millpond.mining.folds.writing import upsert
from millpond.mining.sharelog.records import BlockMark, DecodedGroup
from millpond.store import Tx
from millpond.store.events import publish
from millpond.store.sql import insert_or_ignore

TOPIC = "blocks"


@dataclass(slots=True)
class Round:
    """The open round of a pool."""

    number: int = 1
    started_ms: int = 0
    shares: int = 0
    effort: int = 0


class Rounds:
    """Adds up rounds and writes a block row for each mark, in the fold's transaction."""

    name = "rounds"
    from_now = False

    def __init__(self, coin: Coin, clock: Clock, *, required: int) -> None:
        self._coin = coin
        self._clock = clock
        self._required = required

    async def fold(
        self, tx: Tx, pool_id: str, groups: Sequence[DecodedGroup], *, after: int
    ) -> None:
        """Take in groups, oldest first."""
        del after
        now = await current_round(tx, pool_id)
        found: list[dict[str, Any]] = []
        for group in groups:
            first = 0
            for mark in sorted(group.blocks, key=lambda mark: mark.share):
                _add_work(now, group, first, mark.share + 1)
                found.append(self._row(pool_id, group, mark, now))
                now = Round(now.number + 1, mark.time_ms)
                first = mark.share + 1
            _add_work(now, group, first, len(group.rows))
        await _save_round(tx, pool_id, now)
        await add_blocks(tx, found, now_ms=self._clock.now_ms())

    def _row(
        self, pool_id: str, group: DecodedGroup, mark: BlockMark, now: Round
    ) -> dict[str, Any]:
        return {
            "block_hash": mark.block_hash,
            "pool_id": pool_id,
            "coin": self._coin.name,
            "height": mark.height,
            "worker": mark.worker,
            "found_ms": mark.time_ms,
            "position": group.position.group,
            "share_index": mark.share,
            "adopted": False,
            "network_difficulty": mark.network_difficulty,
            "reward": mark.coinbase_value,
            "round": now.number,
            "round_shares": now.shares,
            "effort": now.effort,
            "required": self._required,
        }


async def add_blocks(tx: Tx, rows: Sequence[dict[str, Any]], *, now_ms: int) -> None:
    """Write new blocks; those that are known already are left as they are."""
    for row in rows:
        times = {"state_ms": now_ms, "updated_ms": now_ms}
        new = {"state": BlockState.FOUND.value, **row, **times}
        added = await tx.execute(insert_or_ignore(tx, block).values(new))
        if added.rowcount:
            await publish(tx, TOPIC, block_event(row, BlockState.FOUND), now_ms=now_ms)


def block_event(row: dict[str, Any], state: BlockState, **more: Any) -> dict[str, Any]:
    """The payload of a block's event."""
    names = ("pool_id", "coin", "block_hash", "height", "worker")
    return {"kind": "block", "state": state.value, **{n: row[n] for n in names}, **more}


async def current_round(tx: Tx, pool_id: str) -> Round:
    """The open round; an empty first one for a pool without shares."""
    row = (await tx.execute(select(mining_round).where(mining_round.c.pool_id == pool_id))).first()
    if row is None:
        return Round()
    return Round(row.number, row.started_ms, row.shares, row.effort)


def _add_work(now: Round, group: DecodedGroup, first: int, end: int) -> None:
    """Add rows `first` to `end` (excluded); rounded down once a job and piece."""
    if first >= end:
        return
    if not now.started_ms:
        now.started_ms = group.group.first_ms
    sums: defaultdict[int, int] = defaultdict(int)
    for row in group.rows[first:end]:
        sums[row[2]] += row[3]
    for job, difficulty in sums.items():
        now.effort += (difficulty << EFFORT_BITS) // group.jobs[job].network_difficulty
    now.shares += end - first


async def _save_round(tx: Tx, pool_id: str, now: Round) -> None:
    row = {
        "pool_id": pool_id,
        "number": now.number,
        "started_ms": now.started_ms,
        "shares": now.shares,
        "effort": now.effort,
    }
    replace = ["number", "started_ms", "shares", "effort"]
    await tx.execute(upsert(tx, mining_round, replace=replace), [row])
