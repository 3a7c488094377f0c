"""The devchain's face: JSON-RPC over HTTP with basic authentication, and ZMQ news."""

from __future__ import annotations

import asyncio
import hmac
import inspect
import struct
from base64 import b64encode
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import msgspec
import zmq
import zmq.asyncio
from aiohttp import web

from millpond.chains.bitcoin.errors import InvalidAddressError
from millpond.chains.devchain.chain import Devchain
from millpond.chains.devchain.faults import Fault, FaultMode, Faults
from millpond.chains.devchain.index import Node
from millpond.chains.devchain.methods import DevRpcError, Method, table
from millpond.chains.devchain.params import DevParams
from millpond.chains.devchain.rpc_chain import ChainMethods
from millpond.chains.devchain.rpc_dev import DevMethods
from millpond.chains.devchain.rpc_mempool import MempoolMethods
from millpond.chains.devchain.rpc_wallet import WalletAdmin, WalletMethods
from millpond.chains.devchain.storage import Storage
from millpond.chains.devchain.wallets import DevWallet, WalletBook
from millpond.clock import Clock, Entropy

_MAX_BODY = 32 * 1024 * 1024
_DECODER = msgspec.json.Decoder(type=dict[str, Any], float_hook=Decimal)
_HTTP_STATUS = {-32600: 400, -32601: 404}


