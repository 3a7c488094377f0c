"""The edge as one thing that starts, runs and stops."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol

import msgspec
import structlog

from millpond.chains.bitcoin.address import canonical_address, script_pubkey
from millpond.chains.coins import Coin
from millpond.clock import Clock, Entropy
from millpond.errors import MillpondError
from millpond.mining.edge.blocks import BlockSink, BlockSubmitter
from millpond.mining.edge.settings import EdgeSettings
from millpond.mining.edge.work import JobFeed, TemplateSource
from millpond.mining.sharelog.opening import open_backend
from millpond.mining.sharelog.writer import ShareLogWriter
from millpond.mining.stratum import StratumServer

log = structlog.get_logger("edge")

_CHECK_S = 2.0
_FINISH_S = 10.0


class Daemons(TemplateSource, BlockSink, Protocol):
    """The coin's daemons; `millpond.chains.bitcoin.daemons.DaemonSet` is one."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The edge at a moment.

    Attributes:
        connections: Open now.
        miners: Of these, subscribed and authorized.
        accepted: Shares stored and acknowledged since the start.
        rejected: Shares refused since the start, by reason.
        shares_per_s: Stored a second, over the last few seconds.
        height: Of the current job, 0 if there is none.
        sequence: Of the newest group of the log.
        blocks_found: Since the start.
        not_ready: Why miners cannot mine now; empty if they can.
    """

    connections: int
    miners: int
    accepted: int
    rejected: dict[str, int]
    shares_per_s: float
    height: int
    sequence: int
    blocks_found: int
    not_ready: tuple[str, ...]


class Edge:
    """See the module. Belongs to one event loop.

    Args:
        settings: What to do.
        coin: What is mined.
        daemons: Where templates come from and blocks go to.
        payout_address: What blocks pay; see `pool_address`.
        clock: Time.
        entropy: Randomness.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        coin: Coin,
        daemons: Daemons,
        payout_address: str,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self.settings = settings
        self.coin = coin
        self.ports: tuple[int, ...] = ()
        self._clock = clock
        self.blocks = BlockSubmitter(daemons, on_settled=self.poke)
        self.writer = ShareLogWriter(
            open_backend(settings.pool_id, settings.edge, settings.sharelog),
            pool_id=settings.pool_id,
            edge=settings.edge,
            clock=clock,
            settings=settings.sharelog,
            on_commit=self._on_commit,
        )
        self.blocks.writer = self.writer
        self.server = StratumServer(
            coin=coin,
            log=self.writer,
            on_block=self.blocks.found_block,
            check_worker=self._check_worker,
            clock=clock,
            entropy=entropy,
            limits=settings.limits,
            difficulty=settings.vardiff,
            extranonce_prefix=settings.extranonce_prefix,
        )
        self.feed = JobFeed(
            settings,
            coin=coin,
            source=daemons,
            script=script_pubkey(payout_address, coin),
            server=self.server,
            clock=clock,
            salt=entropy.token(4),
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self._rate_from = (0, 0)
        self._rate = 0.0

    async def start(self) -> None:
        """Take the share log, begin to fetch work and open the ports.

        Raises:
            ShareLogTakenError: Another process is this edge already.
            ShareLogUnavailableError: The log's database does not answer.
            OSError: A port is taken.
        """
        await self.writer.start()
        await self.blocks.submit_open()
        self._tasks = [
            asyncio.create_task(self.feed.run(), name="edge-feed"),
            asyncio.create_task(self._watch(), name="edge-watch"),
        ]
        try:
            self.ports = tuple([await self.server.listen(p) for p in self.settings.listeners])
        except OSError:
            await self.stop()
            raise
        log.info("edge_listening", ports=self.ports, sequence=self.writer.head.sequence)

    def poke(self) -> None:
        """The template may have changed; safe to call as often as one likes."""
        self.feed.poke()

    def not_ready(self) -> list[str]:
        """Why miners cannot mine now; empty if they can."""
        reasons = []
        if not self.ports:
            reasons.append("no port is open")
        if not self.writer.available:
            failure = self.writer.failure
            reasons.append(failure.message if failure else "the share log cannot be written")
        if self.server.board.current is None:
            reasons.append(self.feed.reason or "there is no job")
        reasons.extend(f"{task.get_name()} has ended" for task in self._tasks if task.done())
        return reasons

    def snapshot(self) -> Snapshot:
        """The edge's figures now."""
        current = self.server.board.current
        return Snapshot(
            connections=self.server.connections,
            miners=self.server.miners,
            accepted=self.server.stats.accepted,
            rejected=dict(self.server.stats.rejected),
            shares_per_s=self._rate,
            height=0 if current is None else current.job.height,
            sequence=self.writer.head.sequence,
            blocks_found=self.blocks.found,
            not_ready=tuple(self.not_ready()),
        )

    async def stop(self) -> None:
        """Stop accepting, store and answer what waits, hand over blocks, close.

        A second call does nothing.
        """
        if self._stopped:
            return
        self._stopped = True
        self.server.stop_accepting()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.writer.flush()
        await self.blocks.finish(_FINISH_S)
        await self.writer.stop()
        await self.server.close()
        log.info("edge_stopped", sequence=self.writer.head.sequence)

    def _on_commit(self, waiters: list[Any], error: MillpondError | None) -> None:
        self.server.on_commit(waiters, error)

    def _check_worker(self, name: str) -> str:
        """The part before the first dot is an address of the coin; it is kept canonically.

        Two writings of one address would be two balances.
        """
        wallet, dot, worker_name = name.partition(".")
        return canonical_address(wallet, self.coin) + dot + worker_name

    async def _watch(self) -> None:
        """Measure the rate, ask for jobs when due, bring unsettled blocks in."""
        while True:
            await self._clock.sleep(_CHECK_S)
            now, stored = self._clock.monotonic_ns(), self.writer.shares
            before, had = self._rate_from
            self._rate = (stored - had) * 1e9 / max(now - before, 1) if before else 0.0
            self._rate_from = (now, stored)
            if self.server.board.crowded:
                self.poke()
            if self.blocks.unsettled:
                with contextlib.suppress(MillpondError):
                    await self.blocks.submit_open()
