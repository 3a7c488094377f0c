"""The WebSocket at `/api/v1/ws`.

Client: `{"type":"subscribe","topics":["stats"],"last_event_id":"…"}`,
`unsubscribe`, `ping`. Server: `hello`, `event`, `subscribed`, `resync` (what
was missed is forgotten: read anew), `error`, `ping`, `pong`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect

from millpond.api.core import Core, CoreDep
from millpond.api.hub import (
    SNAPSHOT_TOPIC,
    Hub,
    Published,
    TooManyWatchersError,
    UnknownTopicError,
    Watcher,
)
from millpond.errors import MillpondError

CLOSE_BAD_MESSAGE = 4000
CLOSE_FLOODING = 4001
CLOSE_TOO_SLOW = 4008
CLOSE_SILENT = 4009
CLOSE_TRY_LATER = 1013
CLOSE_GOING_AWAY = 1001

MAX_MESSAGE_BYTES = 8_192
_MAX_ERRORS = 10
_MESSAGES_PER_BEAT = 120


class _Command(msgspec.Struct, tag_field="type"):
    pass


class Subscribe(_Command, tag="subscribe"):
    """Send me these topics; first what I missed since `last_event_id`."""

    topics: list[str]
    last_event_id: str | None = None


class Unsubscribe(_Command, tag="unsubscribe"):
    """No more of these topics."""

    topics: list[str]


class Ping(_Command, tag="ping"):
    """Are you there?"""


class Pong(_Command, tag="pong"):
    """I am here."""


Command = Subscribe | Unsubscribe | Ping | Pong
_decoder = msgspec.json.Decoder(Command)


class _CutError(MillpondError):
    """The connection has to end, with this close code."""

    def __init__(self, close_code: int, message: str) -> None:
        super().__init__(message)
        self.close_code = close_code


@websocket("/api/v1/ws", opt={"exclude_from_schema": True})
async def live(socket: WebSocket[Any, Any, Any], core: CoreDep) -> None:
    """Serve one client until it leaves or has to."""
    try:
        watcher = core.hub.open(str(socket.scope["state"]["client_key"]))
    except TooManyWatchersError as error:
        await socket.close(CLOSE_TRY_LATER, error.code)
        return
    try:
        await socket.accept()
        await _Connection(socket, core, watcher).serve()
    except WebSocketDisconnect:
        return
    finally:
        core.hub.close(watcher)


class _Connection:
    def __init__(self, socket: WebSocket[Any, Any, Any], core: Core, watcher: Watcher) -> None:
        self._socket = socket
        self._core = core
        self._hub: Hub = core.hub
        self._watcher = watcher
        self._errors = 0
        self._received = 0
        self._heard = True

    async def serve(self) -> None:
        """Read, send and beat side by side until one of them ends."""
        await self._send({"type": "hello", "heartbeat_s": self._core.deps.settings.heartbeat_s})
        tasks = {
            asyncio.create_task(self._read()),
            asyncio.create_task(self._forward()),
            asyncio.create_task(self._beat()),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            error = task.exception()
            if isinstance(error, _CutError):
                await self._socket.close(error.close_code, error.message)
            elif error is not None:
                raise error

    async def _read(self) -> None:
        while True:
            text = await self._socket.receive_data(mode="text")
            self._heard = True
            self._received += 1
            if self._received > _MESSAGES_PER_BEAT:
                raise _CutError(CLOSE_FLOODING, "too many messages")
            if len(text) > MAX_MESSAGE_BYTES:
                raise _CutError(CLOSE_BAD_MESSAGE, "message too long")
            try:
                await self._obey(_decoder.decode(text))
            except (msgspec.DecodeError, RecursionError):
                await self._complain("invalid_message", "this is no message of the protocol")
            except (UnknownTopicError, TooManyWatchersError) as error:
                await self._complain(error.code, error.message)

    async def _complain(self, code: str, detail: str) -> None:
        self._errors += 1
        if self._errors > _MAX_ERRORS:
            raise _CutError(CLOSE_BAD_MESSAGE, "too many wrong messages")
        await self._send({"type": "error", "code": code, "detail": detail})

    async def _obey(self, command: Command) -> None:
        match command:
            case Subscribe():
                await self._subscribe(command)
            case Unsubscribe(topics=topics):
                self._hub.unsubscribe(self._watcher, topics)
                await self._send({"type": "unsubscribed", "topics": sorted(set(topics))[:50]})
            case Ping():
                await self._send({"type": "pong"})
            case Pong():
                pass

    async def _subscribe(self, command: Subscribe) -> None:
        topics = sorted(set(command.topics))
        if SNAPSHOT_TOPIC in topics:
            raise UnknownTopicError("that topic is for the pages of this site")
        missed: list[Published] | None = []
        if command.last_event_id is not None:
            missed = self._hub.since(topics, command.last_event_id)
        # No await between reading the history and joining: nothing falls between.
        self._hub.subscribe(self._watcher, topics)
        await self._send({"type": "subscribed", "topics": topics})
        if missed is None:
            await self._send({"type": "resync", "topics": topics})
        for event in missed or []:
            await self._send_event(event)
        if "stats" in topics and not missed:
            snapshot = await self._core.poller.snapshot()
            await self._send({"type": "event", "topic": "stats", "data": snapshot.stats})

    async def _forward(self) -> None:
        while True:
            event = await self._watcher.next()
            if event is None:
                if self._watcher.overflowed:
                    raise _CutError(CLOSE_TOO_SLOW, "too slow")
                raise _CutError(CLOSE_GOING_AWAY, "the server is stopping")
            await self._send_event(event)

    async def _beat(self) -> None:
        while True:
            await self._core.deps.clock.sleep(self._core.deps.settings.heartbeat_s)
            if not self._heard:
                raise _CutError(CLOSE_SILENT, "no sign of life")
            self._heard = False
            self._received = 0
            await self._send({"type": "ping"})

    async def _send_event(self, event: Published) -> None:
        await self._send(
            {
                "type": "event",
                "id": self._hub.event_id(event),
                "topic": event.topic,
                "data": event.payload,
            }
        )

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_data(msgspec.json.encode(message).decode(), mode="text")
