"""Stands between Millpond and a real node, and misbehaves as a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Self

import aiohttp
from aiohttp import web

Step = Callable[["Proxy", web.Request, bytes, Any], Any]


class Proxy:
    """Hands calls on to `upstream`; a method may have steps that are used up one by one."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.steps: dict[str, list[Step]] = {}
        self.always: dict[str, Step] = {}
        self.seen: list[str] = []
        self.down = False
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/", self._answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/"
        self.session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        await self.runner.cleanup()

    def once(self, method: str, *steps: Step) -> None:
        self.steps.setdefault(method, []).extend(steps)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        call = json.loads(body)
        method = call["method"]
        self.seen.append(method)
        waiting = self.steps.get(method)
        if self.down:
            answer: Step = cut
        elif waiting:
            answer = waiting.pop(0)
        else:
            answer = self.always.get(method, forward)
        response: web.StreamResponse = await answer(self, request, body, call)
        return response

    async def ask(self, body: bytes) -> bytes:
        async with self.session.post(self.upstream, data=body, headers=_JSON) as response:
            return await response.read()


_JSON = {"Content-Type": "application/json"}


async def forward(proxy: Proxy, _request: Any, body: bytes, _call: Any) -> web.Response:
    return web.Response(body=await proxy.ask(body), headers=_JSON)


async def cut(_proxy: Proxy, request: web.Request, _body: bytes, _call: Any) -> web.Response:
    """The call never arrives and the connection breaks."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def lose_reply(proxy: Proxy, request: web.Request, body: bytes, call: Any) -> web.Response:
    """The call arrives and its answer does not."""
    await proxy.ask(body)
    return await cut(proxy, request, body, call)


def error(message: str, code: int = -32000, *, delivered: bool = False) -> Step:
    """The node says no; `delivered`: though it has taken the call."""

    async def step(proxy: Proxy, _request: Any, body: bytes, call: Any) -> web.Response:
        if delivered:
            await proxy.ask(body)
        return _reply(call, error={"code": code, "message": message})

    return step


def result(value: Any) -> Step:
    """The node answers this, whatever is true."""

    async def step(_proxy: Proxy, _request: Any, _body: bytes, call: Any) -> web.Response:
        return _reply(call, result=value)

    return step


def altered(**fields: Any) -> Step:
    """The true answer with other fields."""

    async def step(proxy: Proxy, _request: Any, body: bytes, call: Any) -> web.Response:
        answer = json.loads(await proxy.ask(body))["result"]
        return _reply(call, result=None if answer is None else {**answer, **fields})

    return step


def status(code: int, text: str = "", *, delivered: bool = False, **headers: str) -> Step:
    """The gateway answers in the node's place."""

    async def step(proxy: Proxy, _request: Any, body: bytes, _call: Any) -> web.Response:
        if delivered:
            await proxy.ask(body)
        return web.Response(status=code, text=text, headers=headers)

    return step


def _reply(call: Any, **content: Any) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": call["id"], **content})
