"""A proxy before an EVM node that breaks what it is told to break.

    async with FaultProxy(node.url) as proxy:
        proxy.inject(lost_after("eth_sendRawTransaction"))
        ...                                     # talk to proxy.url

A fault is for one RPC method (or `*`), for so many calls after so many that go
well. Faults of the transport break the whole request, also a batch's; faults of
content change one answer. `proxy.chaos(seed, rate, faults)` draws them at random,
the same ones for the same seed and order of calls. `proxy.seen` tells what was
asked and what was done to it.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Self

import aiohttp
from aiohttp import web

_MAX_SEEN = 100_000
_TAGS = {"latest", "pending"}
_TAG_PLACE = {
    "eth_getBlockByNumber": 0,
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_getStorageAt": 2,
}


class Kind(Enum):
    """What is broken."""

    LOST_BEFORE = auto()  # the connection breaks, the node hears nothing
    LOST_AFTER = auto()  # the node did it, the answer is lost
    HANG = auto()  # the node did it, the answer never comes (until `release`)
    HTTP = auto()  # a status instead of an answer; the node hears nothing
    TRUNCATED = auto()  # the node did it, half of the answer comes
    GARBAGE = auto()  # the node did it, something else than JSON comes
    ERROR = auto()  # an error object; the node hears nothing
    ERROR_AFTER = auto()  # the node did it, and an error object comes
    WRONG_ID = auto()  # the answer to somebody else's question
    REWRITE = auto()  # the answer is changed
    BEHIND = auto()  # the node answers as it would have some blocks ago


_TRANSPORT_BEFORE = {Kind.LOST_BEFORE, Kind.HTTP}
_TRANSPORT_AFTER = {Kind.LOST_AFTER, Kind.HANG, Kind.TRUNCATED, Kind.GARBAGE}


@dataclass
class Fault:
    """One fault; see the functions below for ready ones."""

    kind: Kind
    method: str = "*"
    times: int | None = 1
    """For how many calls; None: until cleared."""
    skip: int = 0
    """How many calls go well before."""
    matches: Callable[[list[Any]], bool] = lambda _: True
    """Only for calls with such parameters."""
    error: dict[str, Any] = field(default_factory=dict)
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    rewrite: Callable[[Any], Any] = lambda result: result
    behind: int = 0

    def takes(self, method: str, params: list[Any]) -> bool:
        """Is this call's turn? Counts it."""
        if self.times == 0 or self.method not in {"*", method} or not self.matches(params):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(frozen=True)
class Seen:
    """A call that came, and what was done to it."""

    method: str
    params: list[Any]
    fault: Kind | None


