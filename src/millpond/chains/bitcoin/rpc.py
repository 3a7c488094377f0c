"""One daemon's JSON-RPC endpoint: pooled connections, bounded answers, typed errors."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec

from millpond.chains.bitcoin.errors import (
    RpcAuthError,
    RpcOutcomeUnknownError,
    RpcProtocolError,
    RpcTimeoutError,
    RpcUnavailableError,
    error_for,
)

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""A full block with its transactions decoded stays below this."""

_REPEATABLE = frozenset(
    {
        "decoderawtransaction",
        "getbestblockhash",
        "getbalances",
        "getblock",
        "getblockchaininfo",
        "getblockcount",
        "getblockhash",
        "getblockheader",
        "getblocktemplate",
        "getmempoolentry",
        "getmininginfo",
        "getnetworkinfo",
        "getrawmempool",
        "getrawtransaction",
        "gettransaction",
        "gettxout",
        "listsinceblock",
        "listunspent",
        "listwallets",
        "submitblock",
        "validateaddress",
        "verifymessage",
    }
)
"""Asked again once when a pooled connection turns out dead: a repeat changes nothing."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(type=dict[str, Any], float_hook=Decimal)


class RpcEndpoint:
    """JSON-RPC over HTTP to one daemon, or to one wallet of it.

    Numbers with a fraction come back as `decimal.Decimal`, read from the
    digits on the wire; whole numbers as `int`.

    Args:
        url: `http://host:port`.
        user: With `password`, HTTP basic authentication.
        password: See `user`.
        cookie_file: Read for every new try instead of user and password, since
            a daemon writes a new one each time it starts.
        wallet: Name of the wallet that the calls are for.
        timeout_s: How long an answer may take.
        connections: Bound of the pool.
        name: How logs and pages call this daemon; without user or password.
    """

    def __init__(
        self,
        url: str,
        user: str = "",
        password: str = "",
        *,
        cookie_file: Path | str | None = None,
        wallet: str | None = None,
        timeout_s: float = 15.0,
        connections: int = 16,
        name: str | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.name = name or self.url
        self.wallet = wallet
        self.timeout_s = timeout_s
        self._user = user
        self._password = password
        self._cookie_file = Path(cookie_file) if cookie_file else None
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._next_id = 0

    def __repr__(self) -> str:
        return f"RpcEndpoint({self.name!r}, wallet={self.wallet!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def for_wallet(self, wallet: str) -> RpcEndpoint:
        """An endpoint with its own connections for one wallet of the same daemon."""
        return RpcEndpoint(
            self.url,
            self._user,
            self._password,
            cookie_file=self._cookie_file,
            wallet=wallet,
            timeout_s=self.timeout_s,
            connections=self._connections,
            name=f"{self.name}/{wallet}",
        )

    async def call(self, method: str, *params: object, timeout_s: float | None = None) -> Any:
        """Call `method` and return its `result`.

        Raises:
            RpcRejectedError: The daemon says no; see its subclasses.
            RpcUnavailableError: Nothing reached the daemon; see its subclasses.
            RpcOutcomeUnknownError: It may or may not have happened.
        """
        self._next_id += 1
        body = _ENCODER.encode(
            {"jsonrpc": "1.0", "id": self._next_id, "method": method, "params": params}
        )
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        tries = 2 if method in _REPEATABLE else 1
        for attempt in range(1, tries + 1):
            try:
                # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
                async with asyncio.timeout(limit_s):
                    status, answer = await self._post(body)
            except TimeoutError:
                raise RpcTimeoutError(
                    f"{self.name} has not answered {method} within {limit_s:g} s", method=method
                ) from None
            except aiohttp.ClientConnectorError as error:
                raise RpcUnavailableError(f"{self.name} cannot be reached: {error}") from None
            except (aiohttp.ClientError, OSError) as error:
                if attempt == tries:
                    raise RpcOutcomeUnknownError(
                        f"{self.name} broke off during {method}: {type(error).__name__}",
                        method=method,
                    ) from None
            else:
                return self._result(method, status, answer)
        raise AssertionError("every try returns or raises")

    async def close(self) -> None:
        """Close the pooled connections; a later call opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        session = self._open()
        path = f"/wallet/{self.wallet}" if self.wallet is not None else "/"
        headers = {"Authorization": self._authorization(), "Content-Type": "application/json"}
        async with session.post(self.url + path, data=body, headers=headers) as response:
            parts: list[bytes] = []
            size = 0
            async for part in response.content.iter_chunked(1 << 18):
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    raise RpcProtocolError(f"{self.name} answers with too many bytes")
                parts.append(part)
            return response.status, b"".join(parts)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Daemons close idle connections after 30 s: let ours go first.
            connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=20)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=None)
            )
        return self._session

    def _authorization(self) -> str:
        pair = f"{self._user}:{self._password}"
        if self._cookie_file is not None:
            try:
                pair = self._cookie_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise RpcUnavailableError(
                    f"{self.name}: the cookie file cannot be read: {error.strerror}"
                ) from None
        return "Basic " + b64encode(pair.encode()).decode()

    def _result(self, method: str, status: int, answer: bytes) -> Any:
        if status in {401, 403}:
            raise RpcAuthError(f"{self.name} refuses user and password (HTTP {status})")
        if status == 503 and not answer.startswith(b"{"):
            raise RpcUnavailableError(f"{self.name} is too busy to take a call")
        try:
            document = _DECODER.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise RpcProtocolError(
                f"{self.name} answered {method} with HTTP {status} and no JSON object"
            ) from None
        error = document.get("error")
        if error is not None:
            raise _typed(error, method)
        if "result" not in document:
            raise RpcProtocolError(f"{self.name} answered {method} without a result")
        return document["result"]


def _typed(error: Any, method: str) -> Exception:
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        return RpcProtocolError(f"the error for {method} has no code")
    return error_for(error["code"], str(error.get("message", ""))[:500], method)
