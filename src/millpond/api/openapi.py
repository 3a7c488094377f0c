"""The OpenAPI 3.1 document: Litestar's, with what holds for all answers added."""

from __future__ import annotations

from typing import Any

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Contact, License, Tag

from millpond import __version__
from millpond.api.problems import MEDIA_TYPE

_DESCRIPTION = """\
What the pool knows, as JSON. Amounts are objects of `asset`, `amount` (exact
decimal text) and `units` (base units, decimal text). Times are ISO 8601, UTC.
Lists are pages: `items` and `next`, the cursor of the following page. Errors
are problem+json (RFC 9457) with a stable `code`. The paths without `/v1` are
names of the same."""

CONFIG = OpenAPIConfig(
    title="Millpond",
    version=__version__,
    description=_DESCRIPTION,
    license=License(name="Apache-2.0", identifier="Apache-2.0"),
    contact=Contact(name="The operator of this pool"),
    use_handler_docstrings=True,
    tags=[
        Tag(name="pools", description="Statistics, pools and blocks."),
        Tag(name="miners", description="One address."),
        Tag(name="account", description="What needs a proof of who asks."),
        Tag(name="staking", description="Staking pools, as everybody may see them."),
        Tag(name="positions", description="A wallet's position: its own and the operator's."),
        Tag(name="admin", description="What only the operator may see and do."),
        Tag(name="service", description="Health."),
    ],
)

_PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "required": ["title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable name of the kind of error."},
        "detail": {"type": "string", "description": "One plain sentence."},
        "errors": {"type": "array", "items": {"type": "object"}},
        "details": {"type": "object"},
    },
}
_PROOF_HEADERS = (
    ("Millpond-Timestamp", "Unix milliseconds of the signature."),
    ("Millpond-Nonce", "16 to 64 letters, digits, - and _, never used before."),
    ("Millpond-Signature", "Signed message of the address, base64; see docs/api.md."),
)


_SECURITY = {
    "operator": {"type": "http", "scheme": "bearer", "description": "The operator's key."},
    "session": {"type": "http", "scheme": "bearer", "description": "A session's token."},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Millpond-Signature",
        "description": "A request signed by the wallet; see docs/api.md.",
    },
}


def _headers(security: list[dict[str, list[str]]]) -> list[dict[str, Any]]:
    """Headers that whoever asks may send along."""
    known: list[tuple[str, str]] = []
    if {"signature": []} in security:
        known += _PROOF_HEADERS
    if security == [{"operator": []}]:
        known.append(("Millpond-Actor", "The operator's name for the trail: letters, digits, ._@-"))
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": text,
            "schema": {"type": "string"},
        }
        for name, text in known
    ]


def document(app: Litestar) -> dict[str, Any]:
    """The document, made once for an application."""
    made = app.state.get("openapi_document")
    if made is None:
        made = app.state["openapi_document"] = _complete(app.openapi_schema.to_schema())
    return dict(made)


def _complete(schema: dict[str, Any]) -> dict[str, Any]:
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components["securitySchemes"] = _SECURITY
    answer = {
        "description": "An error.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            if method not in ("get", "put", "post", "delete"):
                continue
            responses = operation["responses"]
            for status in [key for key in responses if key >= "400"]:
                responses[status] = answer
            responses["default"] = answer
            if path == "/readyz":
                responses["503"] = {**responses["200"], "description": "Not ready."}
            headers = _headers(operation.get("security", []))
            if headers:
                operation.setdefault("parameters", []).extend(headers)
    return schema
