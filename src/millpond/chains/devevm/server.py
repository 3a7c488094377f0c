"""The devevm's face: JSON-RPC over HTTP, single calls and batches."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import msgspec
from aiohttp import web

from millpond.chains.devevm.chain import Devevm
from millpond.chains.devevm.errors import DevevmRpcError
from millpond.chains.devevm.methods import table
from millpond.chains.devevm.params import DevevmParams
from millpond.chains.devevm.rpc_chain import ChainMethods
from millpond.chains.devevm.rpc_dev import DevMethods
from millpond.chains.devevm.rpc_state import StateMethods
from millpond.chains.devevm.storage import Storage
from millpond.clock import Clock, Entropy

_MAX_BODY = 5 * 1024 * 1024
_MAX_BATCH = 1_000
_MAX_NESTED = 500
_DECODER = msgspec.json.Decoder()


class DevevmServer:
    """A devevm that can be called.

    Args:
        params: Rules of the chain.
        clock: Times of blocks, and of making them.
        entropy: Makes blocks differ.
        datadir: Where the chain is kept; None: in memory.
        host: Address to listen on.
        port: 0 takes a free one; see `port` after `start`.
    """

    def __init__(
        self,
        params: DevevmParams,
        clock: Clock,
        entropy: Entropy,
        *,
        datadir: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.chain = Devevm(params, clock, entropy, Storage(datadir))
        self.host = host
        self.port = port
        self._clock = clock
        self._methods = (
            table(ChainMethods(self.chain, version("millpond")))
            | table(StateMethods(self.chain))
            | table(DevMethods(self.chain))
        )
        self._runner: web.AppRunner | None = None
        self._miner: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the RPC is."""
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Read the chain back, listen, and mine if blocks come by time.

        Raises:
            DevevmStorageError: The data directory holds another chain.
            OSError: The port is taken.
        """
        self.chain.load()
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_post("/", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        if self.port == 0:
            self.port = int(self._runner.addresses[0][1])
        if self.chain.params.block_time_s is not None:
            self._miner = asyncio.create_task(self._mine(self.chain.params.block_time_s))

    async def stop(self) -> None:
        """Stop mining and listening, and close the database."""
        if self._miner is not None:
            self._miner.cancel()
            await asyncio.gather(self._miner, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.chain.storage.close()

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Wait for `stop`; raises what ended the making of blocks, if that ends first."""
        waiting = asyncio.create_task(stop.wait())
        running = {waiting} | ({self._miner} if self._miner is not None else set())
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for task in done:
            await task

    async def _mine(self, every_s: float) -> None:
        while True:
            await self._clock.sleep(every_s)
            self.chain.mine()

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            document = _read(await request.read())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _response(_error(None, DevevmRpcError(-32_700, "parse error")))
        if not isinstance(document, list):
            return _response(self._perform(document))
        if not document:
            return _response(_error(None, DevevmRpcError(-32_600, "empty batch")))
        if len(document) > _MAX_BATCH:
            return _response(_error(None, DevevmRpcError(-32_600, "batch too large")))
        answers = []
        for call in document:
            answers.append(self._perform(call))
            await asyncio.sleep(0)  # others come in between: one call may take seconds
        return _response(answers)

    def _perform(self, call: Any) -> dict[str, Any]:
        if not isinstance(call, Mapping) or not isinstance(call.get("method"), str):
            return _error(None, DevevmRpcError(-32_600, "invalid request"))
        identity, name = call.get("id"), call["method"]
        method = self._methods.get(name)
        params = [] if call.get("params") is None else call["params"]
        try:
            if method is None:
                raise DevevmRpcError(  # noqa: TRY301 - one place answers
                    -32_601, f"the method {name} does not exist/is not available"
                )
            if not isinstance(params, list):
                raise DevevmRpcError(-32_602, "non-array args")  # noqa: TRY301 - the same
            return {"jsonrpc": "2.0", "id": identity, "result": method(params)}
        except DevevmRpcError as error:
            return _error(identity, error)


def _read(body: bytes) -> Any:
    """Decode a request, with the interpreter's guard against deep recursion in force.

    py-evm raises the recursion limit so far that a few hundred kilobytes of opening
    brackets would overflow the C stack of the decoder and kill the process.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(min(limit, _depth() + _MAX_NESTED))
    try:
        return _DECODER.decode(body)
    finally:
        sys.setrecursionlimit(limit)


def _depth() -> int:
    """How many calls deep this is."""
    frame, depth = sys._getframe(), 0  # noqa: SLF001 - its public name
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


def _error(identity: Any, error: DevevmRpcError) -> dict[str, Any]:
    told: dict[str, Any] = {"code": error.rpc_code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return {"jsonrpc": "2.0", "id": identity, "error": told}


def _response(document: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
