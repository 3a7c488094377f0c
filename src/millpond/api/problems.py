"""Every error as problem+json (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException

from millpond.errors import MillpondError

MEDIA_TYPE = "application/problem+json"

_CODES = {
    400: "invalid_input",
    401: "authentication_required",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    503: "unavailable",
}
_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not know that method.",
    413: "The request body is larger than this server accepts.",
    500: "Something went wrong on our side. It has been written down.",
}

_LEFT = "client disconnected prematurely"

_log = structlog.get_logger("millpond.api")


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An error, as RFC 9457 writes it.

    Attributes:
        type: `about:blank`: the status and `code` say what kind it is.
        title: The status in words.
        status: The HTTP status.
        code: Stable name of the kind of error; programs may rely on it.
        detail: One plain sentence.
        errors: Which parts of the request are wrong.
        details: Further facts about this error.
    """

    type: str = msgspec.field(default_factory=lambda: "about:blank")
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] = msgspec.field(default_factory=list)
    details: dict[str, Any] = msgspec.field(default_factory=dict)


def problem(status: int, code: str, detail: str, **details: Any) -> Problem:
    """Make a problem."""
    title = HTTPStatus(status).phrase
    return Problem(title=title, status=status, code=code, detail=detail, details=details)


def encode(value: Problem) -> bytes:
    """The bytes of a problem document."""
    return msgspec.json.encode(value)


def from_exception(error: Exception) -> Problem:
    """What to tell the client about `error`; never more than is safe."""
    if isinstance(error, MillpondError):
        return problem(error.http_status, error.code, error.message, **error.details)
    if isinstance(error, HTTPException) and error.status_code < 500:
        status = error.status_code
        result = problem(
            status,
            _CODES.get(status, "invalid_input"),
            _SENTENCES.get(status) or error.detail or HTTPStatus(status).phrase,
        )
        if isinstance(error, ValidationException):
            result.detail = "The request is not what this address takes."
            result.errors = _validation_errors(error.extra)
        return result
    if isinstance(error, (UnicodeDecodeError, RecursionError)):
        # Both come from decoding a body; no other code decodes what clients send.
        return problem(400, "invalid_input", "The body is not JSON in UTF-8, or nested too deep.")
    return problem(500, "internal", _SENTENCES[500])


def _validation_errors(extra: object) -> list[dict[str, str]]:
    if not isinstance(extra, list):
        return []
    return [
        {
            "field": str(item.get("key", ""))[:100],
            "message": str(item.get("message", ""))[:300],
            "in": str(item.get("source", "")),
        }
        for item in extra[:20]
        if isinstance(item, dict)
    ]


def _client_left(error: Exception) -> bool:
    """Whether the client went away during its body; Litestar has no type of its own for it."""
    return isinstance(error, InternalServerException) and error.detail == _LEFT


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything."""
    document = from_exception(error)
    if _client_left(error):
        _log.debug("client_left", method=request.method, path=request.scope["path"])
    elif document.status >= 500:
        _log.error(
            "request_failed",
            method=request.method,
            path=request.scope["path"],  # `url` raises where the Host header is no host
            code=document.code,
            exc_info=error if document.code == "internal" else None,
        )
    headers = dict(getattr(error, "headers", None) or {})
    if document.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="millpond"'
    return Response(
        content=encode(document),
        status_code=document.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )
