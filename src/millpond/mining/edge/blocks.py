"""Blocks that shares found: to every daemon at once, kept until one has answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from millpond.errors import MillpondError
from millpond.mining.sharelog.backend import NewCandidate
from millpond.mining.sharelog.writer import ShareLogWriter
from millpond.mining.work.block import assemble_block, block_hash
from millpond.mining.work.job import Job
from millpond.mining.work.validate import Accepted, Submission

log = structlog.get_logger("edge.blocks")

_MAX_UNDER_WAY = 256
_MAX_AGAIN = 4
"""Blocks submitted again side by side: daemons refuse more than a few calls at a time."""


class SubmitAnswer(Protocol):
    """One daemon's word on a block."""

    @property
    def endpoint(self) -> str:
        """The daemon."""

    @property
    def accepted(self) -> bool | None:
        """Its verdict; None if it settles nothing."""

    @property
    def beside(self) -> bool:
        """It holds the block, but another one of that height is in its best chain."""

    @property
    def reason(self) -> str:
        """Its words."""


class BlockSink(Protocol):
    """The coin's daemons; `millpond.chains.bitcoin.daemons.DaemonSet` is one."""

    async def submit_block(self, block_hex: str) -> Sequence[Any]:
        """Give the block to all of them and collect a `SubmitAnswer` of each."""


class BlockSubmitter:
    """Submits blocks, keeps them beside the log, submits them again when in doubt.

    Attributes:
        found: Blocks found since the start.
        accepted: Of these, accepted by a daemon.
        rejected: Of these, refused by all that gave an answer.
    """

    def __init__(self, sink: BlockSink, *, on_settled: Callable[[], None]) -> None:
        self._sink = sink
        self._on_settled = on_settled
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._unkept: dict[str, NewCandidate] = {}
        self._unsettled = False
        self.writer: ShareLogWriter | None = None
        self.found = 0
        self.accepted = 0
        self.rejected = 0

    def found_block(  # noqa: PLR0917 - the server's callback
        self,
        job: Job,
        extranonce1: bytes,
        submission: Submission,
        verdict: Accepted,
        worker: str,
        now_ms: int,
        logged: bool,  # noqa: FBT001
    ) -> None:
        """A share met the network target; called right after its append, taken or not."""
        writer = self._log()
        name = block_hash(verdict.header)
        coinbase = job.coinbase(extranonce1, submission.extranonce2)
        block = assemble_block(job, coinbase, verdict.header)
        candidate = NewCandidate(name, job.height, worker, now_ms, block)
        self.found += 1
        self._begin(candidate, new=True)
        if logged:
            # Without its share in the log the block is taken up from the candidates later.
            writer.mark_block(
                name, job.height, job.template.coinbase_value, job.network_difficulty, now_ms
            )
        log.info("block_found", block_hash=name, height=job.height, worker=worker)

    async def submit_open(self) -> None:
        """Submit again what no daemon has settled, from before a crash or in an outage."""
        self._unsettled = False
        for candidate in list(self._unkept.values()):
            await self._keep(candidate)
        for candidate in await self._log().open_candidates():
            if len(self._under_way) >= _MAX_AGAIN:
                # A daemon that comes back is not flooded; the rest follows.
                self._unsettled = True
                return
            if candidate.block_hash not in self._under_way:
                log.warning("block_again", block_hash=candidate.block_hash)
                self._begin(candidate, new=False)

    @property
    def unsettled(self) -> bool:
        """Some block waits for a daemon's answer."""
        return self._unsettled

    async def finish(self, timeout_s: float) -> None:
        """Let submissions under way end; those that do not are found again at the next start."""
        tasks = list(self._under_way.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _begin(self, candidate: NewCandidate, *, new: bool) -> None:
        name = candidate.block_hash
        if len(self._under_way) < _MAX_UNDER_WAY:
            work = self._submit(candidate, new=new)
        else:
            # The daemons are far behind; the block is kept and submitted later.
            self._unsettled = True
            work = self._keep(candidate)
        task = asyncio.create_task(work, name=f"submit-{name[-8:]}")
        self._under_way[name] = task
        task.add_done_callback(lambda _: self._under_way.pop(name, None))

    async def _submit(self, candidate: NewCandidate, *, new: bool) -> None:
        keeping = asyncio.create_task(self._keep(candidate)) if new else None
        answers: Sequence[SubmitAnswer] = await self._sink.submit_block(candidate.block.hex())
        if keeping is not None:
            await keeping
        state = _state(answers)
        words = "; ".join(f"{a.endpoint}: {a.reason or 'accepted'}" for a in answers)[:1000]
        if state == "accepted":
            self.accepted += 1
            log.info("block_accepted", block_hash=candidate.block_hash, answers=words)
        elif state == "rejected":
            self.rejected += 1
            log.error("block_rejected", block_hash=candidate.block_hash, answers=words)
        elif state == "beside":
            # Whether it is in the chain after all is for whoever follows the chain.
            log.warning("block_beside", block_hash=candidate.block_hash, answers=words)
        else:
            self._unsettled = True
            log.error("block_unsettled", block_hash=candidate.block_hash, answers=words)
        self._on_settled()
        try:
            await self._log().update_candidate(candidate.block_hash, state, words)
        except MillpondError as error:
            log.warning("block_state_not_kept", code=error.code, reason=error.message)

    async def _keep(self, candidate: NewCandidate) -> None:
        try:
            await self._log().store_candidate(candidate)
        except MillpondError as error:
            log.error("block_not_kept", code=error.code, reason=error.message)  # noqa: TRY400
            if len(self._unkept) < _MAX_UNDER_WAY:
                # Kept when the database answers again, to be credited from there.
                self._unkept[candidate.block_hash] = candidate
                self._unsettled = True
        else:
            self._unkept.pop(candidate.block_hash, None)

    def _log(self) -> ShareLogWriter:
        assert self.writer is not None, "the edge sets the writer before it listens"
        return self.writer


def _state(answers: Sequence[SubmitAnswer]) -> str:
    verdicts = [answer.accepted for answer in answers]
    if True in verdicts:
        return "accepted"
    if any(answer.beside for answer in answers):
        return "beside"
    return "unknown" if None in verdicts or not verdicts else "rejected"
