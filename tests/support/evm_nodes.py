"""EVM nodes for tests: real processes with one interface, on free ports of 127.0.0.1.

`anvil`, `hardhat` and `devevm` (the embedded one) run with chain id 31337 and
the accounts of the standard test mnemonic, 10,000 ether each. All are
controlled alike: mined, reorganised, moved in time, killed. Calls from here
are synchronous, so that a node may live longer than one test's event loop;
what is tested talks to `url`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from tests.support.postgres import free_port

CONTRACTS = Path(__file__).parents[2] / "contracts"
ANVIL = CONTRACTS / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
HARDHAT = CONTRACTS / "node_modules/hardhat/internal/cli/bootstrap.js"
CHAIN_ID = 31337
ETHER = 10**18
GWEI = 10**9
_START_TIMEOUT_S = 60.0
_MINED_TIMEOUT_S = 30.0

# "test test test test test test test test test test test junk", m/44'/60'/0'/0/n:
# known to everybody, worth nothing.
KEYS = (
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    "0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
)
ACCOUNTS: tuple[LocalAccount, ...] = tuple(Account.from_key(key) for key in KEYS)


class NodeError(Exception):
    """The node's error object."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.data = data


class Node:
    """A running node. `control` in the base class is what all speak alike."""

    name = ""
    chain_id = CHAIN_ID
    keys = KEYS
    accounts = ACCOUNTS

    def __init__(self, *, manual: bool = False) -> None:
        self.manual = manual
        self.directory = Path(tempfile.mkdtemp(prefix=f"millpond-{self.name}-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._ids = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # -- the process ------------------------------------------------------

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self) -> None:
        """Start (again) and wait until the RPC answers."""
        with (self.directory / "output.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=CONTRACTS, env=self.environment()
            )
        self._wait_until_up()

    def stop(self) -> None:
        """Stop for good and remove the data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def terminate(self) -> None:
        """An orderly stop that keeps the data."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)
        self.process = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self) -> str:
        return (self.directory / "output.log").read_text()

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            assert self.process is not None
            assert self.process.poll() is None, self.log()[-2000:]
            try:
                self.rpc("eth_chainId")
            except OSError:
                assert time.monotonic() < deadline, "the node did not come up"
                time.sleep(0.02)
            else:
                return

    # -- asking -----------------------------------------------------------

    def rpc(self, method: str, *params: Any) -> Any:
        """Call a method; the error object is raised as `NodeError`."""
        document = self._post(self._request(method, params))
        return _result(document)

    def batch(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        """Call several methods in one request; the answers in the order of the calls."""
        requests = [self._request(method, params) for method, params in calls]
        by_id = {answer["id"]: answer for answer in self._post(requests)}
        return [_result(by_id[request["id"]]) for request in requests]

    def _request(self, method: str, params: Any) -> dict[str, Any]:
        self._ids += 1
        return {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": list(params)}

    def _post(self, document: Any) -> Any:
        request = urllib.request.Request(
            self.url,
            data=json.dumps(document).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return json.loads(error.read())

    def height(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def block(self, tag: int | str = "latest", *, full: bool = False) -> dict[str, Any]:
        """A block by number, tag, or hash."""
        if isinstance(tag, str) and len(tag) == 66:
            return dict(self.rpc("eth_getBlockByHash", tag, full))
        name = hex(tag) if isinstance(tag, int) else tag
        return dict(self.rpc("eth_getBlockByNumber", name, full))

    def now_s(self) -> int:
        """Time of the newest block, unix seconds."""
        return int(self.block()["timestamp"], 16)

    def nonce(self, address: str, tag: str = "latest") -> int:
        return int(self.rpc("eth_getTransactionCount", address, tag), 16)

    def balance(self, address: str, tag: str = "latest") -> int:
        return int(self.rpc("eth_getBalance", address, tag), 16)

    def receipt(self, tx_hash: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.rpc("eth_getTransactionReceipt", tx_hash)
        return found

    # -- sending ----------------------------------------------------------

    def sign(
        self,
        account: LocalAccount = ACCOUNTS[0],
        *,
        to: str | None = None,
        value: int = 0,
        data: bytes = b"",
        nonce: int | None = None,
        gas: int = 21_000,
        max_fee: int = 20 * GWEI,
        max_priority_fee: int = GWEI,
        chain_id: int = CHAIN_ID,
    ) -> tuple[str, str]:
        """Sign a type-2 transaction; returns the raw form and its hash, both 0x-hex."""
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": chain_id,
            "nonce": self.nonce(account.address, "pending") if nonce is None else nonce,
            "value": value,
            "data": data,
            "gas": gas,
            "maxFeePerGas": max_fee,
            "maxPriorityFeePerGas": max_priority_fee,
        }
        if to is not None:
            fields["to"] = to_checksum_address(to)
        signed = account.sign_transaction(fields)
        return "0x" + bytes(signed.raw_transaction).hex(), "0x" + bytes(signed.hash).hex()

    def send(self, account: LocalAccount = ACCOUNTS[0], **fields: Any) -> str:
        """Sign and send a transaction; returns its hash."""
        raw, _ = self.sign(account, **fields)
        return str(self.rpc("eth_sendRawTransaction", raw))

    def deploy(
        self, bytecode: bytes, account: LocalAccount = ACCOUNTS[0], *, gas: int = 12_000_000
    ) -> str:
        """Create a contract (init code with its arguments), in a block; its address (EIP-55)."""
        tx_hash = self.send(account, data=bytecode, gas=gas)
        if self.manual:
            self.mine()
        receipt = self.mined(tx_hash)
        assert receipt["status"] == "0x1", receipt
        return str(to_checksum_address(receipt["contractAddress"]))

    def mined(self, tx_hash: str) -> dict[str, Any]:
        """The receipt, as soon as there is one: anvil mines a little after it answered."""
        deadline = time.monotonic() + _MINED_TIMEOUT_S
        while True:
            receipt = self.receipt(tx_hash)
            if receipt is not None:
                return receipt
            assert time.monotonic() < deadline, f"{tx_hash} is in no block"
            time.sleep(0.005)

    # -- control: what differs from node to node is in the classes below ----

    def mine(self, count: int = 1) -> None:
        """Make blocks, of what waits and then empty ones."""
        raise NotImplementedError

    def automine(self, on: bool) -> None:
        """A block for every transaction (as started), or only when told to."""
        self.rpc("evm_setAutomine", on)
        self.manual = not on

    def reorg(self, depth: int, *, keep_txs: bool = True) -> None:
        """Replace the last `depth` blocks by as many other, empty ones.

        Args:
            depth: How many; with hardhat at most 256 and none from before a `revert`.
            keep_txs: Transactions of the removed blocks wait again (and are mined
                at once, in a block more, if the node is not `manual`); False:
                they are forgotten.
        """
        raise NotImplementedError

    def set_balance(self, address: str, wei: int) -> None:
        raise NotImplementedError

    def drop(self, tx_hash: str) -> None:
        """Forget a waiting transaction."""
        raise NotImplementedError

    def increase_time(self, seconds: int) -> None:
        """The next block is so many seconds later than it would be."""
        self.rpc("evm_increaseTime", seconds)

    def set_next_timestamp(self, unix_s: int) -> None:
        """Time of the next block."""
        self.rpc("evm_setNextBlockTimestamp", unix_s)

    def snapshot(self) -> str:
        return str(self.rpc("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Go back; a snapshot is good for once."""
        assert self.rpc("evm_revert", snapshot) is True


def _result(document: Any) -> Any:
    error = document.get("error")
    if error is not None:
        raise NodeError(error["code"], error["message"], error.get("data"))
    return document["result"]


class Anvil(Node):
    """Foundry's anvil. Takes replacements that are no 10 % dearer, keeps no data."""

    name = "anvil"

    def __init__(self, *, block_time_s: int | None = None, manual: bool = False) -> None:
        super().__init__(manual=manual)
        self._options = ["--no-mining"] if manual else []
        if block_time_s is not None:
            self._options += ["--block-time", str(block_time_s)]

    def command(self) -> list[str]:
        return [
            str(ANVIL),
            "--host=127.0.0.1",
            f"--port={self.port}",
            f"--chain-id={self.chain_id}",
            "--hardfork=prague",
            "--silent",
            *self._options,
        ]

    def mine(self, count: int = 1) -> None:
        self.rpc("anvil_mine", hex(count))

    def reorg(self, depth: int, *, keep_txs: bool = True) -> None:
        head = self.height()
        removed = []
        for number in range(head - depth + 1, head + 1):
            removed += self.block(number)["transactions"]
        raws = [self.rpc("debug_getRawTransaction", tx_hash) for tx_hash in removed]
        self.rpc("anvil_reorg", depth, [])
        if keep_txs:
            self._wait_again(raws)

    def _wait_again(self, raws: list[str]) -> None:
        manual = self.manual
        self.automine(False)
        for raw in raws:
            self.rpc("eth_sendRawTransaction", raw)
        self.automine(not manual)

    def set_balance(self, address: str, wei: int) -> None:
        self.rpc("anvil_setBalance", address, hex(wei))

    def drop(self, tx_hash: str) -> None:
        self.rpc("anvil_dropTransaction", tx_hash)


class Hardhat(Node):
    """Hardhat's node, with the reorganisation of `contracts/hardhat.config.cjs`."""

    name = "hardhat"

    def command(self) -> list[str]:
        return ["node", str(HARDHAT), "node", "--hostname", "127.0.0.1", "--port", str(self.port)]

    def environment(self) -> dict[str, str]:
        # Its home is ours: it leaves nothing behind and reports to nobody.
        return dict(os.environ) | {
            "HARDHAT_CONFIG": str(CONTRACTS / "hardhat.config.cjs"),
            "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true",
            "HOME": str(self.directory),
            "XDG_DATA_HOME": str(self.directory),
            "XDG_CONFIG_HOME": str(self.directory),
            "XDG_CACHE_HOME": str(self.directory),
        }

    def start(self) -> None:
        super().start()
        if self.manual:
            self.automine(False)

    def mine(self, count: int = 1) -> None:
        self.rpc("hardhat_mine", hex(count))

    def reorg(self, depth: int, *, keep_txs: bool = True) -> None:
        self.rpc("dev_reorg", depth, keep_txs)

    def set_balance(self, address: str, wei: int) -> None:
        self.rpc("hardhat_setBalance", address, hex(wei))

    def drop(self, tx_hash: str) -> None:
        self.rpc("hardhat_dropTransaction", tx_hash)


class Devevm(Node):
    """The embedded chain in a process of its own; keeps its data over `kill` and `start`."""

    name = "devevm"

    def __init__(self, *, block_time_s: float | None = None, manual: bool = False) -> None:
        super().__init__(manual=manual)
        self._options = ["--manual"] if manual else []
        if block_time_s is not None:
            self._options += [f"--block-time={block_time_s}"]

    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "millpond.chains.devevm",
            f"--port={self.port}",
            f"--datadir={self.directory}",
            f"--chain-id={self.chain_id}",
            *self._options,
        ]

    def mine(self, count: int = 1) -> None:
        self.rpc("dev_mine", count)

    def reorg(self, depth: int, *, keep_txs: bool = True) -> None:
        self.rpc("dev_reorg", depth, keep_txs)

    def set_balance(self, address: str, wei: int) -> None:
        """As the others do, and in a block of its own."""
        self.rpc("dev_setBalance", address, hex(wei))

    def drop(self, tx_hash: str) -> None:
        self.rpc("dev_dropTransaction", tx_hash)


@contextlib.contextmanager
def anvil(*, block_time_s: int | None = None, manual: bool = False) -> Iterator[Anvil]:
    """A fresh anvil; `manual`: blocks only by `mine`."""
    with Anvil(block_time_s=block_time_s, manual=manual) as node:
        yield node


@contextlib.contextmanager
def hardhat(*, manual: bool = False) -> Iterator[Hardhat]:
    """A fresh hardhat node; `manual`: blocks only by `mine`."""
    with Hardhat(manual=manual) as node:
        yield node


@contextlib.contextmanager
def devevm(*, block_time_s: float | None = None, manual: bool = False) -> Iterator[Devevm]:
    """A fresh devevm; `manual`: blocks only by `mine`."""
    with Devevm(block_time_s=block_time_s, manual=manual) as node:
        yield node


@pytest.fixture(scope="session")
def running_hardhat() -> Iterator[Hardhat]:
    """One process a session, since it takes a second to start; take `hardhat_node`."""
    with Hardhat() as node:
        yield node


@pytest.fixture
def hardhat_node(running_hardhat: Hardhat) -> Iterator[Hardhat]:
    """hardhat's node as if freshly started: one process, gone back after each test."""
    node = running_hardhat
    before = node.snapshot()
    yield node
    node.automine(True)
    for waiting in node.rpc("eth_pendingTransactions"):
        node.drop(waiting["hash"])
    node.revert(before)


@pytest.fixture
def anvil_node() -> Iterator[Anvil]:
    """A fresh anvil."""
    with Anvil() as node:
        yield node


@pytest.fixture(scope="session")
def running_devevm() -> Iterator[Devevm]:
    """One process a session, since it takes a second to start; take `devevm_node`."""
    with Devevm() as node:
        yield node


@pytest.fixture
def devevm_node(running_devevm: Devevm) -> Iterator[Devevm]:
    """The embedded chain as if freshly started: one process, gone back after each test."""
    node = running_devevm
    before = node.snapshot()
    yield node
    node.automine(True)
    node.revert(before)


@pytest.fixture(params=["anvil", "hardhat", "devevm"])
def evm_node(request: pytest.FixtureRequest) -> Node:
    """Each node in turn, fresh: what is true of one is true of all."""
    found = request.getfixturevalue(f"{request.param}_node")
    assert isinstance(found, Node)
    return found
