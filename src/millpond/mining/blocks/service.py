"""Following blocks on the chain, and booking what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import structlog

from millpond.chains.bitcoin.daemons import SubmitResult
from millpond.chains.bitcoin.errors import RpcNotFoundError
from millpond.chains.bitcoin.health import Tip
from millpond.chains.coins import Coin
from millpond.clock import Clock
from millpond.mining.blocks import rows
from millpond.mining.blocks.adoption import CandidateSource, adopt
from millpond.mining.blocks.crediting import (
    Split,
    WindowSource,
    lines_of,
    reserve_lines,
    resolve_lines,
    split_reward,
)
from millpond.mining.blocks.model import LOST, Block, BlockState, Credit
from millpond.mining.blocks.rounds import TOPIC, block_event
from millpond.mining.blocks.rules import ChainView, Decision, Submission, decide
from millpond.mining.blocks.settings import BlockSettings
from millpond.mining.rewards import RewardSettings
from millpond.money.ledger import Ledger
from millpond.store import Store, Tx
from millpond.store.events import publish

_log = structlog.get_logger(__name__)

_LAGGING = ("prev-blk-not-found", "bad-prevblk-unknown")
"""Refusals that only say that the daemon is behind."""


class Chain(Protocol):
    """What is asked of the daemons: `millpond.chains.bitcoin.daemons.DaemonSet`."""

    async def tip(self) -> Tip:
        """The best block."""

    async def get_block_header(self, block_hash: str) -> dict[str, Any]:
        """A header with `confirmations`."""

    async def submit_block(self, block_hex: str) -> list[SubmitResult]:
        """Give a block to all daemons."""


class Log(WindowSource, CandidateSource, Protocol):
    """What is asked of the share log."""


class Blocks:
    """Follows the blocks of one pool.

    Any number of processes may: each transition locks the block's row and
    gives way if another was quicker.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        log: Log,
        chain: Chain,
        *,
        coin: Coin,
        clock: Clock,
        pool_id: str,
        rewards: RewardSettings,
        settings: BlockSettings | None = None,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._log = log
        self._chain = chain
        self._coin = coin
        self._clock = clock
        self._pool_id = pool_id
        self._rewards = rewards
        self._settings = settings or BlockSettings()

    async def run_once(self) -> int:
        """Look once at every block that is not done with; returns how many those are.

        Raises:
            RpcError: No daemon answers; nothing was changed for the blocks left.
        """
        await adopt(
            self._store,
            self._log,
            self._coin,
            pool_id=self._pool_id,
            settings=self._settings,
            now_ms=self._clock.now_ms(),
        )
        tip = await self._chain.tip()
        async with self._store.read() as tx:
            blocks = await rows.followed(tx, self._pool_id, tip.height)
        moved = False
        for block in blocks:
            moved |= await self._follow(block, tip.height)
        if moved:
            async with self._store.begin() as tx:
                payload = {"kind": "confirmations", "pool_id": self._pool_id, "tip": tip.height}
                await publish(tx, TOPIC, payload, now_ms=self._clock.now_ms())
        return len(blocks)

    async def _follow(self, block: Block, tip_height: int) -> bool:
        """Take one block a step further; True if only its confirmations changed."""
        view = ChainView(tip_height, await self._confirmations(block.block_hash))
        submission = Submission(None, block.reason)
        buried = tip_height >= block.height + self._settings.give_up_depth
        if view.confirmations is None and block.state not in LOST and not buried:
            submission = await self._submit_again(block)
            view = ChainView(tip_height, await self._confirmations(block.block_hash))
        decision = decide(
            block.state,
            block.credit,
            view,
            submission,
            height=block.height,
            required=block.required,
            give_up_depth=self._settings.give_up_depth,
        )
        if decision.book == "credit":
            await self._credit(block, decision)
        elif decision.book:
            await self._resolve(block, decision)
        elif decision.state is not block.state:
            await self._move(block, decision)
        elif decision.confirmations != block.confirmations:
            async with self._store.begin() as tx:
                if await self._unchanged(tx, block):
                    now_ms = self._clock.now_ms()
                    shown = decision.confirmations
                    await rows.change(tx, block.block_hash, now_ms, confirmations=shown)
            return True
        return False

    async def _confirmations(self, block_hash: str) -> int | None:
        try:
            header = await self._chain.get_block_header(block_hash)
        except RpcNotFoundError:
            return None
        return max(int(header["confirmations"]), 0)

    async def _submit_again(self, block: Block) -> Submission:
        candidate = await self._log.candidate(block.block_hash)
        if candidate is None:
            return Submission(None, "the block itself was not kept")
        results = await self._chain.submit_block(bytes(candidate.block).hex())
        _log.info(
            "block_submitted_again",
            block_hash=block.block_hash,
            results=[(r.endpoint, r.verdict.value, r.reason) for r in results],
        )
        async with self._store.begin() as tx:
            now_ms = self._clock.now_ms()
            submissions = (await rows.locked(tx, block.block_hash)).submissions + 1
            await rows.change(tx, block.block_hash, now_ms, submissions=submissions)
        return submission_of(results)

    async def _unchanged(self, tx: Tx, block: Block) -> bool:
        """Lock the row; False if another process has moved the block meanwhile."""
        now = await rows.locked(tx, block.block_hash)
        return (now.state, now.credit, now.credit_round) == (
            block.state,
            block.credit,
            block.credit_round,
        )

    async def _move(self, block: Block, decision: Decision, **values: Any) -> None:
        async with self._store.begin() as tx:
            if await self._unchanged(tx, block):
                await self._write(tx, block, decision, **values)

    async def _write(self, tx: Tx, block: Block, decision: Decision, **values: Any) -> None:
        """Change the row and tell; the last thing in a transaction."""
        now_ms = self._clock.now_ms()
        if decision.state is not block.state:
            values["state_ms"] = now_ms
        await rows.change(
            tx,
            block.block_hash,
            now_ms,
            state=decision.state.value,
            reason=decision.reason,
            confirmations=decision.confirmations,
            **values,
        )
        event = block_event(
            msgspec.to_builtins(block),
            decision.state,
            confirmations=decision.confirmations,
            required=block.required,
            reason=decision.reason,
        )
        await publish(tx, TOPIC, event, now_ms=now_ms)
        if decision.state in LOST:
            notice = {**event, "kind": f"block_{decision.state.value}"}
            await publish(tx, "alerts", notice, now_ms=now_ms)
        _log.info(
            "block_moved",
            block_hash=block.block_hash,
            before=block.state.value,
            after=decision.state.value,
            reason=decision.reason,
        )

    async def _credit(self, block: Block, decision: Decision) -> None:
        split = await self._split(block)
        credit_round = block.credit_round + 1
        lines = lines_of(block, split.allocation, credit_round)
        async with self._store.begin() as tx:
            if not await self._unchanged(tx, block):
                return
            await reserve_lines(tx, self._ledger, block, lines, self._coin)
            await rows.add_lines(tx, lines)
            await self._write(
                tx,
                block,
                decision,
                credit=Credit.PENDING.value,
                credit_round=credit_round,
                terms=msgspec.to_builtins(split.terms),
                basis=split.record(),
            )

    async def _split(self, block: Block) -> Split:
        async with self._store.read() as tx:
            start = await rows.round_start(tx, block)
        # A block that comes back is credited by the terms that its miners were told.
        terms = self._rewards
        if block.terms is not None:
            terms = msgspec.convert(block.terms, RewardSettings)
        return await split_reward(self._log, block, terms, start)

    async def _resolve(self, block: Block, decision: Decision) -> None:
        posted = decision.state is BlockState.MATURE
        async with self._store.begin() as tx:
            if not await self._unchanged(tx, block):
                return
            lines = await rows.lines(tx, block.block_hash, block.credit_round)
            await resolve_lines(tx, self._ledger, lines, posted=posted)
            credit = Credit.POSTED if posted else Credit.VOID
            await self._write(tx, block, decision, credit=credit.value)


def submission_of(results: Sequence[SubmitResult]) -> Submission:
    """What all daemons together say of a block."""
    reason = "; ".join(dict.fromkeys(result.reason for result in results if result.reason))
    if any(result.accepted for result in results):
        return Submission(True, reason)
    behind = any(word in reason for word in _LAGGING)
    if results and not behind and all(result.accepted is False for result in results):
        return Submission(False, reason)
    return Submission(None, reason)
