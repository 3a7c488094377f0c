"""What a kind of intent does outside, behind one interface.

The handler knows the outside world; the runner knows states, leases and
patience. Answers are values, so that "I do not know" cannot be mistaken for
"no".
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import msgspec

from millpond.errors import MillpondError, UnavailableError
from millpond.intents.model import Intent, Policy
from millpond.store import Tx


class Prepared(msgspec.Struct, frozen=True):
    """The thing to send, made and signed, and nothing of it sent.

    Attributes:
        body: The exact bytes to send, now and ever again.
        identity: The name by which the outside world will know them.
        details: Facts worth keeping, as JSON.
    """

    body: bytes
    identity: str
    details: dict[str, Any] = {}


class Accepted(msgspec.Struct, frozen=True):
    """The outside world has taken it."""


class Rejected(msgspec.Struct, frozen=True):
    """The outside world has refused it and knows nothing of it."""

    reason: str


class Unknown(msgspec.Struct, frozen=True):
    """No answer, or none to be relied on: it may have happened."""

    reason: str


class NotFound(msgspec.Struct, frozen=True):
    """The outside world does not know the identity."""


class Pending(msgspec.Struct, frozen=True):
    """Known, and not yet effective."""


class Confirmed(msgspec.Struct, frozen=True):
    """Effective, `depth` deep.

    Attributes:
        depth: 1 or more; an effect that cannot be undone may say a large number.
        details: Facts about it, as JSON.
    """

    depth: int
    details: dict[str, Any] = {}


class Conflicted(msgspec.Struct, frozen=True):
    """Something else took its place; it can hardly become effective any more."""

    reason: str


SendResult: TypeAlias = Accepted | Rejected | Unknown
LookUpResult: TypeAlias = NotFound | Pending | Confirmed | Conflicted


class RefusedError(MillpondError):
    """It can never be prepared: the intent fails and what was reserved returns."""

    code = "intent_refused"
    http_status = 409


class NotReadyError(UnavailableError):
    """It cannot go on now, through no fault of its own: it waits, tries uncounted."""

    code = "intent_not_ready"


class FreezeError(MillpondError):
    """Something is wrong that a person has to see before anything else happens."""

    code = "intent_frozen"
    http_status = 409


class Handler(Protocol):
    """One kind of effect on the outside world."""

    @property
    def kind(self) -> str:
        """The kind of intents that this looks after."""

    @property
    def policy(self) -> Policy:
        """Patience with this kind."""

    async def prepare(self, intent: Intent) -> Prepared:
        """Make and sign; without any outside effect, so that it may be repeated.

        Raises:
            RefusedError: Never possible.
            NotReadyError: Not possible now.
            FreezeError: A person has to look.
            MillpondError: Anything else: tried again with back-off.
        """

    async def send(self, intent: Intent) -> SendResult:
        """Hand over the stored bytes; harmless to repeat."""

    async def look_up(self, intent: Intent) -> LookUpResult:
        """Ask the outside world by the stored identity.

        Raises:
            NotReadyError: Nobody is there to ask; asked again, uncounted.
            MillpondError: No answer; tried again with back-off.
        """

    async def dead_because(self, intent: Intent) -> str | None:
        """Say why the stored bytes can never become effective; None: they still may."""

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Follow a change of state, depth or reason in the same transaction."""

    async def settle(self, tx: Tx, intent: Intent, outcome: Confirmed) -> None:
        """Book the effect, in the transaction that makes the state `settled`."""

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        """Return what was reserved, in the transaction that ends the intent."""
