"""News that the template may have changed, from whatever source is first.

Four sources run side by side: ZMQ `hashblock`, the long poll of
`getblocktemplate`, a socket that a daemon's `-blocknotify` pokes, and polling
as the fall-back that is always there. A block is announced once, whoever
tells of it. Every source outlives restarts of the daemons.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec
import zmq
import zmq.asyncio

from millpond.chains.bitcoin.daemons import DaemonSet
from millpond.chains.bitcoin.errors import RpcError
from millpond.chains.pause import cancel_all, first_of, pause
from millpond.clock import Clock

_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MAX_LINE = 256
_REMEMBERED = 32


class NewsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which sources are used.

    Attributes:
        zmq: Addresses where daemons publish `hashblock`.
        poke: Where `millpond.chains.bitcoin.poke` is listened for:
            `host:port` or `unix:/path`; empty: nowhere.
        longpoll: Hold a long poll at a daemon that offers it.
        poll_interval_s: Between two looks at the tip.
        retry_s: Pause after a failed long poll.
    """

    zmq: tuple[str, ...] = ()
    poke: str = ""
    longpoll: bool = True
    poll_interval_s: float = 3.0
    retry_s: float = 1.0


class News(msgspec.Struct, frozen=True, kw_only=True):
    """A reason to ask for a template.

    Attributes:
        sequence: Counts from 1.
        source: `zmq`, `longpoll`, `poke` or `poll`.
        new_block: False when only the waiting transactions have changed.
        tip_hash: The new best block.
        template: From the long poll, which brings it along.
    """

    sequence: int
    source: str
    new_block: bool
    tip_hash: str
    template: dict[str, Any] | None = None


