"""A miner's side of a Stratum V1 session: handshake, jobs in, shares out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from millpond import __version__
from millpond.clock import Clock
from millpond.mining.difficulty import ONE, to_float
from millpond.mining.miner.connection import (
    Connection,
    PoolRefusedError,
    PoolUnreachableError,
)
from millpond.mining.miner.protocol import (
    ClientJob,
    Extranonce,
    PoolProtocolError,
    read_difficulty,
    read_extranonce,
    read_job,
    read_mask,
    read_subscription,
)
from millpond.mining.miner.scanner import Found
from millpond.mining.miner.settings import DIFFICULTY_1_TARGETS, Endpoint, MinerRun
from millpond.mining.work import BIP320_MASK, proof_of_work

AGENT = f"millpond/{__version__}"
MAX_MESSAGE = 500
MAX_REDIRECT_WAIT_S = 60.0


class LoginRefusedError(PoolRefusedError):
    """The pool does not take the user; trying again would not help."""

    code = "login_refused"


class Redirected(Exception):  # noqa: N818 - a request of the pool, not an error
    """The pool asked for a new connection (`client.reconnect`)."""

    def __init__(self, port: int, wait_s: float) -> None:
        super().__init__(port, wait_s)
        self.port = port
        self.wait_s = wait_s


class Session:
    """One session with a pool.

    Args:
        settings: Who mines what.
        clock: For round trips.
        on_job: Called with each job, and with None when there is nothing to work on.
        on_message: Called with texts for a person.
    """

    def __init__(
        self,
        settings: MinerRun,
        clock: Clock,
        on_job: Callable[[ClientJob], None],
        on_message: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._on_job = on_job
        self._on_message = on_message
        self._connection: Connection | None = None
        self._extranonce: Extranonce | None = None
        self._difficulty = ONE
        self._mask = 0
        self._early: list[Any] | None = None
        self.job: ClientJob | None = None

    @property
    def difficulty(self) -> float:
        """Difficulty of the jobs to come."""
        return to_float(self._difficulty)

    async def open(self, endpoint: Endpoint) -> None:
        """Connect.

        Raises:
            PoolUnreachableError: Nobody answers there.
        """
        self._connection = await Connection.open(endpoint, self._on_notice)

    async def read(self) -> None:
        """Read what the pool says until the connection ends; the other calls need it running.

        Raises:
            PoolUnreachableError, PoolProtocolError: See `Connection.run`.
            Redirected: The pool asked for a new connection.
        """
        await self._open_connection().run()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()

    async def log_in(self) -> None:
        """Configure, subscribe and authorize.

        Raises:
            LoginRefusedError: The pool does not take the user.
            PoolUnreachableError, PoolProtocolError: See `Connection`.
        """
        connection = self._open_connection()
        if proof_of_work(self._settings.algorithm).rolls_version:
            await self._configure(connection)
        self._extranonce = read_subscription(await connection.request("mining.subscribe", [AGENT]))
        if self._early is not None:
            self._on_notify(self._early)
        try:
            allowed = await connection.request(
                "mining.authorize", [self._settings.user, self._settings.password]
            )
        except PoolRefusedError as error:
            raise LoginRefusedError([error.number, error.message]) from None
        if allowed is not True:
            raise LoginRefusedError([24, "the pool does not take this user"])
        try:
            await connection.request("mining.extranonce.subscribe", [])
        except PoolRefusedError:
            self._early = None  # a pool may well not know it; nothing follows from that

    async def submit(self, found: Found) -> float:
        """Send a share and return the round trip in milliseconds.

        Raises:
            PoolRefusedError: The pool did not take it.
            PoolUnreachableError: Nobody knows.
        """
        params = [
            self._settings.user,
            found.job.job_id,
            found.extranonce2.hex(),
            f"{found.job.ntime:08x}",
            f"{found.nonce:08x}",
        ]
        if found.version_bits is not None:
            params.append(f"{found.version_bits:08x}")
        before = self._clock.monotonic_ns()
        result = await self._open_connection().request("mining.submit", params)
        if result is not True:
            raise PoolRefusedError([20, "not accepted"])
        return (self._clock.monotonic_ns() - before) / 1e6

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise PoolUnreachableError("there is no connection to the pool")
        return self._connection

    async def _configure(self, connection: Connection) -> None:
        options = {"version-rolling.mask": f"{BIP320_MASK:08x}", "version-rolling.min-bit-count": 2}
        try:
            result = await connection.request("mining.configure", [["version-rolling"], options])
        except PoolRefusedError:
            return
        if isinstance(result, dict) and result.get("version-rolling") is True:
            self._mask = read_mask(result.get("version-rolling.mask")) & BIP320_MASK

    def _on_notice(self, method: str, params: list[Any]) -> Any:
        handler = _NOTICES.get(method)
        return None if handler is None else handler(self, params)

    def _on_notify(self, params: list[Any]) -> None:
        if self._extranonce is None:
            self._early = params
            return
        self.job = read_job(
            params,
            algorithm=self._settings.algorithm,
            extranonce=self._extranonce,
            difficulty=self._difficulty,
            difficulty_1_target=DIFFICULTY_1_TARGETS[self._settings.algorithm],
            mask=self._mask,
        )
        self._on_job(self.job)

    def _on_difficulty(self, params: list[Any]) -> None:
        self._difficulty = read_difficulty(params)

    def _on_extranonce(self, params: list[Any]) -> None:
        if len(params) < 2:
            raise PoolProtocolError("the pool's mining.set_extranonce has no extranonce")
        self._extranonce = read_extranonce(params[0], params[1])

    def _on_mask(self, params: list[Any]) -> None:
        self._mask = read_mask(params[0] if params else None) & BIP320_MASK

    def _on_show(self, params: list[Any]) -> None:
        text = str(params[0]) if params else ""
        printable = "".join(c for c in text[:MAX_MESSAGE] if c.isprintable())
        self._on_message(f"the pool says: {printable}")

    def _on_reconnect(self, params: list[Any]) -> None:
        """Only the port may change: a host that anyone on the way could name is not followed."""
        here = self._settings.endpoint()
        host, port, wait = ([*params, None, None, None])[:3]
        if host not in {None, "", here.host}:
            self._on_message("the pool asked for a connection elsewhere: not followed")
            return
        new_port = int(port) if str(port).isdecimal() and 0 < int(port) < 65536 else here.port
        wait_s = min(wait, MAX_REDIRECT_WAIT_S) if isinstance(wait, int | float) else 0.0
        raise Redirected(new_port, max(wait_s, 0.0))


_NOTICES: dict[str, Callable[[Session, list[Any]], Any]] = {
    "mining.notify": Session._on_notify,  # noqa: SLF001 - the class's own table
    "mining.set_difficulty": Session._on_difficulty,  # noqa: SLF001
    "mining.set_extranonce": Session._on_extranonce,  # noqa: SLF001
    "mining.set_version_mask": Session._on_mask,  # noqa: SLF001
    "client.show_message": Session._on_show,  # noqa: SLF001
    "client.reconnect": Session._on_reconnect,  # noqa: SLF001
    "client.get_version": lambda _session, _params: AGENT,
    "mining.ping": lambda _session, _params: "pong",
}
