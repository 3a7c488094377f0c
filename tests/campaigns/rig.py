"""A whole pool whose parts are killed one by one, and a miner that goes on regardless."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from millpond.mining.sharelog.reader import ShareLogReader
from millpond.ops.heartbeat import Heartbeat
from tests.chains.daemons import free_port
from tests.support.product import COMMAND, millpond
from tests.support.stratum import StratumMiner, Tally

CONFIG = """
[[pools]]
id = "dev-main"
coin = "devcoin"
[pools.payouts]
minimum = 100_000
threshold = 100_000
confirmations = 3
poll_s = 0.2
patience_s = 1.0
lease_s = 4.0
run_interval_s = 0.5
[stratum.vardiff]
start = 0.000_001
minimum = 0.000_000_1
target_s = 0.05
[devchain]
block_time_s = 1
retarget = false
[miner]
enabled = "no"
"""
WAIT_S = 180.0


class Rig:
    """Devchain, edge and worker as separate processes."""

    def __init__(self, folder: Path, wallet: str, network: str) -> None:
        self.data = folder / "data"
        self.wallet = wallet
        self.network = network
        self.config = folder / "pool.toml"
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(CONFIG)
        self.stratum_port, self.devchain_port = free_port(), free_port()
        clean = {name: value for name, value in os.environ.items() if "MILLPOND" not in name}
        self.env = {
            **clean,
            "MILLPOND__DATA_DIR": str(self.data),
            "MILLPOND__STRATUM__PORTS": f"[{self.stratum_port}]",
            "MILLPOND__DEVCHAIN__PORT": str(self.devchain_port),
            "MILLPOND_CONFIG": str(self.config),
            "MILLPOND__DEVEVM__ENABLED": "no",
            "MILLPOND__LOG__TO": "files",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.tallies: dict[str, Tally] = {}
        self.kills = 0
        self._mining: asyncio.Task[None] | None = None
        self._epoch = 0

    # -- processes -----------------------------------------------------------

    def start(self, part: str, *, kill_at: tuple[str, int] | None = None) -> None:
        """Start a part, and do not wait for it."""
        command = [*COMMAND, part]
        if kill_at is not None:
            point, times = kill_at
            command = [sys.executable, "-m", "tests.campaigns.part", part, point, str(times)]
        with (self.data.parent / f"{part}.out").open("ab") as out:
            self.processes[part] = subprocess.Popen(command, env=self.env, stdout=out, stderr=out)

    async def ready(self, part: str) -> None:
        """Wait until a part says that it is ready."""
        process = self.processes[part]
        path = self.data / "run" / f"{part}.json"

        def look() -> bool:
            assert process.poll() is None, f"{part} ended: {self.output(part)}"
            try:
                beat = msgspec.json.decode(path.read_bytes(), type=Heartbeat)
            except (OSError, msgspec.DecodeError):
                return False
            return beat.pid == process.pid and beat.state == "ready"

        await until(f"{part} ready", look, self.output)

    def kill(self, *parts: str) -> None:
        """`kill -9`."""
        for part in parts:
            self.processes[part].send_signal(signal.SIGKILL)
        for part in parts:
            self.processes[part].wait()
            self.kills += 1

    async def killed_itself(self, part: str) -> None:
        """Wait until a part with a chosen point has reached it."""
        process = self.processes[part]
        deadline = time.monotonic() + WAIT_S
        while process.poll() is None:
            assert time.monotonic() < deadline, f"not at its point: {self.output(part)}"
            await self.network_block()
            self.person_looks()
        assert process.returncode == -signal.SIGKILL, self.output(part)
        self.kills += 1

    def end(self) -> None:
        """Kill whatever still runs."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()

    def output(self, part: str = "worker") -> str:
        """The end of what a part has said."""
        found = ""
        for path in (self.data.parent / f"{part}.out", self.data / "logs" / f"{part}.log"):
            if path.exists():
                found += path.read_text()[-2000:]
        return found

    # -- the chain -----------------------------------------------------------

    def chain(self, method: str, *params: object) -> Any:
        """Call the devchain."""
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.devchain_port}/", body)
        request.add_header("Authorization", "Basic " + b64encode(b"devchain:devchain").decode())
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["result"]

    def fault(self, method: str, mode: str, **more: object) -> None:
        """Make the devchain fail."""
        self.chain("dev_set_fault", {"method": method, "mode": mode, **more})

    async def network_block(self) -> None:
        """Somebody else finds a block, so that rewards mature and payments confirm."""
        try:
            await asyncio.to_thread(self.chain, "generatetoaddress", 1, self.network)
        except urllib.error.HTTPError as error:
            error.close()  # the miner under test was quicker
        await asyncio.sleep(0.3)

    def paid_on_chain(self) -> dict[str, int]:
        """Base units to the miner's address by transaction, from the blocks themselves."""
        found: dict[str, int] = {}
        for height in range(1, self.chain("getblockcount") + 1):
            block = self.chain("getblock", self.chain("getblockhash", height), 2)
            for transaction in block["tx"][1:]:
                for output in transaction["vout"]:
                    script = output["scriptPubKey"]
                    if self.wallet in (script.get("addresses") or [script.get("address")]):
                        units = round(output["value"] * 10**8)
                        assert transaction["txid"] not in found, "one payment, one block"
                        found[transaction["txid"]] = units
        return found

    def under_way(self) -> tuple[int, int]:
        """Payouts that are frozen; blocks and payouts that have not come to their end."""
        with contextlib.closing(sqlite3.connect(self.data / "millpond.db", timeout=30)) as books:
            blocks = (
                "select count(*) from block where state not in ('mature','orphaned','rejected')"
            )
            payouts = "select count(*) from payout where state not in ('settled','failed')"
            (open_blocks,) = books.execute(blocks).fetchone()
            (open_payouts,) = books.execute(payouts).fetchone()
            frozen = "select count(*) from payout where state = 'frozen'"
            return books.execute(frozen).fetchone()[0], open_blocks + open_payouts

    def person_looks(self) -> None:
        """What was refused when it was sent waits for a person, who lets it go on."""
        if not self.under_way()[0]:
            return
        listed = self.command("payout", "list", "--json", "--limit", "1000").stdout
        for payout in json.loads(listed):
            if payout["state"] == "frozen":
                assert "refused" in payout["reason"], payout
                acts = ("payout", "release", payout["id"], "--reason", "the daemon is well again")
                self.command(*acts)

    # -- the miner -----------------------------------------------------------

    def mine(self) -> None:
        """Begin to mine, and go on through every interruption."""
        self._mining = asyncio.create_task(self._mine())

    async def stop_mining(self) -> None:
        assert self._mining is not None
        self._mining.cancel()
        await asyncio.gather(self._mining, return_exceptions=True)

    @property
    def accepted(self) -> int:
        """Shares that were answered `true`."""
        return sum(tally.accepted for tally in self.tallies.values())

    async def more_shares(self, count: int = 3) -> None:
        """Wait until the pool has taken some more shares."""
        goal = self.accepted + count
        await until("shares", lambda: self.accepted >= goal, self.output)

    async def first_payout(self) -> None:
        """Wait until the pool has paid for the first time."""
        deadline = time.monotonic() + WAIT_S
        while not self.paid_on_chain():
            assert time.monotonic() < deadline, f"no payout: {self.output()}"
            await self.network_block()

    async def _mine(self) -> None:
        while True:
            self._epoch += 1
            worker = f"{self.wallet}.e{self._epoch}"
            miner = StratumMiner("127.0.0.1", self.stratum_port, worker, "sha256d")
            self.tallies[worker] = miner.tally
            try:
                async with miner:
                    while True:
                        await miner.share()
                        # The cores are for the parts that are being killed.
                        await asyncio.sleep(0.05)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.1)

    # -- the verdict ---------------------------------------------------------

    async def logged(self) -> dict[str, int]:
        """Shares in the log by worker."""
        reader = await ShareLogReader.open(f"sqlite:///{self.data / 'shares.db'}")
        found: dict[str, int] = {}
        after = None
        try:
            while groups := await reader.groups("dev-main", after):
                for group in groups:
                    for share in group.shares():
                        found[share.worker] = found.get(share.worker, 0) + 1
                after = groups[-1].position
        finally:
            await reader.close()
        return found

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this pool."""
        return millpond(*arguments, env=self.env)


async def until(
    what: str, look: Callable[[], bool], explain: Callable[[], str], timeout_s: float = WAIT_S
) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline, f"no {what}: {explain()}"
        await asyncio.sleep(0.05)