class BlockNews:
    """Merges the sources; see the module.

    Args:
        daemons: Whose long poll and tip are asked.
        clock: For the pauses.
        settings: Which sources are used.
        poke_port: Set by `run` when the poke address has port 0.
    """

    def __init__(
        self, daemons: DaemonSet, clock: Clock, settings: NewsSettings | None = None
    ) -> None:
        self.latest: News | None = None
        self.poke_port = 0
        self.listening = asyncio.Event()
        self._daemons = daemons
        self._clock = clock
        self._settings = settings or NewsSettings()
        self._callbacks: list[Callable[[News], None]] = []
        self._seen: dict[str, None] = {}
        self._sequence = 0
        self._changed = asyncio.Event()

    def on_news(self, callback: Callable[[News], None]) -> None:
        """Call `callback` for every piece of news."""
        self._callbacks.append(callback)

    async def changes(self) -> AsyncIterator[News]:
        """News from now on; a slow reader gets the latest and misses those between."""
        seen = self._sequence
        while True:
            while self._sequence == seen:
                await self._changed.wait()
            assert self.latest is not None, "a counted piece of news is there"
            seen = self._sequence
            yield self.latest

    async def run(self, stop: asyncio.Event) -> None:
        """Listen to all sources until `stop` is set.

        Raises:
            OSError: The poke address cannot be listened on.
        """
        sources: list[Coroutine[Any, Any, None]] = [self._poll(stop)]
        if self._settings.longpoll:
            sources.append(self._longpoll(stop))
        sources += [self._zmq(address) for address in self._settings.zmq]
        server = await self._listen() if self._settings.poke else None
        tasks = [asyncio.ensure_future(source) for source in sources]
        self.listening.set()
        try:
            await first_of(stop.wait(), *tasks)
            for task in tasks:
                if task.done() and not task.cancelled():
                    task.result()
        finally:
            await cancel_all(tasks)
            if server is not None:
                server.close()
                await server.wait_closed()

    def _tell(
        self,
        source: str,
        tip_hash: str,
        *,
        new_block: bool = True,
        template: dict[str, Any] | None = None,
    ) -> None:
        self._sequence += 1
        self.latest = News(
            sequence=self._sequence,
            source=source,
            new_block=new_block,
            tip_hash=tip_hash,
            template=template,
        )
        self._remember(tip_hash)
        self._changed.set()
        self._changed = asyncio.Event()
        for callback in self._callbacks:
            callback(self.latest)

    def _remember(self, tip_hash: str) -> None:
        self._seen.pop(tip_hash, None)
        self._seen[tip_hash] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    @property
    def _tip(self) -> str | None:
        return self.latest.tip_hash if self.latest is not None else None

    def _overtaken(self, asked: int, tip_hash: str) -> bool:
        """True for an answer to a question older than the latest news, if it names a known tip.

        It may tell of the time before that news; if the chain has really gone
        back, the next question finds it.
        """
        return self._sequence != asked and tip_hash in self._seen

    async def _heard(self, source: str, block_hash: str) -> None:
        """A source names a block: news, unless it is known or comes late."""
        if block_hash == self._tip:
            return
        if not block_hash or block_hash in self._seen:
            # An old name is either late or the chain has gone back to it: ask.
            asked = self._sequence
            try:
                block_hash = (await self._daemons.tip()).block_hash
            except RpcError:
                return
            if block_hash == self._tip or self._overtaken(asked, block_hash):
                return
        self._tell(source, block_hash)

    async def _poll(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            asked = self._sequence
            try:
                tip = await self._daemons.tip()
            except RpcError:
                pass  # the daemon set has noted it; look again later
            else:
                if tip.block_hash != self._tip and not self._overtaken(asked, tip.block_hash):
                    self._tell("poll", tip.block_hash)
            await pause(self._clock, self._settings.poll_interval_s, stop)

    async def _longpoll(self, stop: asyncio.Event) -> None:
        longpoll_id: str | None = None
        while not stop.is_set():
            asked = self._sequence
            try:
                template = await self._daemons.get_block_template(longpoll_id)
            except RpcError:
                longpoll_id = None
                await pause(self._clock, self._settings.retry_s, stop)
                continue
            tip = template.get("previousblockhash")
            next_id = template.get("longpollid")
            if not isinstance(tip, str) or not isinstance(next_id, str):
                await pause(self._clock, self._settings.poll_interval_s, stop)
                continue
            if tip != self._tip:
                if not self._overtaken(asked, tip):
                    self._tell("longpoll", tip, template=template)
            elif longpoll_id is not None and next_id != longpoll_id:
                self._tell("longpoll", tip, new_block=False, template=template)
            elif longpoll_id is not None:
                # A daemon that answers at once without news would be hammered.
                await pause(self._clock, self._settings.retry_s, stop)
            longpoll_id = next_id

    async def _zmq(self, address: str) -> None:
        context = zmq.asyncio.Context()
        socket = context.socket(zmq.SUB)
        try:
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RCVHWM, 100)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, 5_000)
            socket.setsockopt(zmq.SUBSCRIBE, b"hashblock")
            socket.connect(address)
            while True:
                frames = await socket.recv_multipart()
                if len(frames) >= 2 and frames[0] == b"hashblock" and len(frames[1]) == 32:
                    await self._heard("zmq", frames[1].hex())
        finally:
            socket.close()
            context.term()

    async def _listen(self) -> asyncio.Server:
        address = self._settings.poke
        if address.startswith("unix:"):
            path = address.removeprefix("unix:")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - one system call, left by a killed process
            return await asyncio.start_unix_server(self._poked, path, limit=_MAX_LINE)
        host, _, port = address.rpartition(":")
        server = await asyncio.start_server(self._poked, host, int(port), limit=_MAX_LINE)
        self.poke_port = int(server.sockets[0].getsockname()[1])
        return server

    async def _poked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(2.0):
                line = (await reader.readline()).decode().strip().lower()
            await self._heard("poke", line if _HASH.fullmatch(line) else "")
            writer.write(b"ok\n")
            await writer.drain()
        except (TimeoutError, ValueError, OSError):
            pass  # not a poke; whoever it was is told nothing
        finally:
            writer.close()
