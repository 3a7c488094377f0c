"""Cursors: opaque, typed, and refused when they are not ours."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from millpond.errors import InvalidInputError

T = TypeVar("T")
RowT = TypeVar("RowT")

Place = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number in a cursor: one that a database column can hold."""

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="Items on one page, 1 to 200.")]
CursorText = Annotated[
    str | None,
    QueryParameter(max_length=300, description="The `next` of the page before."),
]


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """One page of a list; `next` is the cursor of the following one, if any."""

    items: list[T]
    next: str | None = None


def page_of(
    rows: Sequence[RowT], limit: int, show: Callable[[RowT], T], place: Callable[[RowT], int | str]
) -> Page[T]:
    """A page of rows that were read with `limit + 1`, so that one too many says: there are more.

    Args:
        rows: In the order of the list.
        limit: Items on the page.
        show: Makes an item of a row.
        place: The row's sort key, for the cursor.
    """
    return Page(
        items=[show(row) for row in rows[:limit]],
        next=encode_cursor(place(rows[limit - 1])) if len(rows) > limit else None,
    )


class CursorError(InvalidInputError):
    """A cursor that this list did not give out."""

    code = "invalid_cursor"


def encode_cursor(*values: int | str) -> str:
    """Pack the sort key of the last item shown."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def decode_cursor(text: str | None, kind: Any) -> Any:
    """Unpack a cursor as `kind`, such as `tuple[int, str]`; None stays None.

    Raises:
        CursorError: Not a cursor of this list.
    """
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=kind)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise CursorError("this cursor was not given out by this list") from error
