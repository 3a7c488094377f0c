"""The one root of every error that Millpond raises on purpose.

An error has a stable `code` (lower-case words joined by `_`, part of the
public interface: clients, logs and tests may rely on it), a plain sentence
for a person, and optional `details` that are safe to show. The API turns it
into problem+json, the command line into one line and exit code 2.
"""

from __future__ import annotations

from typing import Any, ClassVar


def plain(text: str) -> str:
    """Text that any database, terminal and log takes; what else it had becomes `?`.

    Sentences quote nodes, contracts and users. A zero byte is an error to
    PostgreSQL, a lone surrogate to UTF-8, and an escape sequence a command to a
    terminal. Ends of lines stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


class MillpondError(Exception):
    """An error with a stable code and a plain sentence.

    Attributes:
        code: Stable identifier of the kind of error.
        http_status: The status that an HTTP answer about it carries.
        message: One plain sentence for a person, as `plain` leaves it.
        details: Further facts, safe to show to whoever caused the error.
    """

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, **details: Any) -> None:
        message = plain(message)
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidInputError(MillpondError):
    """Something given from outside cannot be what it should be."""

    code = "invalid_input"
    http_status = 400


class NotFoundError(MillpondError):
    """The thing asked for does not exist."""

    code = "not_found"
    http_status = 404


class ConflictError(MillpondError):
    """The same identity was used before with another content."""

    code = "conflict"
    http_status = 409


class UnavailableError(MillpondError):
    """Something outside Millpond does not answer now; trying again may help."""

    code = "unavailable"
    http_status = 503
