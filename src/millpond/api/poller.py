"""One look at the database for all who watch.

Everything that live views show is read here once an interval, in one
snapshot; what changed is published. A page or a WebSocket never causes a
query, so a thousand watchers cost the database what one costs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy.exc import SQLAlchemyError

from millpond.api.hub import SNAPSHOT_TOPIC, WORKER_PREFIX, Hub
from millpond.api.models import Block, Payout, Pool, Reject, Stats, Worker, iso
from millpond.api.ports import Reads
from millpond.clock import Clock
from millpond.errors import MillpondError
from millpond.store import Store, Tx

ROWS = 25
_log = structlog.get_logger("millpond.api.poller")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What all live views show, as of one moment.

    Attributes:
        version: Grows by one when anything but the time changed.
        at_ms: When the database was read and something was new.
    """

    version: int
    at_ms: int
    pools: list[Pool]
    blocks: list[Block]
    payouts: list[Payout]
    workers: list[Worker]
    rejects: dict[str, list[Reject]]
    watched: dict[str, Worker] = field(default_factory=dict)

    @property
    def stats(self) -> Stats:
        """The answer of `/stats`."""
        return sum_stats(self.pools, self.at_ms)


def sum_stats(pools: list[Pool], at_ms: int) -> Stats:
    """Sum the pools that mine with the first pool's algorithm.

    Hashes of different algorithms do not add up; the others are in `pools`. Where nothing
    is mined all is zero, and there is no target.
    """
    first = pools[0] if pools else None
    same = [pool.stats for pool in pools if first and pool.proof_of_work == first.proof_of_work]

    def add(name: str) -> int:
        return sum(int(getattr(stats, name)) for stats in same)

    return Stats(
        total_miners=add("total_miners"),
        active_miners=add("active_miners"),
        total_workers=add("total_workers"),
        active_workers=add("active_workers"),
        total_shares_24h=add("total_shares_24h"),
        pool_hashrate=sum(stats.pool_hashrate for stats in same),
        current_target=first.stats.current_target if first else "",
        at=iso(at_ms),
        pools=[pool.stats for pool in pools],
    )


class Poller:
    """Reads, compares, publishes."""

    def __init__(
        self, store: Store, reads: Reads, hub: Hub, clock: Clock, interval_s: float
    ) -> None:
        self._store = store
        self._reads = reads
        self._hub = hub
        self._clock = clock
        self._interval_s = interval_s
        self._snapshot: Snapshot | None = None
        self._lock = asyncio.Lock()

    async def snapshot(self) -> Snapshot:
        """The latest look; the first caller of a process waits for one."""
        if self._snapshot is None:
            async with self._lock:
                if self._snapshot is None:
                    await self.look()
        assert self._snapshot is not None
        return self._snapshot

    async def run(self) -> None:
        """Look again and again until cancelled. A failing database is waited out."""
        while True:
            look = asyncio.ensure_future(self._try())
            try:
                await asyncio.shield(look)
            except asyncio.CancelledError:
                # A query cut off in the middle would lose its connection.
                await look
                raise
            await self._clock.sleep(self._interval_s)

    async def _try(self) -> None:
        try:
            await self.look()
        except (SQLAlchemyError, MillpondError, OSError) as error:
            _log.warning("poll_failed", error=type(error).__name__)
        except Exception:  # noqa: BLE001 - see the next line
            # A defect must not end all later looks, nor wait for the shutdown to be seen.
            _log.exception("poll_failed")

    async def look(self) -> None:
        """Read once and publish what changed."""
        async with self._store.read() as tx:
            new = await self._read(tx)
        old = self._snapshot
        self._snapshot = new
        if old is None or old.version != new.version:
            self._publish(old, new)

    async def _read(self, tx: Tx) -> Snapshot:
        reads = self._reads
        at_ms = self._clock.now_ms()
        pools = await reads.pools(tx)
        blocks = await reads.blocks(tx, pool_id=None, limit=ROWS, cursor=None)
        payouts = await reads.payouts(tx, pool_id=None, wallet=None, limit=ROWS, cursor=None)
        workers = await reads.latest_workers(tx, limit=ROWS)
        rejects = {pool.id: await reads.rejects(tx, pool_id=pool.id, wallet=None) for pool in pools}
        names = self._hub.watched_workers()
        watched = await reads.workers_named(tx, names) if names else []
        new = Snapshot(
            version=0,
            at_ms=at_ms,
            pools=pools,
            blocks=blocks.items,
            payouts=payouts.items,
            workers=workers,
            rejects=rejects,
            watched={worker.worker: worker for worker in watched},
        )
        return _with_version(new, self._snapshot)

    def _publish(self, old: Snapshot | None, new: Snapshot) -> None:
        if old is None or old.pools != new.pools:
            self._hub.publish("stats", new.stats)
        if old is not None:
            # What was there when the process began is no news.
            _publish_rows(self._hub, "blocks", old.blocks, new.blocks)
            _publish_rows(self._hub, "payouts", old.payouts, new.payouts)
        known = old.watched if old else {}
        for name, worker in new.watched.items():
            if known.get(name) != worker:
                self._hub.publish(WORKER_PREFIX + name, worker)
        self._hub.publish(SNAPSHOT_TOPIC, new.version)


def _publish_rows(
    hub: Hub,
    topic: str,
    old: list[Block] | list[Payout],
    new: list[Block] | list[Payout],
) -> None:
    # Oldest first, so that ids grow with the time of what they tell.
    for row in reversed(new):
        if row not in old:
            hub.publish(topic, row)


def _with_version(new: Snapshot, old: Snapshot | None) -> Snapshot:
    """Number a snapshot; one that shows nothing new is the old one."""
    if old is None:
        return replace(new, version=1)
    if replace(new, version=old.version, at_ms=old.at_ms) == old:
        return old
    return replace(new, version=old.version + 1)
