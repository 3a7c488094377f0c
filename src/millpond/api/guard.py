"""HTTP connections that hold their place without asking anything are closed.

The server library waits for ever for the end of a request's head or body. Here
each connection is looked at every `request_s`: one that stands where it stood
at the look before, in the middle of a request, is ended. One address may have
so many connections at once; trusted proxies speak for many and are not counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from millpond.api.client import address_of, is_trusted, parse_networks
from millpond.api.settings import ApiSettings


class Door:
    """Counts the connections of each address."""

    def __init__(self, settings: ApiSettings) -> None:
        self.request_s = settings.request_s
        self._most = settings.max_connections_per_address
        self._trusted = parse_networks(settings.trusted_proxies)
        self._inside: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._inside.total()

    def enter(self, host: str) -> bool:
        """Count a connection; False if it is one too many."""
        if self._inside[host] >= self._most and not self._is_proxy(host):
            return False
        self._inside[host] += 1
        return True

    def leave(self, host: str) -> None:
        """It is gone."""
        self._inside[host] -= 1
        if self._inside[host] <= 0:
            del self._inside[host]

    def _is_proxy(self, host: str) -> bool:
        address = address_of(host)
        return address is not None and is_trusted(address, self._trusted)


class GuardedProtocol(H11Protocol):
    """One HTTP connection; see the module."""

    def __init__(self, *args: Any, door: Door, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._door = door
        self._host: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stood: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, or end it."""
        super().connection_made(transport)
        host = self.client[0] if self.client else "127.0.0.1"
        if not self._door.enter(host):
            transport.abort()
            return
        self._host = host
        self._timer = self.loop.call_later(self._door.request_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._let_go()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """From here on the live connections' own limits hold."""
        self._let_go()
        super().handle_websocket_upgrade(event)

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._host is not None:
            self._door.leave(self._host)
            self._host = None

    def _look(self) -> None:
        cycle: Any = self.cycle  # None before the first request
        between = cycle is None or cycle.response_complete
        stands = (id(cycle), between) if between or cycle.more_body else None
        if stands is not None and stands == self._stood:
            self.transport.abort()
            return
        self._stood = stands
        self._timer = self.loop.call_later(self._door.request_s, self._look)
