"""What can go wrong with a database that is no fault of the caller's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from millpond.errors import InvalidInputError, UnavailableError

_CONFLICTS = {"40001": "serialisation", "40P01": "deadlock", "55P03": "lock time-out"}
"""SQLSTATE codes after which PostgreSQL has rolled back (PostgreSQL manual, appendix A)."""

_NO_TEXT = "22021"
"""A zero byte in a text (PostgreSQL alone; SQLite finds nothing by it)."""

_UNWRITABLE = {
    "database or disk is full": "the disk is full; the database cannot be written",
    "attempt to write a readonly database": "the database can only be read now, not written",
}
"""What SQLite says (its result codes SQLITE_FULL and SQLITE_READONLY), and what we say."""


class InvalidTextError(InvalidInputError):
    """A text that the database cannot hold was given from outside."""


class TransactionConflictError(UnavailableError):
    """The database rolled the transaction back because of another; doing it again is right."""

    code = "store_conflict"


class StoreBusyError(UnavailableError):
    """No connection, or not the writer's turn, within the time allowed; nothing was done."""

    code = "store_busy"


class StoreLostError(UnavailableError):
    """The connection broke, or the file cannot be written.

    If the connection broke at the commit, its outcome is unknown.
    """

    code = "store_lost"


@contextlib.contextmanager
def typed_errors() -> Iterator[None]:
    """Turn the drivers' ways of saying these things into the types above."""
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreBusyError("no database connection became free in time") from error
    except DBAPIError as error:
        said = str(error.orig) if isinstance(error, OperationalError) else ""
        state = getattr(error.orig, "sqlstate", None)
        if state == _NO_TEXT:
            raise InvalidTextError("a text has a character that cannot be stored") from error
        if state in _CONFLICTS:
            raise TransactionConflictError(
                f"the database rolled back ({_CONFLICTS[state]}); try again"
            ) from error
        if "database is locked" in said:
            raise StoreBusyError("the database file is locked by somebody else") from error
        if said in _UNWRITABLE:
            raise StoreLostError(_UNWRITABLE[said]) from error
        if error.connection_invalidated:
            raise StoreLostError("the connection to the database broke") from error
        raise


@contextlib.contextmanager
def unreachable_errors() -> Iterator[None]:
    """Turn what happens while connecting, outside the driver's own errors, into ours."""
    try:
        yield
    except OSError as error:
        raise StoreLostError("the database cannot be reached") from error
