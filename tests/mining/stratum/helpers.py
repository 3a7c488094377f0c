"""A job without a daemon, and a client that speaks lines."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

from millpond.chains.coins import Coin, coin_named
from millpond.clock import SeededEntropy
from millpond.errors import InvalidInputError
from millpond.mining.sharelog.records import Job as LoggedJob
from millpond.mining.stratum import ListenerSettings, StratumLimits, StratumServer, VardiffSettings
from millpond.mining.stratum.server import EXTRANONCE_SIZE
from millpond.mining.work.job import CoinbaseOutput, Job, build_job
from millpond.mining.work.template import Template
from millpond.ops.system import SystemClock

COIN = coin_named("devcoin")
EASY = 2.0**-32
"""The least difficulty there is: nearly every hash meets it."""


def template(
    *, height: int = 100, prev: str = "11" * 32, coin: Coin = COIN, bits: str = "1b00ffff"
) -> Template:
    """A template with an empty block; its network target is far out of reach."""
    return Template.from_gbt(
        {
            "height": height,
            "version": 0x20000000,
            "previousblockhash": prev,
            "bits": bits,
            "curtime": SystemClock().now_ms() // 1000,
            "mintime": 1,
            "coinbasevalue": 5_000_000_000,
            "transactions": [],
            "rules": [],
        },
        coin,
    )


class MemoryLog:
    """The share sink with the commit in the test's hands."""

    def __init__(self) -> None:
        self.available = True
        self.shares: list[tuple[str, LoggedJob, int]] = []
        self.rejects: list[tuple[str, str, int]] = []
        self.waiters: list[Any] = []
        self.server: StratumServer | None = None
        self.automatic = True

    def append(self, time_ms, worker, job, difficulty, achieved_bits, waiter) -> bool:
        if not self.available:
            return False
        self.shares.append((worker, job, difficulty))
        if not self.waiters and self.automatic:
            asyncio.get_running_loop().call_soon(self.commit)
        self.waiters.append(waiter)
        return True

    def reject(self, time_ms, worker, reason, difficulty, evidence=b"") -> None:
        self.rejects.append((worker, reason.name, difficulty))

    def commit(self, error=None) -> None:
        waiters, self.waiters = self.waiters, []
        assert self.server is not None
        self.server.on_commit(waiters, error)


def check_worker(name: str) -> str:
    if name.startswith("bad"):
        raise InvalidInputError("The address is not one of this coin")
    wallet, dot, worker_name = name.partition(".")
    return wallet.lower() + dot + worker_name


class Pool:
    """A Stratum server on a free port with jobs made by hand."""

    def __init__(self, *, coin: Coin = COIN, limits=None, vardiff=None, clock=None) -> None:
        self.log = MemoryLog()
        self.blocks: list[tuple[Any, ...]] = []
        self.coin = coin
        self.server = StratumServer(
            coin=coin,
            log=self.log,
            on_block=lambda *block: self.blocks.append(block),
            check_worker=check_worker,
            clock=clock or SystemClock(),
            entropy=SeededEntropy(1),
            limits=limits or StratumLimits(),
            difficulty=vardiff or VardiffSettings(start=EASY, minimum=EASY, target_s=3600.0),
        )
        self.log.server = self.server
        self.port = 0
        self.clients: list[Client] = []

    async def __aenter__(self) -> Self:
        self.port = await self.server.listen(ListenerSettings(port=0))
        self.job()
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            await client.close()
        await self.server.close()

    def job(self, **options) -> Job:
        serial = self.server.board.next_serial()
        job = build_job(
            template(coin=self.coin, **options),
            f"{serial:x}00",
            [CoinbaseOutput(b"\x51")],
            tag=b"/test/" + serial.to_bytes(8, "big"),
            extranonce_size=EXTRANONCE_SIZE,
        )
        self.server.broadcast(job, serial)
        return job

    @property
    def current(self) -> str:
        """Name of the current job."""
        entry = self.server.board.current
        assert entry is not None
        return entry.name

    async def client(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        client = Client(reader, writer)
        self.clients.append(client)
        return client

    async def miner(self, worker: str = "wallet.rig", password: str = "x") -> Client:
        client = await self.client()
        await client.login(worker, password)
        return client


class Client:
    """A miner in the hands of a test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.notices: list[dict[str, Any]] = []
        self.extranonce1 = ""
        self.session_id = ""
        self.worker = ""
        self._number = 100
        self._nonce = 0

    async def login(self, worker: str, password: str = "x") -> None:
        answer = await self.call("mining.subscribe", "test/1")
        subscriptions, self.extranonce1, size = answer["result"]
        assert size == 4
        self.session_id = subscriptions[0][1]
        self.worker = worker
        assert (await self.call("mining.authorize", worker, password))["result"] is True
        await self.until("mining.notify")

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def send_request(self, method: str, *params: Any, number: Any = 1) -> None:
        body = {"id": number, "method": method, "params": list(params)}
        self.send(json.dumps(body).encode() + b"\n")

    async def read(self) -> dict[str, Any]:
        line = await asyncio.wait_for(self.reader.readline(), 20)
        if not line:
            raise EOFError
        message: dict[str, Any] = json.loads(line)
        return message

    async def answer(self) -> dict[str, Any]:
        """The next message that is an answer; notices before it are kept."""
        while True:
            message = await self.read()
            if "method" not in message:
                return message
            self.notices.append(message)

    async def call(self, method: str, *params: Any) -> dict[str, Any]:
        self._number += 1
        self.send_request(method, *params, number=self._number)
        answer = await self.answer()
        assert answer["id"] == self._number
        return answer

    async def until(self, method: str) -> list[Any]:
        """Parameters of the next notice of that method that was not looked at yet."""
        while True:
            while self.notices:
                notice = self.notices.pop(0)
                if notice["method"] == method:
                    params: list[Any] = notice["params"]
                    return params
            self.notices.append(await self.read())

    def share(self, job_id: str, *, ntime: int | None = None, version: str | None = None):
        """Parameters of a submit that differs from all before."""
        self._nonce += 1
        when = SystemClock().now_ms() // 1000 if ntime is None else ntime
        fields = [self.worker, job_id, "00000000", f"{when:08x}", f"{self._nonce:08x}"]
        return fields if version is None else [*fields, version]

    async def submit(self, job_id: str, **options) -> dict[str, Any]:
        return await self.call("mining.submit", *self.share(job_id, **options))

    async def closed(self) -> bytes:
        """What comes until the server closes."""
        try:
            return await asyncio.wait_for(self.reader.read(1 << 20), 20)
        except ConnectionResetError:
            return b""

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return
