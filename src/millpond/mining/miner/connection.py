"""One connection to a pool: JSON lines, answers matched to requests."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

import msgspec

from millpond.errors import MillpondError, UnavailableError
from millpond.mining.miner.protocol import PoolProtocolError
from millpond.mining.miner.settings import Endpoint

MAX_LINE = 4 * 1024 * 1024
MAX_PENDING = 4096
CONNECT_TIMEOUT_S = 15.0
ANSWER_TIMEOUT_S = 30.0
SILENCE_TIMEOUT_S = 600.0


class PoolUnreachableError(UnavailableError):
    """The connection cannot be made, or ended."""

    code = "pool_unreachable"


class PoolRefusedError(MillpondError):
    """The pool answered a request with an error.

    Attributes:
        number: The Stratum error number, 20 where the pool gave none.
    """

    code = "pool_refused"
    http_status = 502

    def __init__(self, error: Any) -> None:
        number, text = 20, str(error)
        if isinstance(error, list) and error:
            number = error[0] if isinstance(error[0], int) else 20
            text = str(error[1]) if len(error) > 1 else text
        elif isinstance(error, dict):
            number = error["code"] if isinstance(error.get("code"), int) else 20
            text = str(error.get("message", text))
        super().__init__(text[:200])
        self.number = number


class Connection:
    """A connection that is read by `run` while requests go out by `request`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_notice: Callable[[str, list[Any]], Any],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_notice = on_notice
        self._next_id = 1
        self._pending: dict[int, asyncio.Future[Any]] = {}

    @classmethod
    async def open(
        cls, endpoint: Endpoint, on_notice: Callable[[str, list[Any]], Any]
    ) -> Connection:
        """Connect.

        Args:
            endpoint: Where to.
            on_notice: Called with method and parameters of what the pool says
                unasked; what it returns other than None answers the pool.

        Raises:
            PoolUnreachableError: Nobody answers there.
        """
        context = ssl.create_default_context() if endpoint.tls else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(
                    endpoint.host, endpoint.port, ssl=context, limit=MAX_LINE
                )
        except TimeoutError:
            raise PoolUnreachableError(f"{endpoint} does not answer") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise PoolUnreachableError(f"cannot connect to {endpoint}: {reason}") from None
        return cls(reader, writer, on_notice)

    async def request(self, method: str, params: list[Any]) -> Any:
        """Send a request and return the result.

        Raises:
            PoolRefusedError: The answer is an error.
            PoolUnreachableError: The connection ended, or no answer came in time.
        """
        if len(self._pending) >= MAX_PENDING or self._writer.is_closing():
            raise PoolUnreachableError("the pool does not answer")
        request_id = self._next_id
        self._next_id += 1
        future = asyncio.get_running_loop().create_future()
        self._pending[request_id] = future
        self._send({"id": request_id, "method": method, "params": params})
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await future
        except TimeoutError:
            raise PoolUnreachableError(f"the pool does not answer {method}") from None
        finally:
            self._pending.pop(request_id, None)

    async def run(self) -> None:
        """Read until the connection ends.

        Raises:
            PoolUnreachableError: It ended.
            PoolProtocolError: What came is not Stratum.
        """
        try:
            while True:
                async with asyncio.timeout(SILENCE_TIMEOUT_S):
                    line = await self._reader.readline()
                if not line.endswith(b"\n"):
                    raise PoolUnreachableError("the pool closed the connection")
                if line.strip():
                    self._on_line(line)
        except TimeoutError:
            raise PoolUnreachableError("the pool has been silent for ten minutes") from None
        except OSError as error:
            raise PoolUnreachableError(f"the connection broke: {error.strerror}") from None
        except ValueError:
            raise PoolProtocolError("the pool sent a line without end") from None
        finally:
            self._fail_pending()

    async def close(self) -> None:
        """Close the connection; never raises."""
        self._fail_pending()
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError, ssl.SSLError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    def _send(self, message: dict[str, Any]) -> None:
        self._writer.write(msgspec.json.encode(message) + b"\n")

    def _on_line(self, line: bytes) -> None:
        try:
            message = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise PoolProtocolError("the pool sent something that is not JSON") from None
        if not isinstance(message, dict):
            raise PoolProtocolError("the pool sent something that is not Stratum")
        method = message.get("method")
        if isinstance(method, str):
            params = message.get("params")
            answer = self._on_notice(method, params if isinstance(params, list) else [])
            if answer is not None and message.get("id") is not None:
                self._send({"id": message["id"], "result": answer, "error": None})
            return
        self._on_answer(message)

    def _on_answer(self, message: dict[str, Any]) -> None:
        answer_id = message.get("id")
        future = self._pending.get(answer_id) if isinstance(answer_id, int) else None
        if future is None or future.done():
            return
        if message.get("error") is not None:
            future.set_exception(PoolRefusedError(message["error"]))
        else:
            future.set_result(message.get("result"))

    def _fail_pending(self) -> None:
        for future in self._pending.values():
            if not future.done():
                future.set_exception(PoolUnreachableError("the connection ended"))
