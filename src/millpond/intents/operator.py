"""What a person may do with an intent; always with a name and a reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from millpond.errors import InvalidInputError
from millpond.intents import latency, rows
from millpond.intents.errors import (
    IntentBusyError,
    IntentMayBeEffectiveError,
    IntentStateError,
)
from millpond.intents.handler import Handler
from millpond.intents.model import FINAL, LIVE, Intent, IntentState
from millpond.intents.service import Intents
from millpond.store import Tx

_S = IntentState


class Operator:
    """Freezing, resuming, preparing anew and abandoning.

    Args:
        intents: The intents.
        handlers: Those of every kind that the person may touch.
    """

    def __init__(self, intents: Intents, handlers: Iterable[Handler]) -> None:
        self._intents = intents
        self._clock = intents.clock
        self._handlers = {handler.kind: handler for handler in handlers}

    async def freeze(self, intent_id: str, *, actor: str, reason: str) -> Intent:
        """Stop at once, even under a worker's hands: its result will be thrown away.

        What it sends in that moment may still happen, which the state then says.

        Raises:
            IntentNotFoundError: There is none.
            IntentStateError: It is frozen or at its end.
        """
        _named(actor, reason)
        async with self._intents.store.begin() as tx:
            before = await rows.fetch(tx, intent_id, lock=True)
            after = await self._move(tx, before, _S.FROZEN, actor=actor, reason=reason)
        latency.observe(before, after)
        return after

    async def release(self, intent_id: str, *, actor: str, reason: str) -> Intent:
        """Let a frozen one go on from where it was, with the same signed body.

        Raises:
            IntentNotFoundError: There is none.
            IntentStateError: It is not frozen.
        """
        _named(actor, reason)
        async with self._intents.store.begin() as tx:
            before = await rows.fetch(tx, intent_id, lock=True)
            if before.state is not _S.FROZEN or before.frozen_from is None:
                raise IntentStateError(f"it is {before.state}, not frozen")
            after = await self._move(
                tx, before, before.frozen_from, actor=actor, reason=reason, **self._afresh()
            )
        latency.observe(before, after)
        return after

    async def retry(self, intent_id: str, *, actor: str, reason: str) -> Intent:
        """Try now what waits; prepare anew what is frozen and can never become effective.

        One that waits for its next try is made due. A frozen one gets a new
        body only if the old one was never sent, or its handler proves that it
        is dead; the old body is kept in `intent_superseded`.

        Raises:
            IntentNotFoundError: There is none.
            IntentStateError: It is at its end.
            IntentMayBeEffectiveError: The old body may still take effect.
            IntentBusyError: A worker is at it.
        """
        _named(actor, reason)
        seen = await self._seen(intent_id)
        if seen.state in LIVE:
            return await self._due_now(seen)
        if seen.state is not _S.FROZEN:
            raise IntentStateError(f"it is {seen.state}; nothing follows")
        proof = await self._proof(seen)
        if proof is None:
            raise IntentMayBeEffectiveError(
                "what was sent may still take effect; release it, or wait for the proof",
                identity=seen.identity,
            )
        async with self._intents.store.begin() as tx:
            if seen.body is not None:
                await rows.supersede(tx, seen, at_ms=self._clock.now_ms(), reason=proof)
            after = await self._move(
                tx,
                seen,
                _S.CREATED,
                actor=actor,
                reason=f"{reason} ({proof})",
                body=None,
                identity=None,
                details={},
                depth=0,
                sends=0,
                expires_ms=None,
                **self._afresh(),
            )
        latency.observe(seen, after)
        return after

    async def abandon(
        self, intent_id: str, *, actor: str, reason: str, confirm: str | None = None
    ) -> Intent:
        """Give it up and return what was reserved.

        Allowed when it provably never takes effect. Otherwise the person has
        to repeat the intent's identity in `confirm`, which is written down:
        if it takes effect all the same, the money is gone twice.

        Raises:
            IntentNotFoundError: There is none.
            IntentStateError: It is at its end, or known to have happened.
            IntentMayBeEffectiveError: It may still take effect and this was not confirmed.
            IntentBusyError: A worker is at it.
        """
        _named(actor, reason)
        seen = await self._seen(intent_id)
        if seen.state in FINAL or _S.CONFIRMED in {seen.state, seen.frozen_from}:
            raise IntentStateError(f"it is {seen.frozen_from or seen.state} and cannot be undone")
        proof = await self._proof(seen)
        if proof is None:
            if confirm is None or confirm != seen.identity:
                raise IntentMayBeEffectiveError(
                    "it may still take effect; confirm with its identity to accept that",
                    identity=seen.identity,
                )
            proof = f"forced, {seen.identity} may still take effect"
        text = f"{reason} ({proof})"
        async with self._intents.store.begin() as tx:
            after = await self._move(tx, seen, _S.ABANDONED, actor=actor, reason=text)
            await self._handlers[seen.kind].release(tx, after, text)
        latency.observe(seen, after)
        return after

    async def _seen(self, intent_id: str) -> Intent:
        """Read one that no worker holds; the later write fails if one takes it."""
        async with self._intents.store.read() as tx:
            intent = await rows.fetch(tx, intent_id)
        if intent.leased(self._clock.now_ms()):
            raise IntentBusyError("a worker is at it; try again in a moment, or freeze it first")
        return intent

    async def _proof(self, intent: Intent) -> str | None:
        if intent.body is None:
            return "never signed"
        if not intent.was_sent:
            return "never sent"
        return await self._handlers[intent.kind].dead_because(intent)

    async def _due_now(self, intent: Intent) -> Intent:
        async with self._intents.store.begin() as tx:
            return await rows.write(
                tx, intent, {"due_ms": self._clock.now_ms(), "tries": 0, **self._taken(intent)}
            )

    async def _move(
        self,
        tx: Tx,
        intent: Intent,
        state: IntentState,
        *,
        actor: str,
        reason: str,
        **values: Any,
    ) -> Intent:
        after = await rows.move(
            tx,
            intent,
            state,
            now_ms=self._clock.now_ms(),
            actor=actor,
            reason=reason,
            values={**values, **self._taken(intent)},
        )
        await self._handlers[intent.kind].changed(tx, intent, after)
        return after

    def _afresh(self) -> dict[str, Any]:
        """Columns of one that starts over where it is."""
        return {"due_ms": self._clock.now_ms(), "tries": 0, "asked_ms": 0, "refused": ""}

    @staticmethod
    def _taken(intent: Intent) -> dict[str, Any]:
        """Take the row from any worker that still believes to hold it."""
        return {**rows.unlocked(), "fence": intent.fence + 1}


def _named(actor: str, reason: str) -> None:
    if not actor.strip() or not reason.strip():
        raise InvalidInputError("an operator's act has an actor and a reason")
