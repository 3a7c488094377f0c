"""Serving the application on a socket."""

from __future__ import annotations

import functools
import socket
from typing import Any

import uvicorn

from millpond.api.guard import Door, GuardedProtocol
from millpond.api.settings import ApiSettings
from millpond.api.shell import Shell

_BACKLOG = 1024
_STOP_S = 5


class Server(uvicorn.Server):
    """Ends live connections before it waits for what is still being answered."""

    def __init__(self, config: uvicorn.Config, app: Shell) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving."""
        self._app.end_streams()
        await super().shutdown(sockets)


def make_server(app: Shell, settings: ApiSettings) -> uvicorn.Server:
    """A uvicorn server that trusts no header; the application does that itself."""
    guarded: Any = functools.partial(GuardedProtocol, door=Door(settings))
    config = uvicorn.Config(
        app,
        http=guarded,
        host=settings.host,
        port=settings.port,
        loop="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_STOP_S,
        ws="websockets-sansio",
        ws_max_size=16_384,
        ws_ping_interval=None,
        h11_max_incomplete_event_size=16_384,
        limit_concurrency=None,
    )
    return Server(config, app)


def bind(settings: ApiSettings) -> socket.socket:
    """A listening socket, so that the caller knows the port before serving."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings.host, settings.port))
    listener.setblocking(False)
    return listener
