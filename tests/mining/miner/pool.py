"""A small pool for the miner's tests: real sockets, shares held against `mining.work`."""

import asyncio
import contextlib
import json

from millpond.chains.coins import coin_named
from millpond.mining.difficulty import from_float
from millpond.mining.work import (
    BIP320_MASK,
    Accepted,
    CoinbaseOutput,
    Rejected,
    Template,
    build_job,
    check,
    parse_submission,
)
from tests.mining.work.gbt import gbt

FIRST = b"\x00\x00\x00\x07"


class Pool:
    """One pool; tests script it by its attributes and by `on_share`."""

    def __init__(self, coin="devcoin", difficulty=2**-20, bits="1d00ffff"):
        self.coin = coin_named(coin)
        self.difficulty = difficulty
        self.bits = bits
        self.extranonce1 = FIRST
        self.mask = BIP320_MASK
        self.users = None
        self.answer = lambda verdict: (isinstance(verdict, Accepted), verdict)
        self.requests = []
        self.shares = []
        self.verdicts = []
        self.connections = 0
        self.got = asyncio.Condition()
        self.writers = []
        self.after_login = None
        self._jobs = {}
        self._seen = set()

    @contextlib.asynccontextmanager
    async def running(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.server.close()
            for writer in self.writers:
                writer.close()

    @property
    def url(self):
        return f"stratum+tcp://127.0.0.1:{self.port}"

    async def until(self, condition):
        async with self.got:
            await self.got.wait_for(condition)

    def job(self, name, **changes):
        template = Template.from_gbt(
            gbt(**({"bits": self.bits, "target": ...} | changes)), self.coin
        )
        job = build_job(template, name, [CoinbaseOutput(b"\x51")], tag=b"/test/")
        self._jobs[name] = (job, self.difficulty, self.extranonce1)
        return job

    def notify(self, writer, name, *, clean=True, **changes):
        n = self.job(name, **changes).notify
        self.send(writer, "mining.notify", [
            name, n.prev_hash, n.coinbase1, n.coinbase2, n.merkle_branch, n.version, n.bits, n.ntime,
            clean,
        ])  # fmt: skip

    def send(self, writer, method, params, request_id=None):
        writer.write(
            json.dumps({"id": request_id, "method": method, "params": params}).encode() + b"\n"
        )

    async def _serve(self, reader, writer):
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                message = json.loads(line)
                if "method" in message:
                    self._on_request(writer, message)
                self.requests.append(message)
                async with self.got:
                    self.got.notify_all()
        writer.close()

    def _on_request(self, writer, message):
        result, error = self._result(writer, message["method"], message["params"])
        reply = {"id": message["id"], "result": result, "error": error}
        writer.write(json.dumps(reply).encode() + b"\n")
        if message["method"] == "mining.authorize" and result:
            self.send(writer, "mining.set_difficulty", [self.difficulty])
            self.notify(writer, f"job{self.connections}")
            if self.after_login:
                self.after_login(writer)

    def _result(self, writer, method, params):
        if method == "mining.configure":
            rolling = {"version-rolling": bool(self.mask)}
            return rolling | {"version-rolling.mask": f"{self.mask:08x}"}, None
        if method == "mining.subscribe":
            return [[["mining.notify", "1"]], self.extranonce1.hex(), 8], None
        if method == "mining.authorize":
            if self.users is not None and params[0] not in self.users:
                return None, [24, "Unauthorized worker", None]
            return True, None
        if method == "mining.submit":
            return self._on_share(params)
        return None, [20, "Unknown method", None]

    def _on_share(self, params):
        self.shares.append(params)
        job, difficulty, first = self._jobs[params[1]]
        submission = parse_submission(*params[2:6])
        assert not isinstance(submission, Rejected)
        verdict = check(
            job, first, submission, difficulty=from_float(difficulty),
            version_mask=self.mask, now_s=1_700_000_600, seen=self._seen,
        )  # fmt: skip
        self.verdicts.append(verdict)
        accepted, _ = self.answer(verdict)
        if accepted:
            return True, None
        if isinstance(verdict, Rejected):
            return None, [int(verdict.code), verdict.message, None]
        return None, [21, "Job not found", None]
