"""Daemons for tests: real processes with one interface, on free ports of 127.0.0.1.

`LitecoinDaemon` is Debian's litecoind in regtest, `DevchainDaemon` the
embedded chain as a process of its own. Both can be mined, reorganised, killed
and started again. Calls from here are synchronous, so that a daemon may live
longer than one test's event loop; what is tested talks through `endpoint()`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from millpond.chains.bitcoin.rpc import RpcEndpoint
from millpond.chains.coins import Coin, coin_named

LITECOIND = "/usr/lib/litecoin/litecoind"
MWEB_HEIGHT = 432
BIP34_HEIGHT = 500
_START_TIMEOUT_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DaemonError(Exception):
    """The daemon's error object."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class LiveDaemon:
    """A running daemon with a wallet called `miner` that the blocks are mined to."""

    coin: Coin
    user = "tester"
    password = "secret"

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="millpond-daemon-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.miner_address = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def maturity(self) -> int:
        return self.coin.maturity

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start (again) and wait until the RPC answers."""
        log = (self.directory / "output.log").open("ab")
        with log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        self._wait_until_up()
        self._after_start()

    def stop(self) -> None:
        """Stop for good and remove the data."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> None:
        """An orderly stop that keeps the data."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)

    def endpoint(self, wallet: str | None = None, **options: Any) -> RpcEndpoint:
        return RpcEndpoint(self.url, self.user, self.password, wallet=wallet, **options)

    def rpc(self, method: str, *params: Any, wallet: str | None = None) -> Any:
        path = f"/wallet/{wallet}" if wallet else "/"
        request = urllib.request.Request(
            self.url + path,
            data=json.dumps({"id": 1, "method": method, "params": params}).encode(),
            headers={
                "Authorization": "Basic "
                + b64encode(f"{self.user}:{self.password}".encode()).decode()
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                document = json.loads(response.read(), parse_float=Decimal)
        except urllib.error.HTTPError as error:
            with error:
                document = json.loads(error.read() or b"{}", parse_float=Decimal)
        if document.get("error"):
            raise DaemonError(document["error"]["code"], document["error"]["message"])
        return document["result"]

    def height(self) -> int:
        return int(self.rpc("getblockcount"))

    def mine(self, count: int = 1, address: str | None = None) -> list[str]:
        hashes: list[str] = []
        while len(hashes) < count:
            part = min(count - len(hashes), 100)
            hashes += self.rpc("generatetoaddress", part, address or self.miner_address)
        return hashes

    def mine_to(self, height: int) -> None:
        if height > self.height():
            self.mine(height - self.height())

    def fund(self) -> None:
        """Make sure that the miner's wallet has some mature coins."""
        self.mine_to(self.maturity + 10)

    def pay(self, address: str, sat: int) -> str:
        """Pay from the miner's wallet; not confirmed."""
        amount = f"{sat // 10**8}.{sat % 10**8:08d}"
        return str(self.rpc("sendtoaddress", address, amount, wallet="miner"))

    def reorg(self, depth: int, *, longer_by: int = 1) -> list[str]:
        """Replace the last `depth` blocks by a longer branch; returns its hashes."""
        first = self.rpc("getblockhash", self.height() - depth + 1)
        self.rpc("invalidateblock", first)
        # Another address, lest the same blocks come out again.
        return self.mine(depth + longer_by, self.rpc("getnewaddress", wallet="miner"))

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError((self.directory / "output.log").read_text()[-2000:])
            try:
                self.rpc("getblockcount")
            except (OSError, DaemonError, json.JSONDecodeError):
                assert time.monotonic() < deadline, "the daemon did not come up"
                time.sleep(0.02)
            else:
                return

    def _after_start(self) -> None:
        try:
            self.rpc("loadwallet", "miner")
        except DaemonError as error:
            if error.code == -18:
                self.rpc("createwallet", "miner")
        if not self.miner_address:
            self.miner_address = self.rpc("getnewaddress", wallet="miner")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class LitecoinDaemon(LiveDaemon):
    """litecoind in regtest, held connected by a peer that says nothing."""

    coin = coin_named("litecoin-regtest")

    def __init__(self, *, extra: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.p2p_port = free_port()
        self.extra = extra
        self._peer: socket.socket | None = None

    def command(self) -> list[str]:
        return [
            LITECOIND,
            "-regtest",
            f"-datadir={self.directory}",
            "-server",
            f"-rpcuser={self.user}",
            f"-rpcpassword={self.password}",
            f"-rpcport={self.port}",
            f"-port={self.p2p_port}",
            "-bind=127.0.0.1",
            "-rpcbind=127.0.0.1",
            "-rpcallowip=127.0.0.1",
            "-listen=1",
            "-dnsseed=0",
            "-connect=0",
            "-peertimeout=9999999",
            "-fallbackfee=0.0002",
            "-txindex=1",
            "-keypool=5",
            *self.extra,
        ]

    def _after_start(self) -> None:
        if self._peer is not None:
            self._peer.close()
        self._peer = socket.create_connection(("127.0.0.1", self.p2p_port))
        super()._after_start()
        if self.height() == 0:
            # A chain without a recent block counts as still downloading.
            self.mine(1)

    def stop(self) -> None:
        if self._peer is not None:
            self._peer.close()
        super().stop()

    def mine_to(self, height: int) -> None:
        """Mine, with a peg-in waiting when the extension block becomes active."""
        if self.height() < MWEB_HEIGHT <= height:
            super().mine_to(MWEB_HEIGHT - 1)
            mweb = self.rpc("getnewaddress", "", "mweb", wallet="miner")
            self.rpc("sendtoaddress", mweb, 10, wallet="miner")
        super().mine_to(height)


class DevchainDaemon(LiveDaemon):
    """The embedded chain in a process of its own."""

    def __init__(self, coin: str = "devcoin", *, extra: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.coin = coin_named(coin)
        self.extra = extra

    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "millpond.chains.devchain",
            f"--coin={self.coin.name}",
            f"--port={self.port}",
            f"--datadir={self.directory}",
            f"--user={self.user}",
            f"--password={self.password}",
            "--instant",
            *self.extra,
        ]


class SilentPort:
    """A port that takes connections and never answers."""

    def __enter__(self) -> str:
        self._socket = socket.create_server(("127.0.0.1", 0))
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()