class DevchainServer:
    """A devchain that can be called.

    Args:
        params: Rules of the chain.
        clock: Times in blocks, delays of faults.
        entropy: Seeds of wallets.
        datadir: Where the chain is kept; None: in memory.
        host: Address to listen on.
        port: 0 takes a free one; see `port` after `start`.
        user: For HTTP basic authentication, with `password`.
        password: See `user`.
        zmq_address: Where `hashblock` is published, like `tcp://127.0.0.1:28332`.
    """

    def __init__(
        self,
        params: DevParams,
        clock: Clock,
        entropy: Entropy,
        *,
        datadir: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        user: str = "devchain",
        password: str = "devchain",  # noqa: S107 - the demo's default, on the loopback only
        zmq_address: str | None = None,
    ) -> None:
        self.chain = Devchain(params, clock, Storage(datadir))
        self.wallets = WalletBook(self.chain, entropy)
        self.faults = Faults()
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self._clock = clock
        self._authorization = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        dev = DevMethods(self.chain, self.wallets, self.faults, self._refuse_for)
        self._methods: dict[str, Method] = (
            table(ChainMethods(self.chain), wallet=False)
            | table(MempoolMethods(self.chain), wallet=False)
            | table(WalletAdmin(self.chain, self.wallets), wallet=False)
            | table(WalletMethods(self.chain), wallet=True)
            | table(dev, wallet=False)
        )
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._zmq_address = zmq_address
        self._zmq: zmq.asyncio.Context | None = None
        self._publisher: zmq.asyncio.Socket | None = None
        self._sequence = 0
        self._tasks: set[asyncio.Task[None]] = set()

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
        """Read the chain back and listen.

        Raises:
            DevchainStorageError: The data directory holds another chain.
            OSError: The port is taken.
        """
        self.chain.load()
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_post("/", self._handle)
        app.router.add_post("/wallet/{wallet}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await self._listen()
        if self._zmq_address is not None:
            self._zmq = zmq.asyncio.Context()
            self._publisher = self._zmq.socket(zmq.PUB)
            self._publisher.setsockopt(zmq.LINGER, 0)
            self._publisher.bind(self._zmq_address)
            self.chain.on_tip.append(self._publish)

    async def stop(self) -> None:
        """Stop listening and close the chain's log."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._publisher is not None:
            self._publisher.close()
        if self._zmq is not None:
            self._zmq.term()
        self.chain.storage.close()

    async def _listen(self) -> None:
        assert self._runner is not None, "the server is set up before it listens"
        self._site = web.TCPSite(self._runner, self.host, self.port)
        await self._site.start()
        if self.port == 0:
            address = self._runner.addresses[0]
            self.port = int(address[1])

    async def _refuse_for(self, seconds: float) -> None:
        """Close the port now, and open it again after `seconds`."""
        assert self._site is not None, "only a listening server can stop to"
        await self._site.stop()

        async def reopen() -> None:
            await self._clock.sleep(seconds)
            await self._listen()

        task = asyncio.create_task(reopen())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _publish(self, tip: Node) -> None:
        assert self._publisher is not None, "news go out only where a socket is bound"
        frames = [b"hashblock", tip.hash_le[::-1], self._sequence.to_bytes(4, "little")]
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        task = asyncio.ensure_future(self._publisher.send_multipart(frames))
        task.add_done_callback(lambda done: done.exception())

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), self._authorization.encode()):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="jsonrpc"'})
        try:
            call = _DECODER.decode(await request.read())
        except msgspec.DecodeError:
            return _answer(None, None, DevRpcError(-32700, "Parse error"))
        identity, method = call.get("id"), call.get("method")
        if not isinstance(method, str):
            return _answer(identity, None, DevRpcError(-32600, "Missing method"))
        fault = self.faults.take(method)
        if fault is not None:
            return await self._faulty(request, call, fault)
        return await self._perform(request, call)

    async def _perform(self, request: web.Request, call: Mapping[str, Any]) -> web.Response:
        try:
            result = await self._call(
                call["method"], call.get("params") or [], request.match_info.get("wallet")
            )
        except DevRpcError as error:
            return _answer(call.get("id"), None, error)
        except InvalidAddressError as error:
            return _answer(call.get("id"), None, DevRpcError(-5, error.message))
        except (ArithmeticError, LookupError, TypeError, ValueError, struct.error) as error:
            # Nothing is changed before the parameters were read.
            wrong = DevRpcError(-1, f"JSON value is not as expected: {error}")
            return _answer(call.get("id"), None, wrong)
        return _answer(call.get("id"), result, None)

    async def _call(self, name: str, params: Any, wallet: str | None) -> Any:
        method = self._methods.get(name)
        if method is None:
            raise DevRpcError(-32601, "Method not found")
        if not isinstance(params, list):
            raise DevRpcError(-32600, "Params must be an array here")
        method.check(params)
        context = [self._wallet(wallet)] if method.wallet else []
        result = method.function(*context, *params)
        return await result if inspect.isawaitable(result) else result

    def _wallet(self, name: str | None) -> DevWallet:
        loaded = self.wallets.loaded
        if name is not None:
            if name not in loaded:
                raise DevRpcError(-18, "Requested wallet does not exist or is not loaded")
            return loaded[name]
        if not loaded:
            raise DevRpcError(-18, "No wallet is loaded.")
        if len(loaded) > 1:
            raise DevRpcError(-19, "Wallet file not specified")
        return next(iter(loaded.values()))

    async def _faulty(
        self, request: web.Request, call: Mapping[str, Any], fault: Fault
    ) -> web.StreamResponse:
        instead = _without_acting(request, call, fault)
        if instead is not None:
            return instead
        if fault.mode is FaultMode.DELAY_BEFORE:
            await self._clock.sleep(fault.delay_s)
        response = await self._perform(request, call)
        if fault.mode is FaultMode.DELAY:
            await self._clock.sleep(fault.delay_s)
        if fault.mode is FaultMode.HANG:
            await asyncio.Event().wait()
        return _after_acting(request, call, fault) or response


def _without_acting(
    request: web.Request, call: Mapping[str, Any], fault: Fault
) -> web.Response | None:
    identity = call.get("id")
    if fault.mode is FaultMode.ERROR:
        return _answer(identity, None, DevRpcError(fault.rpc_code, fault.message))
    if fault.mode is FaultMode.ANSWER:
        return _answer(identity, fault.result, None)
    if fault.mode is FaultMode.HTTP_503:
        return web.Response(status=503, text="Work queue depth exceeded")
    if fault.mode is FaultMode.DROP_BEFORE:
        return _drop(request)
    return None


def _after_acting(
    request: web.Request, call: Mapping[str, Any], fault: Fault
) -> web.Response | None:
    if fault.mode is FaultMode.DROP_AFTER:
        return _drop(request)
    if fault.mode is FaultMode.ACT_AND_LIE:
        return _answer(call.get("id"), fault.result, None)
    if fault.mode is FaultMode.GARBAGE:
        return web.Response(text="<html>Bad Gateway</html>")
    return None


def _drop(request: web.Request) -> web.Response:
    """Break the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _answer(identity: Any, result: Any, error: DevRpcError | None) -> web.Response:
    document: dict[str, Any] = {"result": result, "error": None, "id": identity}
    status = 200
    if error is not None:
        document["error"] = {"code": error.rpc_code, "message": error.message}
        status = _HTTP_STATUS.get(error.rpc_code, 500)
    return web.Response(
        body=msgspec.json.encode(document), status=status, content_type="application/json"
    )
