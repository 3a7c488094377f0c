"""Carrying the share log into the tables, each group exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from sqlalchemy import Row, delete, select, update

from millpond.clock import Clock
from millpond.errors import MillpondError
from millpond.mining.folds.statistics import Statistics, prune
from millpond.mining.folds.tables import fold_checkpoint
from millpond.mining.sharelog.records import DecodedGroup, Position
from millpond.store import Store, Tx
from millpond.store.sql import insert_or_ignore

BATCH_GROUPS = 500
"""Groups in one transaction."""

PRUNE_MS = 600_000
"""Pause between two cleanings of the slices."""

_START = {"position": 0, "group_hash": "", "groups": 0, "shares": 0}


class LogReplacedError(MillpondError):
    """The share log is not the one that was folded: the last folded group is another."""

    code = "sharelog_replaced"


class GroupSource(Protocol):
    """Where groups come from: `millpond.mining.sharelog.reader.ShareLogReader`."""

    async def groups(
        self, pool_id: str, after: Position | None, limit: int = 1000
    ) -> list[DecodedGroup]:
        """Groups behind a position, oldest first."""


class Folder(Protocol):
    """Something that is folded from the log, with a checkpoint of its own."""

    @property
    def name(self) -> str:
        """What its checkpoint is called."""

    @property
    def from_now(self) -> bool:
        """True if groups from before it was plugged in are not for it."""

    async def fold(
        self, tx: Tx, pool_id: str, groups: Sequence[DecodedGroup], *, after: int
    ) -> None:
        """Take in groups, oldest first, each exactly once; never commits.

        Args:
            tx: The transaction that moves the checkpoint.
            pool_id: The pool.
            groups: Not empty.
            after: Position that the groups follow without a gap.
        """


class Progress(msgspec.Struct, frozen=True):
    """What one step did.

    Attributes:
        groups: Groups read.
        shares: Credited shares in them.
        behind: True if there may be more to fold at once.
    """

    groups: int
    shares: int
    behind: bool


class Fold:
    """Folds the log of one pool.

    Several processes may fold one pool: the checkpoint is locked and compared
    in the transaction that moves it, so the slower one does nothing.
    """

    def __init__(
        self,
        store: Store,
        log: GroupSource,
        pool_id: str,
        clock: Clock,
        *,
        folders: Sequence[Folder] | None = None,
        batch_groups: int = BATCH_GROUPS,
    ) -> None:
        self._store = store
        self._log = log
        self._pool_id = pool_id
        self._clock = clock
        self._folders = tuple(folders) if folders is not None else (Statistics(),)
        self._batch = batch_groups
        self._checked = False
        self._pruned_ms = 0
        assert len({folder.name for folder in self._folders}) == len(self._folders)

    async def run_once(self) -> Progress:
        """Fold one batch.

        Raises:
            LogReplacedError: The log does not hold what was folded from it.
        """
        async with self._store.read() as tx:
            before = await self._positions(tx)
        start = min(before.values())
        if not self._checked:
            await self._check_log()
        after = Position(start, 0) if start else None
        groups = await self._log.groups(self._pool_id, after, self._batch)
        if groups:
            async with self._store.begin() as tx:
                if await self._lock(tx) != before:
                    return Progress(0, 0, behind=True)
                for folder in self._folders:
                    await self._fold(tx, folder, groups, before[folder.name])
            await self._prune()
        shares = sum(len(group.rows) for group in groups)
        return Progress(len(groups), shares, behind=len(groups) == self._batch)

    async def run_to_end(self, *, most: int = 1_000_000) -> Progress:
        """Fold until there is nothing left, or `most` groups are done."""
        groups = shares = 0
        while True:
            step = await self.run_once()
            groups += step.groups
            shares += step.shares
            if not step.behind or groups >= most:
                return Progress(groups, shares, step.behind)

    async def rebuild(self) -> None:
        """Forget the statistics; the next steps fold them again from the oldest group."""
        async with self._store.begin() as tx:
            await self._lock(tx)
            await Statistics().reset(tx, self._pool_id)
            await tx.execute(
                delete(fold_checkpoint).where(
                    fold_checkpoint.c.pool_id == self._pool_id,
                    fold_checkpoint.c.fold == Statistics.name,
                )
            )

    async def _prune(self) -> None:
        """Now and then, drop slices that have grown too old."""
        now_ms = self._clock.now_ms()
        if now_ms - self._pruned_ms < PRUNE_MS:
            return
        self._pruned_ms = now_ms
        async with self._store.begin() as tx:
            await prune(tx, now_ms=now_ms)

    async def _fold(
        self, tx: Tx, folder: Folder, groups: Sequence[DecodedGroup], position: int
    ) -> None:
        fresh = [group for group in groups if group.position.group > position]
        if not fresh:
            return
        await folder.fold(tx, self._pool_id, fresh, after=position)
        checkpoint = fold_checkpoint.c
        await tx.execute(
            update(fold_checkpoint)
            .where(checkpoint.pool_id == self._pool_id, checkpoint.fold == folder.name)
            .values(
                position=fresh[-1].position.group,
                group_hash=fresh[-1].group.hash.hex(),
                groups=checkpoint.groups + len(fresh),
                shares=checkpoint.shares + sum(len(group.rows) for group in fresh),
                updated_ms=self._clock.now_ms(),
            )
        )

    async def _positions(self, tx: Tx) -> dict[str, int]:
        rows = {row.fold: row.position for row in await checkpoints(tx, self._pool_id)}
        newest = max(rows.values(), default=0)
        return {
            folder.name: newest if folder.from_now else rows.get(folder.name, 0)
            for folder in self._folders
        }

    async def _lock(self, tx: Tx) -> dict[str, int]:
        """Make and lock the checkpoint rows, and read them."""
        rows = [
            {"pool_id": self._pool_id, "fold": folder.name, "updated_ms": 0, **_START}
            for folder in sorted(self._folders, key=lambda folder: folder.name)
        ]
        await tx.execute(insert_or_ignore(tx, fold_checkpoint), rows)
        await tx.execute(
            select(fold_checkpoint.c.fold)
            .where(fold_checkpoint.c.pool_id == self._pool_id)
            .order_by(fold_checkpoint.c.fold)
            .with_for_update()
        )
        return await self._positions(tx)

    async def _check_log(self) -> None:
        """Once a process: the last folded group must still be where it was."""
        async with self._store.read() as tx:
            rows = await checkpoints(tx, self._pool_id)
        for row in rows:
            if not row.position:
                continue
            found = await self._log.groups(self._pool_id, Position(row.position - 1, 0), 1)
            if not found or found[0].group.hash.hex() != row.group_hash:
                raise LogReplacedError(
                    f"the share log of {self._pool_id} is not the one that was folded; "
                    "restore it, or start with a new database",
                    position=row.position,
                )
        self._checked = True


async def checkpoints(tx: Tx, pool_id: str) -> Sequence[Row[tuple[object, ...]]]:
    """All checkpoints of a pool."""
    query = select(fold_checkpoint).where(fold_checkpoint.c.pool_id == pool_id)
    return (await tx.execute(query)).all()
