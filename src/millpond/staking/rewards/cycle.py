"""The reward cycle: what a timer calls, as often as it likes.

One run of a pool holds its late epochs against the chain again and closes what can
be closed, an epoch a transaction, no more than `MAX_EPOCHS` in one run. Runs of a
direct pool are four minutes apart at least.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec
import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError, StatementError

from millpond.alerts import Alerts, Severity
from millpond.clock import Clock, Entropy
from millpond.money.errors import InsufficientFundsError
from millpond.risk import Function, RiskEngine
from millpond.staking.pools import PRODUCT, PoolKind, PoolState, StakingPool, get_pool, list_pools
from millpond.staking.rewards import rows
from millpond.staking.rewards.epochs import Epochs
from millpond.staking.rewards.model import Epoch
from millpond.staking.rewards.tables import run_table
from millpond.store import Store, Tx
from millpond.store.retry import retrying
from millpond.store.sql import insert_or_ignore

MIN_PAUSE_MS = 240_000
"""Shortest time between two runs of a direct pool that close epochs: four minutes, or four
fifths of an epoch that is shorter than five."""

MAX_EPOCHS = 288
"""Most epochs of a pool that one run closes: a day of five minutes each."""

BOOKS_ALERT = "rewards_books"

_DEFECTS = (AssertionError, ArithmeticError, LookupError, TypeError, ValueError)
_Result = TypeVar("_Result")
_log = structlog.get_logger("millpond.staking.rewards")


class Gate(Protocol):
    """What may hold rewards back, such as an emergency pause."""

    async def held_because(self, tx: Tx, pool: StakingPool) -> str | None:
        """Say why no epoch of the pool may be closed now; None: it may."""


class RiskGate:
    """Holds rewards back while a pause or a breaker of the risk engine holds them."""

    def __init__(self, risk: RiskEngine) -> None:
        self._risk = risk

    async def held_because(self, tx: Tx, pool: StakingPool) -> str | None:
        """The reason of whoever or whatever holds them."""
        hold = await self._risk.held(
            tx,
            Function.REWARDS,
            product=PRODUCT,
            pool_id=pool.pool_id,
            asset=pool.asset.code,
        )
        return None if hold is None else f"rewards are held: {hold.reason}"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did for one pool.

    Attributes:
        pool_id: The pool.
        closed: Epochs that it closed, oldest first.
        disputed: Epochs below which it found the chain changed.
        waits: Why it did not go on; empty if it did all that was due.
    """

    pool_id: str
    closed: list[int]
    disputed: list[int]
    waits: str


class RewardCycle:
    """Runs the epochs of all pools.

    Args:
        store: The database.
        epochs: Closes them.
        clock: Time.
        entropy: For pauses between tries.
        alerts: Where it is raised that an epoch cannot be booked.
        gate: What may hold rewards back.
    """

    def __init__(
        self,
        store: Store,
        epochs: Epochs,
        clock: Clock,
        entropy: Entropy,
        alerts: Alerts,
        *,
        gate: Gate | None = None,
    ) -> None:
        self._store = store
        self._epochs = epochs
        self._clock = clock
        self._entropy = entropy
        self._alerts = alerts
        self._gate = gate

    async def run_all(self) -> list[Run]:
        """Run every pool that gives rewards."""
        async with self._store.read() as tx:
            pools = await list_pools(tx)
        due = [p for p in pools if p.rewards_contract and p.state is PoolState.ACTIVE]
        return [await self.run(pool.pool_id) for pool in due]

    async def run(self, pool_id: str) -> Run:
        """Run one pool."""
        if not await self._in_transaction(self._has_turn, pool_id):
            return Run(pool_id=pool_id, closed=[], disputed=[], waits="ran a moment ago")
        disputed = await self._in_transaction(self._epochs.check_again, pool_id)
        closed: list[int] = []
        waits = ""
        while not waits and len(closed) < MAX_EPOCHS:
            epoch, waits = await self._close(pool_id)
            if epoch is None:
                break
            closed.append(epoch.epoch)
        if closed:
            await self._in_transaction(self._took_turn, pool_id)
        if closed and not waits:
            async with self._store.begin() as tx:
                await self._alerts.clear(tx, BOOKS_ALERT, f"pool:{pool_id}")
        return Run(
            pool_id=pool_id,
            closed=closed,
            disputed=[epoch.epoch for epoch in disputed],
            waits=waits,
        )

    async def _close(self, pool_id: str) -> tuple[Epoch | None, str]:
        try:
            return await self._in_transaction(self._close_unless_held, pool_id)
        except InsufficientFundsError as error:
            await self._alert(pool_id, error.message)
            return None, "the books hold less in reserve than the chain says"
        except DBAPIError:
            raise
        except (StatementError, *_DEFECTS) as error:
            # Such as a token of which there is more than books can count. It is this pool's,
            # and must not stop the rewards of the others.
            _log.exception("epoch_cannot_be_closed", pool=pool_id)
            await self._alert(pool_id, f"its epoch cannot be closed: {type(error).__name__}")
            return None, "its epoch cannot be closed; see the alert and the log"

    async def _close_unless_held(self, tx: Tx, pool_id: str) -> tuple[Epoch | None, str]:
        """Ask what may hold rewards back in the transaction that gives them."""
        held = await self._held(tx, pool_id)
        return (None, held) if held else (await self._epochs.close_next(tx, pool_id), "")

    async def _in_transaction(
        self, work: Callable[[Tx, str], Awaitable[_Result]], pool_id: str
    ) -> _Result:
        async def one(tx: Tx) -> _Result:
            return await work(tx, pool_id)

        return await retrying(self._store, one, clock=self._clock, entropy=self._entropy)

    async def _held(self, tx: Tx, pool_id: str) -> str:
        disputed = await rows.first_disputed(tx, pool_id)
        if disputed is not None:
            return f"epoch {disputed} is disputed; somebody has to look and accept it"
        if self._gate is None:
            return ""
        return await self._gate.held_because(tx, await get_pool(tx, pool_id)) or ""

    async def _alert(self, pool_id: str, why: str) -> None:
        async with self._store.begin() as tx:
            await self._alerts.raise_(
                tx,
                BOOKS_ALERT,
                f"pool:{pool_id}",
                Severity.CRITICAL,
                f"an epoch of {pool_id} cannot be booked: {why}",
            )

    async def _has_turn(self, tx: Tx, pool_id: str) -> bool:
        pool = await get_pool(tx, pool_id)
        last = select(run_table.c.last_run_ms).where(run_table.c.pool_id == pool_id)
        last_ms = (await tx.execute(last)).scalar()
        if pool.kind is not PoolKind.DIRECT or last_ms is None:
            return True
        pause_ms = min(MIN_PAUSE_MS, pool.epoch_s * 800)
        return not 0 <= self._clock.now_ms() - last_ms < pause_ms

    async def _took_turn(self, tx: Tx, pool_id: str) -> None:
        """Note a run that closed something; one that found nothing to close holds up no other."""
        await tx.execute(insert_or_ignore(tx, run_table).values(pool_id=pool_id, last_run_ms=0))
        where = run_table.c.pool_id == pool_id
        await tx.execute(update(run_table).where(where).values(last_run_ms=self._clock.now_ms()))
