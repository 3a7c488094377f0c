"""A Stratum miner for tests, written from the protocol and from nothing of Millpond's.

It builds the coinbase, the merkle root and the header by itself, so that a
mistake in the pool's own arithmetic cannot hide on both sides.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct
from dataclasses import dataclass, field
from typing import Any, Self

DIFFICULTY_1 = {"sha256d": 0xFFFF << 208, "scrypt": 0xFFFF << 224}


def sha256d(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def scrypt(header: bytes) -> bytes:
    return hashlib.scrypt(header, salt=header, n=1024, r=1, p=1, dklen=32)


POW = {"sha256d": sha256d, "scrypt": scrypt}


@dataclass
class Job:
    """One `mining.notify`."""

    job_id: str
    previous_hash: bytes
    coinbase_1: bytes
    coinbase_2: bytes
    branch: list[bytes]
    version: int
    bits: int
    time: int
    target: int

    @classmethod
    def parse(cls, params: list[Any]) -> Job:
        job_id, previous, one, two, branch, version, bits, time, _ = params
        words = bytes.fromhex(previous)
        compact = int(bits, 16)
        size, mantissa = compact >> 24, compact & 0x7FFFFF
        return cls(
            job_id=job_id,
            # Stratum swaps the bytes of each 32-bit word of the header field.
            previous_hash=b"".join(words[i : i + 4][::-1] for i in range(0, 32, 4)),
            coinbase_1=bytes.fromhex(one),
            coinbase_2=bytes.fromhex(two),
            branch=[bytes.fromhex(step) for step in branch],
            version=int(version, 16),
            bits=compact,
            time=int(time, 16),
            target=mantissa << 8 * (size - 3) if size > 3 else mantissa >> 8 * (3 - size),
        )


@dataclass
class Tally:
    """What became of the submissions under one worker name."""

    sent: int = 0
    accepted: int = 0
    rejected: list[list[Any]] = field(default_factory=list)


class StratumMiner:
    """One connection that mines on one core, a hash at a time."""

    def __init__(self, host: str, port: int, worker: str, algorithm: str, password: str = "x"):
        self.host, self.port, self.worker, self.password = host, port, worker, password
        self.algorithm = algorithm
        self.tally = Tally()
        self.blocks_seen: list[str] = []
        self.difficulty = 1.0
        self.extranonce1 = b""
        self.extranonce2_size = 4
        self._counter = 0
        self._job: Job | None = None
        self._new_job = asyncio.Event()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._next_id = 0

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
        self._pump = asyncio.create_task(self._read())
        subscribed = await self.call("mining.subscribe", ["millpond-tests/1"])
        self.extranonce1 = bytes.fromhex(subscribed[1])
        self.extranonce2_size = subscribed[2]
        assert await self.call("mining.authorize", [self.worker, self.password]) is True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pump.cancel()
        self._writer.close()
        await asyncio.gather(self._pump, return_exceptions=True)
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return

    async def call(self, method: str, params: list[Any]):
        if self._pump.done():
            raise ConnectionError("the pool closed the connection")
        self._next_id += 1
        answer = asyncio.get_running_loop().create_future()
        self._answers[self._next_id] = answer
        line = json.dumps({"id": self._next_id, "method": method, "params": params})
        self._writer.write(line.encode() + b"\n")
        await self._writer.drain()
        async with asyncio.timeout(60):
            reply = await answer
        if reply.get("error"):
            raise RefusedError(reply["error"])
        return reply["result"]

    async def job(self) -> Job:
        """The newest job."""
        async with asyncio.timeout(60):
            await self._new_job.wait()
        if self._pump.done():
            raise ConnectionError("the pool closed the connection")
        assert self._job is not None
        return self._job

    async def next_job(self) -> Job:
        """The first job after the present one."""
        self._new_job.clear()
        return await self.job()

    async def block(self) -> None:
        """Find a block that the pool takes, and wait for work on top of it."""
        async with asyncio.timeout(120):
            before = (await self.job()).previous_hash
            while not await self.share(block=True):
                before = (await self.job()).previous_hash
            while (await self.job()).previous_hash == before:
                await asyncio.sleep(0.02)

    async def share(self, *, block: bool = False) -> bool:
        """Find one share (or one block), send it, and return the pool's answer.

        Raises:
            ConnectionError: The pool went away before it answered.
        """
        job = await self.job()
        extranonce2, nonce, digest = await self._search(job, block=block)
        self.tally.sent += 1
        try:
            answer = await self.call(
                "mining.submit",
                [self.worker, job.job_id, extranonce2.hex(), f"{job.time:08x}", f"{nonce:08x}"],
            )
        except RefusedError as refusal:
            self.tally.rejected.append(refusal.error)
            return False
        assert answer is True
        self.tally.accepted += 1
        if digest <= job.target:
            self.blocks_seen.append(job.job_id)
        return True

    async def _search(self, job: Job, *, block: bool) -> tuple[bytes, int, int]:
        hasher = POW[self.algorithm]
        target = job.target
        if not block:
            target = max(target, int(DIFFICULTY_1[self.algorithm] / self.difficulty))
        while True:
            self._counter += 1
            extranonce2 = self._counter.to_bytes(self.extranonce2_size, "big")
            coinbase = job.coinbase_1 + self.extranonce1 + extranonce2 + job.coinbase_2
            root = sha256d(coinbase)
            for step in job.branch:
                root = sha256d(root + step)
            head = struct.pack("<I", job.version) + job.previous_hash + root
            head += struct.pack("<II", job.time, job.bits)
            for nonce in range(2_000):
                digest = int.from_bytes(hasher(head + struct.pack("<I", nonce)), "little")
                if digest <= target:
                    return extranonce2, nonce, digest
            # Let notifications in between two stretches of hashing.
            await asyncio.sleep(0)

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except ConnectionError:
            pass
        finally:
            self._new_job.set()
            gone = ConnectionError("the pool closed the connection")
            for waiting in self._answers.values():
                if not waiting.done():
                    waiting.set_exception(gone)
                    waiting.exception()

    def _take(self, message: dict[str, Any]) -> None:
        match message.get("method"):
            case None:
                waiting = self._answers.pop(message["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            case "mining.notify":
                self._job = Job.parse(message["params"])
                self._new_job.set()
            case "mining.set_difficulty":
                self.difficulty = message["params"][0]
            case "mining.set_extranonce":
                self.extranonce1 = bytes.fromhex(message["params"][0])
                self.extranonce2_size = message["params"][1]


class RefusedError(Exception):
    """The pool said no."""

    def __init__(self, error: list[Any]) -> None:
        super().__init__(str(error))
        self.error = error
