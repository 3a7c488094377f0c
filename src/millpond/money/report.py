"""What an audit finds."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

MOST_ROWS = 20
"""Most findings of one check that are listed one by one."""


class Verdict(StrEnum):
    """Whether expected and found are the same."""

    OK = "ok"
    DRIFT = "drift"
    UNKNOWN = "unknown"
    """It could not be looked up, because a daemon does not answer."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison.

    Attributes:
        check: Stable name of the check; docs/audit.md explains each.
        subject: What was checked: a pool, a block, a payout, an account.
        expected: What it has to be.
        found: What it is.
        verdict: Whether the two agree.
        explanation: What a person should know about it.
    """

    check: str
    subject: str
    expected: str
    found: str
    verdict: Verdict
    explanation: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All comparisons of one audit."""

    at_ms: int
    rows: tuple[Row, ...]

    @property
    def clean(self) -> bool:
        """True if everything was looked at and everything agrees."""
        return all(row.verdict is Verdict.OK for row in self.rows)

    @property
    def drifts(self) -> tuple[Row, ...]:
        """The rows that do not agree."""
        return tuple(row for row in self.rows if row.verdict is Verdict.DRIFT)

    def json(self) -> str:
        """One JSON document."""
        document = {
            "at_ms": self.at_ms,
            "clean": self.clean,
            "rows": msgspec.to_builtins(self.rows),
        }
        return msgspec.json.encode(document).decode()

    def table(self) -> str:
        """A plain table, the disagreements last, where a person looks first."""
        head = ("verdict", "check", "subject", "expected", "found", "explanation")
        order = {Verdict.OK: 0, Verdict.UNKNOWN: 1, Verdict.DRIFT: 2}
        lines = [
            (row.verdict.value, row.check, row.subject, row.expected, row.found, row.explanation)
            for row in sorted(self.rows, key=lambda row: order[row.verdict])
        ]
        widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head) - 1)]
        text = [
            "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False))])
            + "  "
            + line[-1]
            for line in (head, *lines)
        ]
        return "\n".join([*(line.rstrip() for line in text), self._end()])

    def _end(self) -> str:
        unknown = sum(row.verdict is Verdict.UNKNOWN for row in self.rows)
        parts = [f"{len(self.drifts)} do not agree"] if self.drifts else []
        parts += [f"{unknown} could not be looked at"] if unknown else []
        return ", ".join(parts) or "everything agrees"


def compare(check: str, subject: str, expected: object, found: object, why: str = "") -> Row:
    """A row whose verdict is whether the two are equal."""
    verdict = Verdict.OK if expected == found else Verdict.DRIFT
    return Row(
        check=check,
        subject=subject,
        expected=str(expected),
        found=str(found),
        verdict=verdict,
        explanation=why,
    )


def unknown(check: str, subject: str, why: str) -> Row:
    """A row for what could not be looked up."""
    return Row(
        check=check,
        subject=subject,
        expected="",
        found="",
        verdict=Verdict.UNKNOWN,
        explanation=why,
    )


def only_drifts(check: str, subject: str, rows: Iterable[Row], what: str) -> list[Row]:
    """One row that says that all agree, or the disagreements, the first twenty one by one."""
    listed = list(rows)
    bad = [row for row in listed if row.verdict is not Verdict.OK]
    if not bad:
        count = f"{len(listed)} {what}"
        return [compare(check, subject, count, count)]
    shown = bad[:MOST_ROWS]
    if len(bad) > len(shown):
        more = f"and {len(bad) - len(shown)} more of {len(listed)} {what}"
        shown.append(compare(check, subject, "", more))
    return shown
