"""The states of an intent, which may follow which, and the row as a value. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from millpond.intents.errors import IntentStateError


class IntentState(StrEnum):
    """Where an intent is.

    `SENDING` is written before the first byte leaves, and therefore means:
    it may have happened, ask by identity. `SENT` means that the world has
    been seen to know it, `CONFIRMED` that it has happened but may yet be
    undone. `FROZEN` waits for a person. The last three are final.
    """

    CREATED = "created"
    SIGNED = "signed"
    SENDING = "sending"
    SENT = "sent"
    CONFIRMED = "confirmed"
    FROZEN = "frozen"
    SETTLED = "settled"
    FAILED = "failed"
    ABANDONED = "abandoned"


_S = IntentState

LIVE = frozenset({_S.CREATED, _S.SIGNED, _S.SENDING, _S.SENT, _S.CONFIRMED})
"""States in which workers look after an intent."""

STRAY_MS = 600_000
"""A time so far ahead was written by a clock that was wrong; machines differ by less."""

FINAL = frozenset({_S.SETTLED, _S.FAILED, _S.ABANDONED})
"""States that nothing follows."""

TRANSITIONS: dict[IntentState, frozenset[IntentState]] = {
    _S.CREATED: frozenset({_S.SIGNED, _S.FAILED, _S.FROZEN, _S.ABANDONED}),
    _S.SIGNED: frozenset(
        {_S.SENDING, _S.SENT, _S.CONFIRMED, _S.SETTLED, _S.FAILED, _S.FROZEN, _S.ABANDONED}
    ),
    _S.SENDING: frozenset({_S.SENT, _S.CONFIRMED, _S.SETTLED, _S.FROZEN, _S.ABANDONED}),
    _S.SENT: frozenset({_S.SENDING, _S.CONFIRMED, _S.SETTLED, _S.FROZEN, _S.ABANDONED}),
    _S.CONFIRMED: frozenset({_S.SENT, _S.SENDING, _S.SETTLED, _S.FROZEN}),
    _S.FROZEN: LIVE | {_S.ABANDONED},
    _S.SETTLED: frozenset(),
    _S.FAILED: frozenset(),
    _S.ABANDONED: frozenset(),
}
"""Every change of state that may ever be written."""


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """One intended effect, as its row stands.

    Attributes:
        id: Identifier that sorts by time of creation.
        kind: Whose `Handler` looks after it.
        key: The business key; unique within the kind for ever.
        payload: What is to be done; never changes.
        lane: Of the intents of one lane only one is between prepare and sent.
        state: Where it is.
        body: The signed bytes to send, once they are stored.
        identity: The name by which the outside world knows `body`.
        details: What the handler noted while preparing, and when it was settled.
        depth: Confirmations seen last.
        round: How often it was prepared with effect; 1 for the first body.
        sends: How often sending `body` was begun; written before each time.
        tries: Claims since the last progress.
        version: Number of events so far.
        fence: Number of claims so far; with `locked_by` it names one lease.
        locked_by: Worker that holds it, or None.
        locked_ms: Since when, Unix milliseconds.
        lease_until_ms: When others may take it over.
        due_ms: When a worker should look at it next.
        expires_ms: Not to be sent for the first time after this; None: no end.
        reason: Why it is where it is, one sentence, for people.
        frozen_from: For a frozen one, the state it was frozen in.
        created_ms: When it was written.
        entered_ms: When it came into its state.
        asked_ms: Since when look-ups find nothing of a body that was sent; 0: not so.
        refused: What the outside world said when it refused the body; empty: it has not.
    """

    id: str
    kind: str
    key: str
    payload: dict[str, Any]
    lane: str
    state: IntentState
    body: bytes | None
    identity: str | None
    details: dict[str, Any]
    depth: int
    round: int
    sends: int
    tries: int
    version: int
    fence: int
    locked_by: str | None
    locked_ms: int | None
    lease_until_ms: int | None
    due_ms: int
    expires_ms: int | None
    reason: str
    frozen_from: IntentState | None
    created_ms: int
    entered_ms: int
    asked_ms: int
    refused: str

    def leased(self, now_ms: int) -> bool:
        """Tell whether a worker holds it now."""
        if self.lease_until_ms is None or self.locked_ms is None:
            return False
        return self.lease_until_ms > now_ms and self.locked_ms <= now_ms + STRAY_MS

    def expired(self, at_ms: int) -> bool:
        """Tell whether its first sending would come too late."""
        return self.expires_ms is not None and self.expires_ms <= at_ms

    @property
    def was_sent(self) -> bool:
        """Tell whether any byte of it may have left this machine."""
        return self.sends > 0


class IntentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One change of state, never edited or deleted."""

    intent_id: str
    seq: int
    from_state: IntentState | None
    to_state: IntentState
    at_ms: int
    actor: str
    reason: str


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How patient workers are with a kind of intent.

    Attributes:
        settle_depth: Confirmations at which the effect is final.
        lease_ms: How long a worker may hold one before others take it over.
        step_timeout_s: How long one call of the handler may take; well under the lease.
        poll_ms: Time between look-ups while all is well.
        patience_ms: How long look-ups must find nothing before the bytes are sent again.
        backoff_ms: First wait after a failure; doubles each time.
        backoff_max_ms: Longest wait.
        max_tries: Claims without progress before it waits for a person.
        max_sends: Sends of the same bytes before it waits for a person.
    """

    settle_depth: int = 1
    lease_ms: int = 120_000
    step_timeout_s: float = 30.0
    poll_ms: int = 5_000
    patience_ms: int = 30_000
    backoff_ms: int = 1_000
    backoff_max_ms: int = 300_000
    max_tries: int = 12
    max_sends: int = 100

    def __post_init__(self) -> None:
        assert self.settle_depth >= 1, "an effect is final once it was seen"
        assert self.step_timeout_s * 1000 < self.lease_ms, "a step ends before its lease does"
        assert min(self.poll_ms, self.patience_ms, self.backoff_ms) >= 0, "times are not negative"
        assert min(self.max_tries, self.max_sends) >= 1, "everything is tried once"

    @property
    def longest_ms(self) -> int:
        """The longest that an intent is let alone."""
        return max(self.poll_ms, self.patience_ms, self.backoff_max_ms)


def check_transition(intent: Intent, to_state: IntentState) -> None:
    """Hold a change of state against the table and against what is stored.

    Raises:
        IntentStateError: The change is none that may be written.
    """
    if to_state not in TRANSITIONS[intent.state]:
        raise IntentStateError(f"an intent goes not from {intent.state} to {to_state}")
    if intent.state is IntentState.FROZEN and to_state in LIVE:
        back = {intent.frozen_from, IntentState.CREATED}
        if to_state not in back:
            raise IntentStateError(f"it was frozen as {intent.frozen_from}, not as {to_state}")


def backoff_ms(policy: Policy, tries: int, jitter: float) -> int:
    """Wait before the next try: doubling, bounded, spread over its upper half.

    Args:
        policy: First and longest wait.
        tries: Tries so far, 1 or more.
        jitter: A number in [0, 1).
    """
    assert tries >= 1, "there was a try"
    assert 0 <= jitter < 1, "jitter is in [0, 1)"
    full = min(policy.backoff_max_ms, policy.backoff_ms << min(tries - 1, 40))
    return full // 2 + int(full * jitter) // 2
