"""An entry, its hash, and the faults of a chain of them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

GENESIS = "0" * 64
"""What the first entry names as the hash before it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One act of somebody with power, as it was written and as it will always be.

    Attributes:
        seq: 1, 2, 3 … without gaps.
        at_ms: When, Unix milliseconds.
        actor: Who, such as `operator` or `task:risk-checks`.
        action: What, such as `risk.pause`.
        subject: To what, such as `pool:btcd-main-pool`.
        before: What was changed, as it was; amounts as decimal text.
        after: What was changed, as it is.
        reason: Why, in the actor's words; may be empty.
        previous: Hash of the entry before, `GENESIS` for the first.
        hash: Hash of this entry, see `entry_hash`.
    """

    seq: int
    at_ms: int
    actor: str
    action: str
    subject: str
    before: dict[str, Any]
    after: dict[str, Any]
    reason: str
    previous: str
    hash: str


class Fault(msgspec.Struct, frozen=True):
    """Something in the chain that is not as it was written.

    Attributes:
        seq: Which entry.
        kind: `changed`, `missing`, `reordered` or `cut` (the newest are gone).
        text: One sentence for a person.
    """

    seq: int
    kind: str
    text: str


def entry_hash(entry: Entry) -> str:
    """SHA-256 of the JSON array of all fields but the hash, keys sorted; hexadecimal."""
    fields = [
        entry.previous,
        entry.seq,
        entry.at_ms,
        entry.actor,
        entry.action,
        entry.subject,
        entry.before,
        entry.after,
        entry.reason,
    ]
    return hashlib.sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()


def faults_of(
    entries: Iterable[Entry], *, after: int = 0, previous: str = GENESIS
) -> Iterator[Fault]:
    """Faults of a stretch of the chain.

    Args:
        entries: In the order of `seq`.
        after: `seq` of the entry before the stretch.
        previous: Hash of that entry.
    """
    for entry in entries:
        if entry.seq != after + 1:
            text = f"entries {after + 1} to {entry.seq - 1} are not there"
            yield Fault(after + 1, "missing", text)
        elif entry.previous != previous:
            yield Fault(entry.seq, "reordered", f"entry {entry.seq} does not follow entry {after}")
        if entry_hash(entry) != entry.hash:
            text = f"entry {entry.seq} is not what was written"
            yield Fault(entry.seq, "changed", text)
        after, previous = entry.seq, entry.hash
