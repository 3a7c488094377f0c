"""What a check finds."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at.

    Attributes:
        subject: What was looked at, as in `database`.
        level: A `fault` keeps the pool from running or from being safe.
        message: What was found.
        mend: What to do about it; empty when nothing is to be done.
    """

    subject: str
    level: Level
    message: str
    mend: str = ""


def ok(subject: str, message: str) -> Finding:
    """All is well."""
    return Finding(subject, Level.OK, message)


def warning(subject: str, message: str, mend: str) -> Finding:
    """It runs, but a person should know."""
    return Finding(subject, Level.WARNING, message, mend)


def fault(subject: str, message: str, mend: str) -> Finding:
    """It does not run, or not safely."""
    return Finding(subject, Level.FAULT, message, mend)
