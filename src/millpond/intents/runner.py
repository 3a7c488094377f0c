"""The loop that claims intents and takes each as far as it will go.

The rules, in the order in which they keep a thing from happening twice:
the body is stored before it is sent; `sending` is written before the first
byte leaves; in `sending` the next act is always a look-up; only when look-ups
have found nothing for the whole of the patience are the same bytes sent
again; what was sent is never given up by a machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from millpond.errors import MillpondError
from millpond.intents import latency, rows
from millpond.intents.errors import LeaseLostError
from millpond.intents.faults import Faults, NoFaults
from millpond.intents.handler import (
    Accepted,
    Confirmed,
    Conflicted,
    FreezeError,
    Handler,
    LookUpResult,
    NotFound,
    NotReadyError,
    Pending,
    Prepared,
    RefusedError,
    Rejected,
    SendResult,
    Unknown,
)
from millpond.intents.model import STRAY_MS, Intent, IntentState, Policy, backoff_ms
from millpond.intents.service import Intents
from millpond.store import Tx

_log = structlog.get_logger(__name__)
_S = IntentState

_Money: TypeAlias = Callable[[Tx, Intent], Awaitable[None]]

_MAX_DATABASE_FAILURES = 60
"""Failures of the database in a row that `run` waits out."""


class Runner:
    """One worker. Any number may run, on any number of machines.

    Args:
        intents: The intents to work on.
        handlers: One for each kind that this worker looks after.
        worker_id: Name of this worker, unique among all that run.
        lanes: Only intents of lanes that begin so, such as those of one chain.
        faults: Only tests pass something.
    """

    def __init__(
        self,
        intents: Intents,
        handlers: Iterable[Handler],
        worker_id: str,
        *,
        lanes: str = "",
        faults: Faults | None = None,
    ) -> None:
        self._intents = intents
        self._lanes = lanes
        self._clock = intents.clock
        self._handlers = {handler.kind: handler for handler in handlers}
        self._worker = worker_id
        self._faults: Faults = faults or NoFaults()

    async def run(self, stop: asyncio.Event, *, idle_s: float = 0.5) -> None:
        """Work until `stop` is set; look again every `idle_s` when nothing is due."""
        failures = 0
        while not stop.is_set():
            try:
                worked = await self.run_once()
                failures = 0
            except SQLAlchemyError as error:
                failures += 1
                _log.warning("intents_database_failed", error=str(error)[:300], failures=failures)
                if failures >= _MAX_DATABASE_FAILURES:
                    raise
                worked = False
            if not worked:
                await self._idle(stop, idle_s * min(10, 1 + failures))

    async def run_once(self) -> bool:
        """Claim one intent and take it as far as it goes; False when none was due."""
        intent = await self._claim()
        if intent is None:
            return False
        self._faults.reach("claimed")
        try:
            await self._advance(intent)
        except LeaseLostError:
            latency.LEASES_LOST.inc()
            _log.warning("intent_lease_lost", intent=intent.id, worker=self._worker)
        return True

    async def _idle(self, stop: asyncio.Event, seconds: float) -> None:
        waits = {
            asyncio.ensure_future(stop.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _claim(self) -> Intent | None:
        for kind, handler in self._handlers.items():
            async with self._intents.store.begin() as tx:
                claimed = await rows.claim(
                    tx,
                    [kind],
                    self._worker,
                    self._clock.now_ms(),
                    handler.policy,
                    lanes=self._lanes,
                )
                if claimed is not None:
                    self._faults.reach("claiming")
                    return claimed
        return None

    async def _advance(self, intent: Intent) -> None:
        """Take a claimed intent as far as it goes, and let it go."""
        policy = self._policy(intent)
        if intent.tries > policy.max_tries:
            await self._freeze(intent, f"no progress in {policy.max_tries} tries")
            return
        try:
            if intent.state is _S.CREATED:
                signed = await self._prepare(intent)
                if signed is None:
                    return
                intent = signed
            await self._step(intent)
        except LeaseLostError:
            raise
        except FreezeError as error:
            await self._freeze(intent, error.message)
        except NotReadyError as error:
            due_ms = self._clock.now_ms() + policy.poll_ms
            await self._let_go(intent, due_ms, reason=error.message, tries=0)
        except MillpondError as error:
            await self._back_off(intent, error.message)
        except TimeoutError:
            await self._back_off(intent, "no answer in time")

    async def _step(self, intent: Intent) -> None:
        if intent.state is _S.SIGNED:
            await self._first_send(intent)
            return
        found = await self._look_up(intent)
        if isinstance(found, NotFound):
            await self._missing(intent)
        else:
            await self._found(intent, found)

    # -- the steps -------------------------------------------------------------

    async def _prepare(self, intent: Intent) -> Intent | None:
        if intent.expired(intent.locked_ms or 0):
            await self._fail(intent, "its time was over before it was prepared")
            return None
        handler = self._handlers[intent.kind]
        try:
            async with self._timeout(intent):
                prepared = await handler.prepare(intent)
        except RefusedError as error:
            await self._fail(intent, error.message)
            return None
        self._faults.reach("prepared")
        try:
            return await self._store_signed(intent, prepared)
        except IntegrityError:
            raise FreezeError("what was signed is already the body of another intent") from None

    async def _store_signed(self, intent: Intent, prepared: Prepared) -> Intent:
        assert prepared.body, "there is something to send"
        assert prepared.identity, "what is sent has a name"
        return await self._move(
            intent,
            _S.SIGNED,
            "signed and stored",
            during="signing",
            after="signed",
            body=prepared.body,
            identity=prepared.identity,
            details=prepared.details,
            round=intent.round + 1,
            tries=1,
        )

    async def _first_send(self, intent: Intent) -> None:
        """Send a stored body that was never sent; one that is too late only after asking."""
        assert not intent.was_sent, "a signed intent was not sent"
        if not intent.expired(self._clock.now_ms()):
            await self._send(intent)
            return
        found = await self._look_up(intent)
        if isinstance(found, NotFound):
            await self._fail(intent, "its time was over before it was sent")
        else:
            await self._found(intent, found)

    async def _send(self, intent: Intent) -> None:
        """Write that it may happen, then send the stored bytes."""
        policy = self._policy(intent)
        if intent.sends >= policy.max_sends:
            await self._freeze(intent, f"sent {intent.sends} times without effect")
            return
        marked = await self._mark_sending(intent)
        try:
            async with self._timeout(intent):
                result: SendResult = await self._handlers[intent.kind].send(marked)
        except TimeoutError:
            result = Unknown("no answer in time")
        except MillpondError as error:
            result = Unknown(error.message)
        self._faults.reach("sent")
        match result:
            case Accepted():
                await self._seen(marked, _S.SENT, "accepted")
            case Rejected(reason):
                await self._rejected(marked, reason)
            case Unknown(reason):
                await self._back_off(marked, reason)

    async def _mark_sending(self, intent: Intent) -> Intent:
        values = {"sends": intent.sends + 1, "asked_ms": 0, "refused": ""}
        if intent.state is not _S.SENDING:
            return await self._move(
                intent, _S.SENDING, "sending", during="marking", after="marked", **values
            )
        async with self._intents.store.begin() as tx:
            marked = await rows.write(tx, intent, values)
            self._faults.reach("marking")
        self._faults.reach("marked")
        return marked

    async def _rejected(self, intent: Intent, reason: str) -> None:
        """Note a refusal; it settles nothing by itself.

        A first refusal is held against look-ups for the whole of the patience
        and then waits for a person. After a second sending it is only one more
        failure: the first may have arrived.
        """
        now_ms = self._clock.now_ms()
        if intent.sends > 1:
            await self._back_off(intent, reason, refused=reason)
        else:
            await self._let_go(intent, now_ms, reason=reason, refused=reason)

    async def _missing(self, intent: Intent) -> None:
        """A body that was sent is not known: wait out the patience, then send it again."""
        policy, now_ms = self._policy(intent), self._clock.now_ms()
        if not intent.asked_ms or intent.asked_ms > now_ms + STRAY_MS:
            await self._let_go(
                intent,
                now_ms + policy.patience_ms,
                reason="not known outside; waiting before it is sent again",
                asked_ms=now_ms,
            )
        elif now_ms < intent.asked_ms + policy.patience_ms:
            await self._let_go(intent, intent.asked_ms + policy.patience_ms)
        elif intent.refused and intent.sends == 1 and intent.state is _S.SENDING:
            # The bytes have left this machine and stay valid: somebody may still bring them in.
            await self._freeze(intent, f"refused: {intent.refused}")
        else:
            await self._send(intent)

    async def _found(self, intent: Intent, found: LookUpResult) -> None:
        match found:
            case Confirmed(depth):
                assert depth >= 1, "a confirmed effect is at least one deep"
                if depth >= self._policy(intent).settle_depth:
                    await self._settle(intent, found)
                else:
                    await self._seen(intent, _S.CONFIRMED, "effective", depth=depth)
            case Pending():
                await self._seen(intent, _S.SENT, "known outside")
            case Conflicted(reason):
                await self._freeze(intent, reason)
            case NotFound():
                raise AssertionError("what was not found is not found here")

    # -- writing ---------------------------------------------------------------

    async def _seen(
        self, intent: Intent, state: IntentState, reason: str, *, depth: int = 0
    ) -> None:
        """Write that the outside world knows it, and let it go until the next look."""
        due_ms = self._clock.now_ms() + self._policy(intent).poll_ms
        values: dict[str, Any] = {
            **rows.unlocked(),
            "depth": depth,
            "tries": 0,
            "asked_ms": 0,
            "refused": "",
            "due_ms": due_ms,
        }
        if intent.state is state:
            await self._put(intent, {**values, "reason": reason})
        else:
            await self._move(intent, state, reason, during="answering", after="answered", **values)

    async def _settle(self, intent: Intent, outcome: Confirmed) -> None:
        handler = self._handlers[intent.kind]

        async def book(tx: Tx, after: Intent) -> None:
            await handler.settle(tx, after, outcome)

        await self._end(intent, _S.SETTLED, "effective and final", book, depth=outcome.depth)

    async def _fail(self, intent: Intent, reason: str) -> None:
        handler = self._handlers[intent.kind]

        async def give_back(tx: Tx, after: Intent) -> None:
            await handler.release(tx, after, reason)

        await self._end(intent, _S.FAILED, reason, give_back, depth=intent.depth)

    async def _end(
        self, intent: Intent, state: IntentState, reason: str, money: _Money, *, depth: int
    ) -> None:
        async with self._intents.store.begin() as tx:
            after = await rows.move(
                tx,
                intent,
                state,
                now_ms=self._clock.now_ms(),
                actor=self._worker,
                reason=reason,
                values={**rows.unlocked(), "depth": depth},
            )
            await self._handlers[intent.kind].changed(tx, intent, after)
            await money(tx, after)
            self._faults.reach("settling" if state is _S.SETTLED else "releasing")
        latency.observe(intent, after)
        self._faults.reach("settled" if state is _S.SETTLED else "released")

    async def _freeze(self, intent: Intent, reason: str) -> None:
        _log.error("intent_frozen", intent=intent.id, kind=intent.kind, reason=reason)
        await self._move(
            intent, _S.FROZEN, reason, during="answering", after="answered", **rows.unlocked()
        )

    async def _back_off(self, intent: Intent, reason: str, **values: Any) -> None:
        policy = self._policy(intent)
        wait_ms = backoff_ms(policy, max(1, intent.tries), self._intents.entropy.uniform())
        await self._let_go(intent, self._clock.now_ms() + wait_ms, reason=reason, **values)

    async def _let_go(self, intent: Intent, due_ms: int, **values: Any) -> None:
        await self._put(intent, {**rows.unlocked(), "due_ms": due_ms, **values})

    async def _put(self, intent: Intent, values: dict[str, Any]) -> None:
        """Write columns without a change of state, and let go."""
        async with self._intents.store.begin() as tx:
            after = await rows.write(tx, intent, values)
            if (after.depth, after.reason) != (intent.depth, intent.reason):
                await self._handlers[intent.kind].changed(tx, intent, after)
            self._faults.reach("answering")
        self._faults.reach("answered")

    async def _move(
        self,
        intent: Intent,
        state: IntentState,
        reason: str,
        *,
        during: str,
        after: str,
        **values: Any,
    ) -> Intent:
        async with self._intents.store.begin() as tx:
            moved = await rows.move(
                tx,
                intent,
                state,
                now_ms=self._clock.now_ms(),
                actor=self._worker,
                reason=reason,
                values=values,
            )
            await self._handlers[intent.kind].changed(tx, intent, moved)
            self._faults.reach(during)
        latency.observe(intent, moved)
        self._faults.reach(after)
        return moved

    async def _look_up(self, intent: Intent) -> LookUpResult:
        assert intent.identity is not None, "only what has a name is looked up"
        async with self._timeout(intent):
            found = await self._handlers[intent.kind].look_up(intent)
        self._faults.reach("looked_up")
        return found

    def _timeout(self, intent: Intent) -> asyncio.Timeout:
        return asyncio.timeout(self._policy(intent).step_timeout_s)

    def _policy(self, intent: Intent) -> Policy:
        return self._handlers[intent.kind].policy
