"""The Stratum server: listeners, all sessions, broadcasts, answers after commits."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from millpond.chains.coins import Coin
from millpond.clock import Clock, Entropy
from millpond.errors import MillpondError
from millpond.mining.difficulty import from_float
from millpond.mining.stratum import vardiff, wire
from millpond.mining.stratum.contract import Connection, OnBlock, ShareSink, Stats
from millpond.mining.stratum.extranonce import ExtranonceAllocator
from millpond.mining.stratum.jobs import JobBoard, JobEntry
from millpond.mining.stratum.session import UNAVAILABLE, Session
from millpond.mining.stratum.settings import ListenerSettings, StratumLimits, VardiffSettings
from millpond.mining.work.job import Job
from millpond.mining.work.pow import proof_of_work
from millpond.mining.work.validate import BIP320_MASK

EXTRANONCE2_SIZE = 4
EXTRANONCE_SIZE = 8
"""Both extranonces together: what jobs for this server are built with."""

_BROADCAST_CHUNK = 250
_SWEEP_CHUNK = 500
_SWEEP_PAUSE_S = 0.25
_SWEEP_ROUND_S = 2.0
_REMEMBERED = 50_000
_BANNED = 10_000
_BACKLOG = 4096


class StratumServer:
    """See the module. Belongs to one event loop.

    Attributes:
        board: Jobs that are good now.
        log: Where shares go.
        stats: Counters since the start.
    """

    def __init__(
        self,
        *,
        coin: Coin,
        log: ShareSink,
        on_block: OnBlock,
        check_worker: Callable[[str], str],
        clock: Clock,
        entropy: Entropy,
        limits: StratumLimits | None = None,
        difficulty: VardiffSettings | None = None,
        extranonce_prefix: int = 0,
    ) -> None:
        self.coin = coin
        self.log = log
        self.clock = clock
        self.limits = limits or StratumLimits()
        self.check_worker = check_worker
        self.stats = Stats()
        self.board = JobBoard(first_serial=clock.now_ms() // 1000)
        self._entropy = entropy
        self.extranonces = ExtranonceAllocator(prefix=extranonce_prefix, key=entropy.token(32))
        self.extranonce2_size = EXTRANONCE2_SIZE
        rolls = proof_of_work(coin.proof_of_work).rolls_version
        self.version_mask = BIP320_MASK if rolls else 0
        self.on_block = on_block
        self._vardiff = difficulty or VardiffSettings()
        self._floor = from_float(self._vardiff.minimum)
        self._ceiling = from_float(self._vardiff.maximum)
        self.vardiff_target_ns = self._vardiff.target_s * 1e9
        self._sessions: dict[Connection, None] = {}
        self._per_address: dict[str, int] = {}
        self._bans: OrderedDict[str, int] = OrderedDict()
        self._remembered: OrderedDict[str, int] = OrderedDict()
        self._listeners: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._accepting = True
        self._broadcast: _Broadcast | None = None

    # -- life ----------------------------------------------------------------

    async def listen(self, listener: ListenerSettings) -> int:
        """Open a port; returns its number."""
        loop = asyncio.get_running_loop()
        fixed = bool(listener.fixed_difficulty)
        start = from_float(
            listener.fixed_difficulty or listener.start_difficulty or self._vardiff.start
        )
        server = await loop.create_server(
            lambda: Session(self, start_difficulty=start, fixed=fixed),
            listener.host,
            listener.port,
            backlog=_BACKLOG,
        )
        self._listeners.append(server)
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep(), name="stratum-sweep")
        port: int = server.sockets[0].getsockname()[1]
        return port

    def stop_accepting(self) -> None:
        """Close the ports; connections stay."""
        self._accepting = False
        for server in self._listeners:
            server.close()

    async def close(self) -> None:
        """Close the ports and, when what is unsent has gone out, the connections."""
        self.stop_accepting()
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._broadcast is not None:
            self._broadcast.superseded = True
        for session in list(self._sessions):
            session.close()
        for server in self._listeners:
            await server.wait_closed()

    # -- sessions ------------------------------------------------------------

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._sessions)

    @property
    def miners(self) -> int:
        """Connections that are subscribed and authorized."""
        return sum(session.started for session in self._sessions)

    def admit(self, session: Connection) -> bool:
        """Register a new connection unless it is one too many or its address is banned."""
        count = self._per_address.get(session.address, 0)
        if (
            not self._accepting
            or len(self._sessions) >= self.limits.max_connections
            or count >= self.limits.max_per_address
            or self._banned(session.address)
        ):
            self.stats.refused_connections += 1
            return False
        self.stats.opened += 1
        self._sessions[session] = None
        self._per_address[session.address] = count + 1
        return True

    def forget(self, session: Connection) -> None:
        """A connection is gone."""
        if session not in self._sessions:
            return
        del self._sessions[session]
        left = self._per_address[session.address] - 1
        if left:
            self._per_address[session.address] = left
        else:
            del self._per_address[session.address]
        for extranonce1 in session.held_extranonces():
            self.extranonces.release(extranonce1)

    def ban(self, address: str) -> None:
        """Turn an address away for a while."""
        self.stats.banned += 1
        self._bans[address] = self.clock.monotonic_ns() + round(self.limits.ban_s * 1e9)
        self._bans.move_to_end(address)
        while len(self._bans) > _BANNED:
            self._bans.popitem(last=False)

    def _banned(self, address: str) -> bool:
        until = self._bans.get(address)
        if until is None:
            return False
        if until > self.clock.monotonic_ns():
            return True
        del self._bans[address]
        return False

    # -- the operator --------------------------------------------------------

    def show_message(self, text: str, worker: str = "") -> int:
        """`client.show_message` to every miner, or to those of a worker or wallet; how many."""
        return self._send_all(wire.notification("client.show_message", text), worker)

    def reconnect(self, host: str = "", port: int = 0, wait_s: int = 0) -> int:
        """`client.reconnect` to every miner; empty or 0 for where it is; how many."""
        return self._send_all(wire.reconnect(host, port, wait_s))

    def renumber(self, prefix: int) -> tuple[int, int]:
        """A new extranonce1 with that prefix for every miner.

        Those that take one while connected get it with the current job;
        all others are told to reconnect. No session id of before is good.

        Returns:
            How many got one, and how many were told to reconnect.
        """
        if self._broadcast is not None:
            # A job must not be told under its plain name after the change.
            self._broadcast.finish()
        self.extranonces.renew(prefix=prefix, key=self._entropy.token(32))
        given = told = 0
        reconnect = wire.reconnect("", 0, 0)
        for session in list(self._sessions):
            if session.closed or not session.extranonce1:
                continue
            if session.follows_extranonce:
                session.change_extranonce(self.extranonces.take())
                given += 1
            else:
                session.send(reconnect)
                told += 1
        return given, told

    def _send_all(self, message: bytes, worker: str = "") -> int:
        count = 0
        for session in list(self._sessions):
            if session.started and not session.closed and _is_for(session, worker):
                session.send(message)
                count += 1
        return count

    # -- difficulty ----------------------------------------------------------

    def difficulty_bounds(self, floor: int) -> tuple[int, int]:
        """Least and greatest difficulty of a connection that asked for at least `floor`."""
        current = self.board.current
        ceiling = self._ceiling
        if current is not None:
            ceiling = min(ceiling, current.job.network_difficulty)
        return max(self._floor, floor), ceiling

    def bounded(self, difficulty: int, floor: int) -> int:
        """A difficulty asked for, within the bounds."""
        return vardiff.clamp(difficulty, *self.difficulty_bounds(floor))

    def rounded(self, difficulty: int) -> int:
        """A difficulty that vardiff wants, as it is sent."""
        return vardiff.rounded(difficulty, power_of_two=self._vardiff.powers_of_two)

    def remember(self, worker: str, difficulty: int) -> None:
        """Keep a worker's difficulty for the next time it connects."""
        self._remembered[worker] = difficulty
        self._remembered.move_to_end(worker)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)

    def remembered(self, worker: str) -> int:
        """The difficulty that a worker had last, 0 if not known."""
        return self._remembered.get(worker, 0)

    # -- jobs ----------------------------------------------------------------

    def broadcast(self, job: Job, serial: int, *, clean: bool = False) -> JobEntry:
        """Make a job current and send it to every miner, the strongest first.

        Sending is cut in pieces, so that shares are answered between them.
        """
        entry, stale = self.board.post(job, serial)
        running = self._broadcast
        if running is not None and not running.done:
            running.superseded = True
            clean = clean or running.clean
        clean = clean or stale
        payload = wire.notify(entry.name, entry.tail, clean=True) if clean else entry.plain
        order = sorted(
            (s for s in self._sessions if s.started), key=lambda s: s.difficulty, reverse=True
        )
        self._broadcast = _Broadcast(order, payload, clean=clean, server=self)
        self._broadcast.step()
        return entry

    # -- shares --------------------------------------------------------------

    def on_commit(self, waiters: Iterable[Any], error: MillpondError | None) -> None:
        """Answer the shares of a group: `true` if it is durable, error 20 if it was not taken."""
        last: Connection | None = None
        answers: list[bytes] = []
        count = 0
        for session, request in waiters:
            count += 1
            if session is not last:
                if last is not None:
                    last.deliver(answers)
                last, answers = session, []
            if error is None:
                answers.append(b'{"id":%b,"result":true,"error":null}\n' % request)
            else:
                answers.append(wire.rejected(request, UNAVAILABLE))
        if last is not None:
            last.deliver(answers)
        if error is None:
            self.stats.accepted += count
        else:
            self.stats.unanswered += count

    # -- housekeeping --------------------------------------------------------

    async def _sweep(self) -> None:
        """Look after every connection every few seconds, a part at a time."""
        while True:
            sessions = list(self._sessions)
            for start in range(0, len(sessions), _SWEEP_CHUNK):
                now = self.clock.monotonic_ns()
                for session in sessions[start : start + _SWEEP_CHUNK]:
                    session.look_after(now)
                await self.clock.sleep(_SWEEP_PAUSE_S)
            await self.clock.sleep(_SWEEP_ROUND_S)


