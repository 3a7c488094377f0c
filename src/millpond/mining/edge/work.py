"""Keeps the miners supplied with jobs, from whatever the daemons say."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol

import structlog

from millpond.chains.coins import Coin
from millpond.clock import Clock
from millpond.errors import MillpondError
from millpond.mining.edge.settings import EdgeSettings
from millpond.mining.stratum import StratumServer
from millpond.mining.stratum.jobs import job_name
from millpond.mining.stratum.server import EXTRANONCE_SIZE
from millpond.mining.work.job import CoinbaseOutput, Job, build_job
from millpond.mining.work.template import Template

log = structlog.get_logger("edge.work")

_SALT_SIZE = 4
_BROUGHT_NS = 2_000_000_000


class TemplateSource(Protocol):
    """The coin's daemons; `millpond.chains.bitcoin.daemons.DaemonSet` is one."""

    async def get_block_template(self) -> dict[str, Any]:
        """The answer of `getblocktemplate`."""


class JobFeed:
    """Fetches templates, makes jobs, broadcasts them.

    A new job goes out when `poke` says that the template may have changed,
    and every `refresh_s`. While no daemon answers, the last job stays good
    for `template_max_age_s`; then it is withdrawn, because work on a block
    that somebody else has found long ago is worth nothing.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        coin: Coin,
        source: TemplateSource,
        script: bytes,
        server: StratumServer,
        clock: Clock,
        salt: bytes,
    ) -> None:
        assert len(salt) == _SALT_SIZE, "jobs of different processes differ by their salt"
        self._settings = settings
        self._coin = coin
        self._source = source
        self._outputs = [CoinbaseOutput(script)]
        self._server = server
        self._clock = clock
        self._salt = salt
        self._wanted = asyncio.Event()
        self._brought: tuple[dict[str, Any], int] | None = None
        self._fetched_ns: int | None = None
        self._failing = False
        self.failures = 0
        self.reason = "no template yet"
        self.template_ns = 0

    @property
    def age_s(self) -> float | None:
        """Seconds since the last template; None before the first."""
        if self._fetched_ns is None:
            return None
        return (self._clock.monotonic_ns() - self._fetched_ns) / 1e9

    def poke(self, template: dict[str, Any] | None = None) -> None:
        """The template may have changed: look at once, or take the one that the news brought."""
        if template is not None:
            self._brought = (template, self._clock.monotonic_ns())
        self._wanted.set()

    async def run(self) -> None:
        """Supply jobs until cancelled."""
        while True:
            self._wanted.clear()
            try:
                await self.refresh()
            except MillpondError as error:
                self._failed(error)
                await self._clock.sleep(self._settings.retry_s)
                continue
            await self._pause()

    async def refresh(self) -> Job:
        """Take or fetch a template and broadcast a job made of it.

        Raises:
            MillpondError: No daemon gives a template that a job can be made of.
        """
        started = self._clock.monotonic_ns()
        template = self._take_brought()
        if template is None:
            template = Template.from_gbt(await self._source.get_block_template(), self._coin)
        server = self._server
        serial = server.board.next_serial()
        # The salt and the number make every coinbase different, so that no
        # share is good for two jobs.
        tag = self._settings.tag.encode() + self._salt + (serial & 0xFFFFFFFF).to_bytes(4, "big")
        job = build_job(
            template,
            job_name(serial),
            self._outputs,
            tag=tag,
            extranonce_size=EXTRANONCE_SIZE,
        )
        current = server.board.current
        if current is not None and job.height < current.job.height:
            log.warning("chain_went_back", height=job.height, before=current.job.height)
        server.broadcast(job, serial)
        self._fetched_ns = self._clock.monotonic_ns()
        self.template_ns = self._fetched_ns - started
        if self._failing:
            log.info("template_again", height=job.height)
        self._failing = False
        self.reason = ""
        return job

    def _take_brought(self) -> Template | None:
        """The template that came with the news, if it can only be an advance.

        Of several daemons the one behind a long poll may have fallen back
        meanwhile, and of two blocks of one height the daemons' order decides:
        then the template is fetched.

        Raises:
            MillpondError: No job can be made of it.
        """
        brought, self._brought = self._brought, None
        if brought is None or self._clock.monotonic_ns() - brought[1] > _BROUGHT_NS:
            return None
        template = Template.from_gbt(brought[0], self._coin)
        current = self._server.board.current
        if current is not None and template.prev_hash != current.job.prev_hash:
            return template if template.height > current.job.height else None
        return template

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.refresh_s):
                await self._wanted.wait()

    def _failed(self, error: MillpondError) -> None:
        self.failures += 1
        self.reason = error.message
        if not self._failing:
            log.error("no_template", code=error.code, reason=error.message)
        self._failing = True
        age = self.age_s
        board = self._server.board
        if age is not None and age > self._settings.template_max_age_s and board.current:
            board.withdraw()
            log.error("jobs_withdrawn", reason="no template for too long", age_s=round(age))
