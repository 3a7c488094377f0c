"""What stands between Millpond and a node: passes calls on, and lies or fails where told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

import aiohttp
from aiohttp import web

Change = Callable[[str, list[Any], Any], Any]
"""(method, params, the node's result) to the result that the caller gets."""


class RefusedError(Exception):
    """Raised by a `Change`: the caller gets this error object."""

    def __init__(self, message: str, code: int = -32000, data: Any = None) -> None:
        super().__init__(message)
        self.object = {"code": code, "message": message, "data": data}


class Front:
    """A JSON-RPC server on a free port; without a node behind it, `change` makes every result."""

    def __init__(self, behind: str | None = None) -> None:
        self.behind = behind
        self.change: Change = lambda _method, _params, result: result
        self.raw: Callable[[Any], web.StreamResponse | None] = lambda _document: None
        self.heard: Callable[[web.Request], None] = lambda _request: None
        self.calls: list[tuple[str, list[Any]]] = []
        self.cut = False
        self.requests = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/{key:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        self.heard(request)
        self.requests += 1
        if self.cut:
            assert request.transport is not None
            request.transport.abort()
        made = self.raw(document)
        if made is not None:
            return made
        if isinstance(document, list):
            answers = await asyncio.gather(*(self._one(call) for call in document))
            return web.json_response(answers)
        return web.json_response(await self._one(document))

    async def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        method, params = call["method"], call["params"]
        self.calls.append((method, params))
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call["id"]}
        behind: dict[str, Any] = {"result": None}
        if self.behind is not None:
            async with self._session.post(self.behind, json=call) as response:
                behind = json.loads(await response.read())
        if "error" in behind:
            return answer | {"error": behind["error"]}
        try:
            return answer | {"result": self.change(method, params, behind["result"])}
        except RefusedError as refusal:
            return answer | {"error": refusal.object}
