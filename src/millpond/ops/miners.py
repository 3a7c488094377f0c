"""The operator's word to the miners: a local socket of the running edge.

One line of JSON in, one out. The socket lies in the run directory, is open to
its owner alone, and whoever connects must be the same user (or root). Every
act is written to the log with who did it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
import structlog
from msgspec import Meta

from millpond.errors import InvalidInputError, UnavailableError
from millpond.mining.edge import Edge
from millpond.ops.process import miners_socket

log = structlog.get_logger("edge.operator")

_MAX_LINE = 8_192
_MAX_AT_ONCE = 4
_TIMEOUT_S = 5.0
_CREDENTIALS = struct.Struct("3i")

Actor = Annotated[str, Meta(min_length=1, max_length=64)]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag="message"):
    """`client.show_message`, to all miners or those of a worker or wallet."""

    actor: Actor
    text: Annotated[str, Meta(min_length=1, max_length=300)]
    worker: Annotated[str, Meta(max_length=256)] = ""


class Reconnect(msgspec.Struct, frozen=True, kw_only=True, tag="reconnect"):
    """`client.reconnect` to all miners; what is empty or 0 stays as it is."""

    actor: Actor
    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:-]{0,253}$")] = ""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    wait_s: Annotated[int, Meta(ge=0, le=3600)] = 0


class Renumber(msgspec.Struct, frozen=True, kw_only=True, tag="renumber"):
    """New extranonces with that prefix for all miners."""

    actor: Actor
    prefix: Annotated[int, Meta(ge=0, le=255)]


Word: TypeAlias = Message | Reconnect | Renumber


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        reached: Connections that were told or given a new extranonce.
        reconnecting: Connections that were asked to reconnect instead.
        error: Why nothing was done; empty if it was.
    """

    reached: int = 0
    reconnecting: int = 0
    error: str = ""


def checked(word: Word) -> Word:
    """The same, if it is within bounds and prints on one line.

    Raises:
        InvalidInputError: It is not.
    """
    try:
        again: Word = msgspec.json.decode(msgspec.json.encode(word), type=Word)
    except msgspec.ValidationError as error:
        raise InvalidInputError(str(error)) from error
    texts = [again.actor]
    if isinstance(again, Message):
        texts += [again.text, again.worker]
    if not all(text.isprintable() for text in texts):
        raise InvalidInputError("control characters cannot be sent to miners")
    return again


def tell(run_path: Path, word: Word) -> Answer:
    """Say it to the running edge and wait for the answer.

    Raises:
        InvalidInputError: It is out of bounds, or the edge refused it.
        UnavailableError: No edge runs on this data directory, or it does not answer.
    """
    line = msgspec.json.encode(checked(word)) + b"\n"
    path = miners_socket(run_path)
    if path is None:
        raise UnavailableError("the data directory's path is too long for a local socket")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(line)
            with connection.makefile("rb") as reader:
                answer = msgspec.json.decode(reader.readline(_MAX_LINE), type=Answer)
    except (OSError, msgspec.DecodeError) as error:
        raise UnavailableError(f"no edge of this pool answers: {error}") from error
    if answer.error:
        raise InvalidInputError(answer.error)
    return answer


class MinersDesk:
    """Hears the operator in the edge's process.

    Args:
        edges: Whose miners are told.
    """

    def __init__(self, edges: Sequence[Edge]) -> None:
        self._edges = edges
        self._open = 0
        self._server: asyncio.Server | None = None

    async def start(self, run_path: Path) -> None:
        """Listen; where the path is too long for a socket, do without, with a word in the log."""
        path = miners_socket(run_path)
        if path is None:
            log.warning("operator_socket_path_too_long", run_path=str(run_path))
            return
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._heard, path, limit=_MAX_LINE)
        path.chmod(0o600)

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def act(self, word: Word) -> Answer:
        """Do it, and write down that it was done.

        Raises:
            InvalidInputError: It is out of bounds.
        """
        word = checked(word)
        servers = [edge.server for edge in self._edges]
        told = 0
        if isinstance(word, Message):
            reached = sum(server.show_message(word.text, word.worker) for server in servers)
        elif isinstance(word, Reconnect):
            reached = sum(s.reconnect(word.host, word.port, word.wait_s) for s in servers)
        else:
            pairs = [server.renumber(word.prefix) for server in servers]
            reached, told = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
        what = msgspec.to_builtins(word)
        act = what.pop("type")
        log.info("operator_told_miners", act=act, reached=reached, reconnecting=told, **what)
        return Answer(reached=reached, reconnecting=told)

    async def _heard(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > _MAX_AT_ONCE or not _same_user(writer):
                log.warning("operator_refused")
                return
            line = await asyncio.wait_for(reader.readline(), _TIMEOUT_S)
            writer.write(msgspec.json.encode(self._answer(line)) + b"\n")
            await writer.drain()
        except (TimeoutError, ValueError, OSError):
            pass  # not the command; whoever it was is told nothing
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, line: bytes) -> Answer:
        try:
            return self.act(msgspec.json.decode(line, type=Word))
        except msgspec.DecodeError as error:
            return Answer(error=str(error))
        except (InvalidInputError, UnavailableError) as error:
            return Answer(error=error.message)


def _same_user(writer: asyncio.StreamWriter) -> bool:
    """Whether the other side is this process's user or root, where the system can tell."""
    connection = writer.get_extra_info("socket")
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    raw = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    _pid, user, _group = _CREDENTIALS.unpack(raw)
    return user in {0, os.getuid()}
