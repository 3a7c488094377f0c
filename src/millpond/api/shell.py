"""What holds for every request, whatever answers it: the outermost layer.

Client address, rate limits, security headers, conditional reads and the
unversioned names of the API. Plain ASGI, so that it also covers what no route
answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from millpond.api import problems
from millpond.api.client import came_by_tls, client_address, limit_key, parse_networks
from millpond.api.ratelimit import RateLimiter, Verdict
from millpond.api.settings import ApiSettings
from millpond.clock import Clock

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

_SECURITY: list[tuple[bytes, bytes]] = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_UNLIMITED = ("/static/", "/healthz", "/readyz")


@dataclass(slots=True)
class _Limits:
    api: RateLimiter
    pages: RateLimiter
    sign_in: RateLimiter

    def for_path(self, path: str) -> tuple[str, RateLimiter] | None:
        if path.startswith(_UNLIMITED):
            return None
        if path.startswith("/api/v1/auth/"):
            return "sign-in", self.sign_in
        return ("api", self.api) if path.startswith("/api/") else ("pages", self.pages)


class Shell:
    """The ASGI application: the routes inside, what holds for all around them."""

    def __init__(
        self,
        inner: ASGIApp,
        settings: ApiSettings,
        clock: Clock,
        *,
        end_streams: Callable[[], None],
    ) -> None:
        self.inner = inner
        self.end_streams = end_streams
        """Ends live connections; a server calls it before it waits for its clients."""
        self._settings = settings
        self._clock = clock
        self._trusted = parse_networks(settings.trusted_proxies)
        self._limits = _Limits(
            RateLimiter(settings.requests_per_minute),
            RateLimiter(settings.pages_per_minute),
            RateLimiter(settings.sign_in_per_minute),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, send)
            return
        _unalias(scope)
        address = client_address(scope, self._trusted)
        key = limit_key(address)
        scope.setdefault("state", {})
        scope["state"]["client_key"] = key
        scope["state"]["client_is_local"] = address is None or address.is_loopback
        headers = list(_SECURITY)
        if self._settings.hsts and came_by_tls(scope, self._trusted):
            headers.append(_HSTS)
        refused = self._limit(scope["path"], key, headers)
        if scope["type"] == "websocket":
            if refused:
                await _refuse_socket(receive, send)
                return
            await self.inner(scope, receive, send)
            return
        if refused:
            await _refuse(send, headers, refused)
            return
        outgoing = _Outgoing(scope, send, headers)
        await self.inner(scope, receive, outgoing.send)

    def _limit(self, path: str, key: str, headers: list[tuple[bytes, bytes]]) -> Verdict | None:
        chosen = self._limits.for_path(path)
        if chosen is None:
            return None
        name, limiter = chosen
        verdict = limiter.check(key, self._clock.monotonic_ns())
        headers.extend(verdict.headers(name, limiter.window_s))
        return None if verdict.allowed else verdict


def _unalias(scope: Scope) -> None:
    """`/api/x` means `/api/v1/x`."""
    path = scope["path"]
    if path.startswith("/api/") and not path.startswith("/api/v1/"):
        scope["path"] = "/api/v1/" + path.removeprefix("/api/")
        scope["raw_path"] = b"/api/v1/" + scope["raw_path"].removeprefix(b"/api/")


async def _refuse(send: Send, headers: Iterable[tuple[bytes, bytes]], verdict: Verdict) -> None:
    document = problems.problem(
        429,
        "rate_limited",
        f"Too many requests: {verdict.limit} a minute. Try again in {max(1, verdict.reset_s)} s.",
    )
    body = problems.encode(document)
    start = {
        "type": "http.response.start",
        "status": 429,
        "headers": [
            *headers,
            (b"content-type", problems.MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
        ],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _refuse_socket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1013, "reason": "rate_limited"})


class _Outgoing:
    """Adds headers, and answers 304 when the client has the same bytes already."""

    def __init__(self, scope: Scope, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._extra = headers
        self._start: Message | None = None
        given = [value for name, value in scope["headers"] if name == b"if-none-match"]
        self._known = b",".join(given)
        self._conditional = (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and scope["path"].startswith("/api/")
        )

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *(item for item in self._extra if item[0] not in present),
            ]
            if self._conditional and message["status"] == 200 and b"cache-control" not in present:
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            start, self._start = self._start, None
            if not message.get("more_body"):
                await self._send_conditionally(start, message)
                return
            await self._send(start)
        await self._send(message)

    async def _send_conditionally(self, start: Message, body: Message) -> None:
        tag = b'"' + hashlib.blake2b(body["body"], digest_size=12).hexdigest().encode() + b'"'
        headers = [*start["headers"], (b"etag", tag), (b"cache-control", b"no-cache")]
        known = {part.strip().removeprefix(b"W/") for part in self._known.split(b",")}
        if tag in known or self._known.strip() == b"*":
            keep = [item for item in headers if not item[0].lower().startswith(b"content-")]
            keep += [item for item in _SECURITY if item[0].startswith(b"content-")]
            start["headers"], start["status"] = keep, 304
            await self._send(start)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        start["headers"] = headers
        await self._send(start)
        await self._send(body)
