"""Settings of the API and the pages."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the API behaves towards its clients.

    Attributes:
        host: Address to listen on.
        port: Port to listen on (0: any free one).
        public_url: How the site is called from outside; empty when it varies.
        trusted_proxies: Networks whose X-Forwarded-For and -Proto headers count.
        requests_per_minute: API requests a minute for one address.
        pages_per_minute: Page requests a minute for one address.
        sign_in_per_minute: Sign-in requests a minute for one address.
        max_body_bytes: Largest request body.
        max_connections_per_address: HTTP connections at once of one address that is
            no trusted proxy.
        request_s: Seconds after which a connection in the middle of a request is
            looked at, and closed at the second look.
        poll_interval_s: Seconds between two looks at the database for live views.
        max_watchers: WebSocket and live page connections at once.
        max_watchers_per_address: The same for one address.
        queue_size: Events that may wait for one slow client before it is dropped.
        heartbeat_s: Seconds between two signs of life on a live connection.
        metrics: Who may read /metrics: nobody (`off`), the operator's key
            (`key`), clients on this machine or the key (`local`), or all (`open`).
        hsts: Send Strict-Transport-Security on requests that came over TLS.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    requests_per_minute: Positive = 100
    pages_per_minute: Positive = 300
    sign_in_per_minute: Positive = 10
    max_body_bytes: Positive = 16_384
    max_connections_per_address: Positive = 256
    request_s: Annotated[float, Meta(gt=0, le=600)] = 15.0
    poll_interval_s: Annotated[float, Meta(ge=0.05, le=60)] = 1.0
    max_watchers: Positive = 2_000
    max_watchers_per_address: Positive = 20
    queue_size: Positive = 64
    heartbeat_s: Annotated[float, Meta(ge=1, le=300)] = 20.0
    metrics: str = "local"
    hsts: bool = True
