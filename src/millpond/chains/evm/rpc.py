"""One EVM node over JSON-RPC: pooled connections, bounded answers, batches, typed errors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from millpond.chains.evm.errors import (
    RpcAnswerTooLargeError,
    RpcAuthError,
    RpcError,
    RpcOutcomeUnknownError,
    RpcProtocolError,
    RpcRateLimitedError,
    RpcServerError,
    RpcTimeoutError,
    RpcUnavailableError,
)
from millpond.chains.evm.rejections import error_for
from millpond.errors import InvalidInputError

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Ten thousand logs of a dense block stay below this."""
MAX_BATCH = 100
"""Calls in one request; hosted services refuse more."""
_MAX_RETRY_AFTER_S = 3600

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


class RpcEndpoint:
    """JSON-RPC 2.0 over HTTP to one node.

    Whole numbers come back as `int`, numbers with a fraction as
    `decimal.Decimal`; no float is ever made.

    Args:
        url: `http://host:port/path`; the path of a hosted service holds its key,
            and is therefore never logged or shown.
        name: How logs and pages call this node; host and port if not given.
        headers: Sent with every request, such as an authorisation; never shown.
        timeout_s: How long an answer may take.
        max_body: Longest answer that is read, in bytes.
        connections: Bound of the pool.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 15.0,
        max_body: int = MAX_BODY_BYTES,
        connections: int = 16,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidInputError("the address of a node starts with http:// or https://")
        self._url = url
        self.name = name or parts.netloc.rpartition("@")[2]
        self.timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._max_body = max_body
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._next_id = 0

    def __repr__(self) -> str:
        return f"RpcEndpoint({self.name!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def call(
        self, method: str, params: Sequence[object] = (), *, timeout_s: float | None = None
    ) -> Any:
        """Call `method` and return its `result`.

        Raises:
            RpcRejectedError: The node says no; see its subclasses.
            RpcUnavailableError: Nothing was taken; see its subclasses.
            RpcOutcomeUnknownError: It may or may not have happened.
        """
        (request,) = self._requests([(method, params)])
        answer = await self._exchange(request, method, timeout_s, _repeatable(method))
        return self._result(request, answer)

    async def batch(
        self, calls: Sequence[tuple[str, Sequence[object]]], *, timeout_s: float | None = None
    ) -> list[Any]:
        """Call several methods in one request (in several, beyond `MAX_BATCH`).

        Returns:
            For each call its result or, where that one failed, an `RpcError`
            (not raised: the others still count).

        Raises:
            RpcError: The request as a whole failed.
        """
        results: list[Any] = []
        for start in range(0, len(calls), MAX_BATCH):
            results += await self._batch(calls[start : start + MAX_BATCH], timeout_s)
        return results

    async def close(self) -> None:
        """Close the pooled connections; a later call opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _batch(
        self, calls: Sequence[tuple[str, Sequence[object]]], timeout_s: float | None
    ) -> list[Any]:
        requests = self._requests(calls)
        repeatable = all(_repeatable(method) for method, _ in calls)
        document = await self._exchange(requests, "a batch", timeout_s, repeatable)
        if isinstance(document, dict):
            # One error object instead of a list speaks for the whole batch.
            raise self._failure(document, calls[0][0])
        if not isinstance(document, list):
            raise RpcProtocolError(f"{self.name} answers a batch with no list")
        by_id = {
            answer["id"]: answer
            for answer in document
            if isinstance(answer, dict) and type(answer.get("id")) is int
        }
        return [self._outcome(request, by_id.get(request["id"])) for request in requests]

    def _requests(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[dict[str, Any]]:
        requests = []
        for method, params in calls:
            assert not isinstance(params, (str, bytes)), "parameters are a sequence"
            self._next_id += 1
            requests.append(
                {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": list(params)}
            )
        return requests

    def _outcome(self, request: dict[str, Any], answer: Any) -> Any:
        """A result, or the error as a value."""
        try:
            return self._result(request, answer)
        except RpcError as error:
            return error

    def _result(self, request: dict[str, Any], answer: Any) -> Any:
        method = request["method"]
        if not isinstance(answer, dict):
            raise RpcProtocolError(f"{self.name} gives no answer to {method}")
        if answer.get("error") is not None:
            raise self._failure(answer, method)
        if answer.get("id") != request["id"]:
            raise RpcProtocolError(f"{self.name} answers {method} with another call's id")
        if "result" not in answer:
            raise RpcProtocolError(f"{self.name} answers {method} without a result")
        return answer["result"]

    def _failure(self, answer: dict[str, Any], method: str) -> RpcError:
        match answer.get("error"):
            case {"code": int(code), **rest}:
                return error_for(code, str(rest.get("message", "")), rest.get("data"), method)
            case str(message):
                return error_for(0, message, None, method)
        return RpcProtocolError(f"{self.name} answers {method} with an error without a code")

    async def _exchange(
        self,
        document: object,
        what: str,
        timeout_s: float | None,
        repeatable: bool,  # noqa: FBT001
    ) -> Any:
        body = _ENCODER.encode(document)
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        for last in (not repeatable, True):
            try:
                # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
                async with asyncio.timeout(limit_s):
                    return await self._post(body, what)
            except TimeoutError:
                raise RpcTimeoutError(
                    f"{self.name} has not answered {what} within {limit_s:g} s"
                ) from None
            except aiohttp.ClientConnectorError as error:
                raise RpcUnavailableError(
                    f"{self.name} cannot be reached: {error.os_error.strerror}"
                ) from None
            except (aiohttp.ClientError, OSError) as error:
                # A pooled connection may be dead: once more, if that changes nothing.
                if last:
                    raise RpcOutcomeUnknownError(
                        f"{self.name} broke off during {what}: {type(error).__name__}"
                    ) from None
        raise AssertionError("every try returns or raises")

    async def _post(self, body: bytes, what: str) -> Any:
        session = self._open()
        # A redirect would take the key in the headers, and the question, to somebody else,
        # perhaps in the clear; and as a GET it would not be the question any more.
        async with session.post(
            self._url, data=body, headers=self._headers, allow_redirects=False
        ) as response:
            parts: list[bytes] = []
            size = 0
            async for part in response.content.iter_any():
                size += len(part)
                if size > self._max_body:
                    raise RpcAnswerTooLargeError(
                        f"{self.name} answers {what} with more than {self._max_body} bytes"
                    )
                parts.append(part)
            return self._decode(response, b"".join(parts), what)

    def _decode(self, response: aiohttp.ClientResponse, answer: bytes, what: str) -> Any:
        status = response.status
        if status in {401, 403}:
            raise RpcAuthError(f"{self.name} refuses the credentials (HTTP {status})")
        if status == 429:
            raise RpcRateLimitedError(
                f"{self.name} is asked too often", retry_after_s=_retry_after(response)
            )
        if 300 <= status < 400:
            raise RpcProtocolError(f"{self.name} sends {what} elsewhere (HTTP {status})")
        if status == 413:
            raise RpcAnswerTooLargeError(f"{self.name} finds {what} too large (HTTP 413)")
        try:
            document = _DECODER.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            document = None
        if isinstance(document, (dict, list)):
            return document
        if status >= 500:
            raise RpcServerError(f"{self.name} answers {what} with HTTP {status}")
        raise RpcProtocolError(f"{self.name} answers {what} with HTTP {status} and no JSON object")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Nodes close idle connections after a while: let ours go first.
            connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=4)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),  # a jar grows as the node pleases
            )
        return self._session


def _repeatable(method: str) -> bool:
    """Whether a repeat changes nothing, so that a dead connection may be tried again."""
    if method.startswith(("eth_send", "eth_new", "eth_sign")):
        return False
    return method.startswith(("eth_", "net_", "web3_"))


def _retry_after(response: aiohttp.ClientResponse) -> int | None:
    """Whole seconds of a `Retry-After` header (RFC 9110, 10.2.3), bounded."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]), _MAX_RETRY_AFTER_S)
    try:
        # The node's own clock is what its date is meant against.
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(response.headers.get("Date", ""))
        wait = until - now
    except (TypeError, ValueError):
        return None
    return min(max(wait.days * 86_400 + wait.seconds, 0), _MAX_RETRY_AFTER_S)
