"""Cursors: opaque, typed, and refused when they are not ours."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from millpond.errors import InvalidInputError

T = TypeVar("T")

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
