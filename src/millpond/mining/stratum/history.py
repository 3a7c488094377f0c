"""On what terms a connection was sent its earlier jobs.

A job is good on the terms that it was sent with: its difficulty and its
extranonce1. When they change the current job is sent again under another name
(its last two digits differ). What is remembered is bounded; a share of a job
whose terms are forgotten is stale.
"""

from __future__ import annotations

from typing import NamedTuple

_MAX_ALIASES = 8
_MAX_EARLIER = 8
_MAX_HELD = 4


class Terms(NamedTuple):
    """What the shares of a job are held against.

    Attributes:
        difficulty: Fixed point.
        extranonce1: Of the connection at that time.
    """

    difficulty: int
    extranonce1: bytes


class History:
    """Terms before those in force; most connections never need one."""

    __slots__ = ("_aliases", "_earlier", "_generation", "_held", "_oldest")

    def __init__(self) -> None:
        self._earlier: list[tuple[int, Terms]] = []
        self._aliases: dict[str, Terms] = {}
        self._held: list[tuple[int, bytes]] = []
        self._generation = 0
        self._oldest = 0

    def ended(self, since: int, terms: Terms) -> None:
        """Terms that held for jobs from serial `since` on are over."""
        earlier = self._earlier
        earlier.append((since, terms))
        if len(earlier) > _MAX_EARLIER:
            _, dropped = earlier.pop(0)
            first, kept = earlier[0]
            if dropped.extranonce1 != kept.extranonce1:
                self._oldest = max(self._oldest, first)

    def rename(self, serial: int, terms: Terms) -> str:
        """A new name for a job that is sent again on new terms."""
        self._generation = self._generation % 255 + 1
        name = f"{serial:x}{self._generation:02x}"
        self._aliases.pop(name, None)
        self._aliases[name] = terms
        while len(self._aliases) > _MAX_ALIASES:
            del self._aliases[next(iter(self._aliases))]
        return name

    def named(self, name: str) -> Terms | None:
        """Terms of a name that `rename` gave; None if it is none or forgotten."""
        return self._aliases.get(name)

    def at(self, serial: int) -> Terms | None:
        """Terms in force when a job before the last change was broadcast; None if forgotten."""
        if serial < self._oldest or not self._earlier:
            return None
        for since, terms in reversed(self._earlier):
            if serial >= since:
                return terms
        # Older than what is remembered: the hardest of it, so that nothing is
        # credited above its worth or passed below what was asked.
        hardest = max(terms.difficulty for _, terms in self._earlier)
        return Terms(hardest, self._earlier[0][1].extranonce1)

    def hold(self, until: int, extranonce1: bytes) -> list[bytes]:
        """Keep an extranonce for jobs up to serial `until`; returns those not kept any more."""
        self._held.append((until, extranonce1))
        gone = self._held[:-_MAX_HELD]
        del self._held[:-_MAX_HELD]
        for last, old in gone:
            self._oldest = max(self._oldest, last + 1)
            self._aliases = {n: t for n, t in self._aliases.items() if t.extranonce1 != old}
        return [old for _, old in gone]

    def let_go(self, oldest_serial: int) -> list[bytes]:
        """Extranonces held for jobs that are all gone, given the oldest serial still good."""
        gone = [old for until, old in self._held if until < oldest_serial]
        if gone:
            self._held = [held for held in self._held if held[0] >= oldest_serial]
        return gone

    def held(self) -> list[bytes]:
        """All extranonces held."""
        return [old for _, old in self._held]