class FaultProxy:
    """The proxy; lives on the event loop that it is started on."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._faults: list[Fault] = []
        self._chaos: Callable[[str, list[Any]], Fault | None] = lambda _, __: None
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._released = asyncio.Event()
        self.url = ""
        self.seen: deque[Seen] = deque(maxlen=_MAX_SEEN)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    # -- control ----------------------------------------------------------

    def inject(self, *faults: Fault) -> None:
        """Put faults in force; the first that fits a call takes it."""
        self._faults += [copy.copy(fault) for fault in faults]

    def clear(self) -> None:
        """No more faults, scripted or random; hanging answers go out."""
        self._faults = []
        self._chaos = lambda _, __: None
        self.release()

    def chaos(self, seed: int, rate: float, faults: Sequence[Fault]) -> None:
        """Let a share of the calls meet one of the faults that fit, drawn by a seed."""
        dice = random.Random(seed)

        def draw(method: str, params: list[Any]) -> Fault | None:
            fitting = [one for one in faults if one.method in {"*", method} and one.matches(params)]
            unlucky = dice.random() < rate
            return dice.choice(fitting) if fitting and unlucky else None

        self._chaos = draw

    def release(self) -> None:
        """Let hanging answers go out."""
        self._released.set()
        self._released = asyncio.Event()

    def count(self, method: str) -> int:
        """How many calls of a method came."""
        return sum(one.method == method for one in self.seen)

    # -- serving ----------------------------------------------------------

    def _take(self, call: dict[str, Any]) -> Fault | None:
        method, params = call.get("method", ""), call.get("params") or []
        fault = next((one for one in self._faults if one.takes(method, params)), None)
        fault = fault or self._chaos(method, params)
        self.seen.append(Seen(method, params, fault.kind if fault else None))
        return fault

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        calls = document if isinstance(document, list) else [document]
        taken = [(call, self._take(call)) for call in calls]
        broken = next((f for _, f in taken if f and f.kind in _TRANSPORT_BEFORE), None)
        if broken is not None:
            return _break_before(request, broken)
        released = self._released
        answers = [await self._answer(call, fault) for call, fault in taken]
        body = json.dumps(answers if isinstance(document, list) else answers[0])
        broken = next((f for _, f in taken if f and f.kind in _TRANSPORT_AFTER), None)
        if broken is None:
            return web.Response(text=body, content_type="application/json")
        if broken.kind is Kind.HANG:
            await released.wait()
            return web.Response(text=body, content_type="application/json")
        return _break_after(request, broken, body)

    async def _answer(self, call: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
        if fault is None:
            return await self._forward(call)
        if fault.kind is Kind.ERROR:
            return _error_answer(call, fault)
        if fault.kind is Kind.BEHIND:
            return await self._as_before(call, fault.behind)
        return _changed(call, await self._forward(call), fault)

    async def _forward(self, call: dict[str, Any]) -> dict[str, Any]:
        assert self._session is not None
        async with self._session.post(self._upstream, json=call) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            return answer

    async def _ask(self, method: str, *params: Any) -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        return (await self._forward(call))["result"]

    async def _as_before(self, call: dict[str, Any], behind: int) -> dict[str, Any]:
        """The answer of a node whose head is some blocks behind."""
        head = max(0, int(await self._ask("eth_blockNumber"), 16) - behind)
        method, params = call["method"], list(call.get("params") or [])
        if method == "eth_blockNumber":
            return {"jsonrpc": "2.0", "id": call["id"], "result": hex(head)}
        place = _TAG_PLACE.get(method)
        if place is not None and place < len(params) and params[place] in _TAGS:
            params[place] = hex(head)
        answer = await self._forward(call | {"params": params})
        return answer | {"result": _until(answer.get("result"), head)} if answer else answer


def _until(result: Any, head: int) -> Any:
    """What of an answer is known at a height."""
    if isinstance(result, list):
        return [one for one in result if _until(one, head) is not None]
    if isinstance(result, dict):
        number = result.get("blockNumber") or result.get("number")
        if isinstance(number, str) and int(number, 16) > head:
            return None
    return result


def _changed(call: dict[str, Any], answer: dict[str, Any], fault: Fault) -> dict[str, Any]:
    """What comes of an answer that the node gave."""
    if fault.kind is Kind.ERROR_AFTER:
        return _error_answer(call, fault)
    if fault.kind is Kind.WRONG_ID:
        return answer | {"id": 987_654_321}
    if fault.kind is Kind.REWRITE and "result" in answer:
        return answer | {"result": fault.rewrite(answer["result"])}
    return answer


def _error_answer(call: dict[str, Any], fault: Fault) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call.get("id"), "error": fault.error}


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _break_before(request: web.Request, fault: Fault) -> web.Response:
    if fault.kind is Kind.LOST_BEFORE:
        return _drop(request)
    return web.Response(status=fault.status, headers=fault.headers, text="not now")


def _break_after(request: web.Request, fault: Fault, body: str) -> web.Response:
    if fault.kind is Kind.LOST_AFTER:
        return _drop(request)
    if fault.kind is Kind.TRUNCATED:
        return web.Response(text=body[: len(body) // 2], content_type="application/json")
    return web.Response(text="<html>Bad Gateway</html>", content_type="text/html")


# -- ready faults -----------------------------------------------------------


def lost_before(method: str = "*", **options: Any) -> Fault:
    """The connection breaks before the node hears of it."""
    return Fault(Kind.LOST_BEFORE, method, **options)


def lost_after(method: str = "*", **options: Any) -> Fault:
    """The node did it; the answer is lost."""
    return Fault(Kind.LOST_AFTER, method, **options)


def hanging(method: str = "*", **options: Any) -> Fault:
    """The node did it; the answer comes after `release` only."""
    return Fault(Kind.HANG, method, **options)


def rate_limited(method: str = "*", *, retry_after_s: int = 1, **options: Any) -> Fault:
    """HTTP 429 with `Retry-After`."""
    headers = {"Retry-After": str(retry_after_s)}
    return Fault(Kind.HTTP, method, status=429, headers=headers, **options)


def http_status(status: int = 503, method: str = "*", **options: Any) -> Fault:
    """A status without JSON; the node hears nothing."""
    return Fault(Kind.HTTP, method, status=status, **options)


def truncated(method: str = "*", **options: Any) -> Fault:
    """Half of the JSON."""
    return Fault(Kind.TRUNCATED, method, **options)


def garbage(method: str = "*", **options: Any) -> Fault:
    """A page instead of JSON, with status 200."""
    return Fault(Kind.GARBAGE, method, **options)


def wrong_id(method: str = "*", **options: Any) -> Fault:
    """An answer with an identity that nobody asked with."""
    return Fault(Kind.WRONG_ID, method, **options)


def refused(code: int, message: str, method: str = "*", **options: Any) -> Fault:
    """An error object; the node hears nothing."""
    return Fault(Kind.ERROR, method, error={"code": code, "message": message}, **options)


def refused_after(code: int, message: str, method: str = "*", **options: Any) -> Fault:
    """The node did it, and an error object comes all the same."""
    return Fault(Kind.ERROR_AFTER, method, error={"code": code, "message": message}, **options)


def already_known(**options: Any) -> Fault:
    """The transaction was taken, and the node says that it has it."""
    return refused_after(-32_000, "already known", "eth_sendRawTransaction", **options)


def nonce_too_low_after(**options: Any) -> Fault:
    """The transaction was taken (and mined), and the node says that it comes too late."""
    return refused_after(-32_000, "nonce too low", "eth_sendRawTransaction", **options)


def rewritten(method: str, rewrite: Callable[[Any], Any], **options: Any) -> Fault:
    """The answer is changed by a function."""
    return Fault(Kind.REWRITE, method, rewrite=rewrite, **options)


def huge(method: str = "*", *, megabytes: int = 64, **options: Any) -> Fault:
    """An answer of so many megabytes."""
    return Fault(Kind.REWRITE, method, rewrite=lambda _: "0x" + "00" * (megabytes << 19), **options)


def missing(method: str = "eth_getTransactionReceipt", **options: Any) -> Fault:
    """Null, as if there were no such thing."""
    return Fault(Kind.REWRITE, method, rewrite=lambda _: None, **options)


def missing_logs(keep: Callable[[dict[str, Any]], bool] = lambda _: False, **options: Any) -> Fault:
    """Logs left out; `keep` says which are not."""
    return rewritten("eth_getLogs", lambda logs: [one for one in logs if keep(one)], **options)


def stale_nonce(by: int = 1, **options: Any) -> Fault:
    """A count of transactions that is too low."""
    return rewritten(
        "eth_getTransactionCount", lambda nonce: hex(max(0, int(nonce, 16) - by)), **options
    )


def other_block(method: str = "eth_getBlockByNumber", **options: Any) -> Fault:
    """A block with another hash than the others' at its height."""
    return rewritten(method, lambda block: _with(block, hash="0x" + "bad0" * 16), **options)


def other_receipt(**options: Any) -> Fault:
    """A receipt that says the opposite, in another block."""

    def turn(receipt: Any) -> Any:
        if receipt is None:
            return None
        status = "0x0" if receipt["status"] == "0x1" else "0x1"
        return _with(receipt, status=status, blockHash="0x" + "bad0" * 16, logs=[])

    return rewritten("eth_getTransactionReceipt", turn, **options)


def other_logs(**options: Any) -> Fault:
    """Logs with another data than the others'."""
    return rewritten(
        "eth_getLogs", lambda logs: [_with(one, data="0x" + "f" * 64) for one in logs], **options
    )


def behind(blocks: int, **options: Any) -> Fault:
    """The node is so many blocks behind, in all that it says; until cleared."""
    return Fault(Kind.BEHIND, "*", behind=blocks, **({"times": None} | options))


def _with(found: Any, **changes: Any) -> Any:
    return None if found is None else found | changes
