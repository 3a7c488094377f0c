"""Logs to events: a table by topic, made once, and a fast path for single words.

An indexer reads a hundred thousand of these a minute and more; a row of the
table knows before the first log where each value lies and what reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from millpond.chains.evm import abi
from millpond.chains.evm.errors import AbiError
from millpond.chains.evm.keccak import keccak
from millpond.chains.evm.types import Log


class Event(msgspec.Struct, frozen=True, gc=False):
    """One decoded log.

    Attributes:
        name: Of the event.
        args: Values by name. An indexed string, list or struct is on chain only
            as its hash, and stays these 32 bytes.
        log: Where it was found.
    """

    name: str
    args: dict[str, Any]
    log: Log


class EventType:
    """One event of an ABI.

    Attributes:
        signature: `name(type,…)`.
        topic: `topics[0]` of its logs, 0x-hex.
    """

    def __init__(self, entry: dict[str, Any]) -> None:
        inputs = entry.get("inputs", [])
        kinds = [abi.canonical(part) for part in inputs]
        self.name: str = entry["name"]
        self.signature = f"{self.name}({','.join(kinds)})"
        self.topic = "0x" + keccak(self.signature.encode()).hex()
        pairs = list(zip(inputs, kinds, strict=True))
        names = [part["name"] or f"arg{at}" for at, part in enumerate(inputs)]
        self._indexed = [
            (name, abi.word_decoder(kind) or bytes)
            for name, (part, kind) in zip(names, pairs, strict=True)
            if part.get("indexed")
        ]
        rest = [
            (name, kind)
            for name, (part, kind) in zip(names, pairs, strict=True)
            if not part.get("indexed")
        ]
        self.topics = 1 + len(self._indexed)
        self._names = [name for name, _ in rest]
        self._kinds = [kind for _, kind in rest]
        self._words = self._word_plan(rest)
        self._size = abi.WORD * len(rest)

    def __repr__(self) -> str:
        return f"EventType({self.signature})"

    @staticmethod
    def _word_plan(
        rest: Sequence[tuple[str, str]],
    ) -> list[tuple[str, Callable[[bytes], Any], int, int]] | None:
        """Name, reader, first and last byte of each value; None if one is no single word."""
        plan = []
        for at, (name, kind) in enumerate(rest):
            reader = abi.word_decoder(kind)
            if reader is None:
                return None
            plan.append((name, reader, at * abi.WORD, (at + 1) * abi.WORD))
        return plan

    def decode(self, log: Log) -> Event:
        """Read a log of this event.

        Raises:
            AbiError: The bytes do not fit.
        """
        args: dict[str, Any] = {}
        topics = log.topics
        for at, (name, reader) in enumerate(self._indexed, 1):
            args[name] = reader(bytes.fromhex(topics[at][2:]))
        data = log.data
        if self._words is None:
            args.update(zip(self._names, abi.decode(self._kinds, data), strict=True))
        else:
            if len(data) < self._size:
                raise AbiError(f"{len(data)} bytes are too few for {self.signature}")
            for name, reader, first, end in self._words:
                args[name] = reader(data[first:end])
        return Event(self.name, args, log)


class EventTable:
    """The events of one ABI, or of several together.

    Two events of one signature that index different arguments (ERC-20 and
    ERC-721 `Transfer`) are told apart by their number of topics.
    """

    def __init__(self, *abis: Iterable[dict[str, Any]]) -> None:
        self._types: dict[tuple[str, int], EventType] = {}
        self._topics: dict[str, str] = {}
        for entries in abis:
            for entry in entries:
                if entry.get("type") == "event" and not entry.get("anonymous"):
                    found = EventType(entry)
                    self._types[found.topic, found.topics] = found
                    self._topics[found.name] = self._topics[found.signature] = found.topic

    def topic(self, event: str) -> str:
        """`topics[0]` of an event, by name or signature, as 0x-hex.

        Raises:
            AbiError: No such event.
        """
        try:
            return self._topics[event]
        except KeyError:
            raise AbiError(f"no event is named {event}") from None

    def topics(self, *events: str) -> list[str]:
        """`topics[0]` of several events (of all, if none is named), for a log filter."""
        names = events or sorted({found.signature for found in self._types.values()})
        return [self.topic(name) for name in names]

    def decode(self, log: Log) -> Event | None:
        """The event of a log; None if it is not in the table.

        Raises:
            AbiError: The topic is known and the bytes do not fit.
        """
        topics = log.topics
        if not topics:
            return None
        found = self._types.get((topics[0], len(topics)))
        return None if found is None else found.decode(log)