def _is_for(session: Connection, worker: str) -> bool:
    """Whether a connection mines for a worker (`wallet.name`) or, without a dot, a wallet."""
    if not worker:
        return True
    names = {*(session.workers or ()), *(session.log_names or {}).values()}
    return any(name == worker or name.startswith(worker + ".") for name in names)


class _Broadcast:
    """One message on its way to many connections."""

    __slots__ = ("_order", "_payload", "_server", "_started_ns", "at", "clean", "superseded")

    def __init__(
        self, order: list[Connection], payload: bytes, *, clean: bool, server: StratumServer
    ) -> None:
        self._order = order
        self._payload = payload
        self._server = server
        self._started_ns = server.clock.monotonic_ns()
        self.clean = clean
        self.at = 0
        self.superseded = False

    @property
    def done(self) -> bool:
        return self.at >= len(self._order)

    def step(self) -> None:
        """Write to the next few; the rest after other work had its turn."""
        if self.superseded or (self.at and self.done):
            return
        self._write()
        if not self.done:
            asyncio.get_running_loop().call_soon(self.step)

    def finish(self) -> None:
        """Write to all that are left."""
        while not (self.superseded or self.done):
            self._write()

    def _write(self) -> None:
        payload = self._payload
        for session in self._order[self.at : self.at + _BROADCAST_CHUNK]:
            if not session.closed:
                session.transport.write(payload)
        self.at += _BROADCAST_CHUNK
        if self.at >= len(self._order):
            self._server.stats.last_notify_ns = self._server.clock.monotonic_ns() - self._started_ns
            self._order = []
