"""A real litecoind in regtest, for the tests that need the real thing."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any, Self

BINARY = "/usr/lib/litecoin/litecoind"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Litecoind:
    """One daemon with its own directory and ports; survives its own restarts."""

    user, password = "pool", "hush"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rpc_port, self.p2p_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.rpc_port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._peer: socket.socket | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                BINARY,
                "-regtest",
                f"-datadir={self.folder}",
                "-server",
                f"-rpcuser={self.user}",
                f"-rpcpassword={self.password}",
                f"-rpcport={self.rpc_port}",
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
                "-printtoconsole=0",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.rpc("getblockchaininfo")
                break
            except (OSError, RpcFaultError):
                assert self._process.poll() is None, "litecoind ended"
                assert time.monotonic() < deadline, "litecoind does not answer"
                time.sleep(0.05)
        # Without a peer it gives no templates; a bare socket is peer enough.
        self._peer = socket.create_connection(("127.0.0.1", self.p2p_port))
        while self.rpc("getconnectioncount") == 0:
            assert time.monotonic() < deadline, "litecoind does not count its peer"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._peer is not None:
            self._peer.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def leave_initial_sync(self, wallet: str) -> None:
        """Mine the first block: before it the daemon believes to be far behind."""
        self.generate(1, self.rpc("getnewaddress", wallet=wallet))

    def rpc(self, method: str, *params: object, wallet: str | None = None) -> Any:
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        path = f"/wallet/{wallet}" if wallet is not None else "/"
        request = urllib.request.Request(self.url + path, body)
        token = b64encode(f"{self.user}:{self.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["result"]
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
            raise RpcFaultError(method, text.decode(errors="replace")) from None

    def make_wallet(self, name: str) -> None:
        """Load a wallet, making it when it is new."""
        known = [entry["name"] for entry in self.rpc("listwalletdir")["wallets"]]
        if name in self.rpc("listwallets"):
            return
        self.rpc("loadwallet" if name in known else "createwallet", name)

    def generate(self, blocks: int, address: str) -> list[str]:
        """Mine by the daemon itself."""
        hashes: list[str] = []
        while blocks > 0:
            part = min(blocks, 100)
            hashes += self.rpc("generatetoaddress", part, address)
            blocks -= part
        return hashes

    def height(self) -> int:
        return int(self.rpc("getblockcount"))

    def activate_mweb(self, wallet: str) -> None:
        """Mine over height 431 with the peg-in that block 432 needs in the mempool."""
        address = self.rpc("getnewaddress", wallet=wallet)
        self.generate(431 - self.height(), address)
        pegin = self.rpc("getnewaddress", "", "mweb", wallet=wallet)
        self.rpc("sendtoaddress", pegin, 10, wallet=wallet)
        self.generate(1, address)
        assert "mweb" in self.rpc("getblocktemplate", {"rules": ["mweb", "segwit"]})


class RpcFaultError(Exception):
    """The daemon answered with an error."""
