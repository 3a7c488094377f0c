"""What the devevm promises beyond what any node does: it lasts, and it is bounded."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import random
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from millpond.chains.devevm.chain import Devevm as Chain
from millpond.chains.devevm.errors import DevevmRpcError, DevevmStorageError
from millpond.chains.devevm.machine import read_header
from millpond.chains.devevm.methods import Method, table
from millpond.chains.devevm.params import DEV_ACCOUNTS, DevevmParams
from millpond.chains.devevm.rpc_chain import ChainMethods
from millpond.chains.devevm.rpc_state import StateMethods
from millpond.chains.devevm.server import DevevmServer
from millpond.chains.devevm.storage import Storage
from millpond.clock import ManualClock, SeededEntropy
from tests.chains.evm.calls import Token
from tests.support.evm_nodes import ACCOUNTS, CHAIN_ID, ETHER, GWEI, Node, NodeError, devevm

ALICE, BOB = ACCOUNTS[0], ACCOUNTS[1].address
BOB_BYTES = bytes.fromhex(BOB[2:])


def signed(nonce: int, who: int = 0, *, to: str | None = BOB, **fields: Any) -> bytes:
    """A payment, as it is sent."""
    fields = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "to": to,
        "value": 1,
        "gas": 21_000,
        "maxFeePerGas": 20 * GWEI,
        "maxPriorityFeePerGas": GWEI,
    } | fields
    return bytes(ACCOUNTS[who].sign_transaction(fields).raw_transaction)


class House:
    """A chain in this process, on a clock and dice of its own."""

    def __init__(self, datadir: Path | None = None, **params: Any) -> None:
        self.clock = ManualClock()
        self.storage = Storage(datadir)
        self.chain = Chain(DevevmParams(**params), self.clock, SeededEntropy(1), self.storage)
        self.chain.load()

    def ask(self, method: str, *params: Any) -> Any:
        """Call an RPC method."""
        methods = table(ChainMethods(self.chain, "test")) | table(StateMethods(self.chain))
        return methods[method](params)


@pytest.fixture
def house() -> Iterator[House]:
    found = House()
    yield found
    found.storage.close()


# -- it lasts --------------------------------------------------------------------


def test_what_was_answered_is_there_after_kill_9() -> None:
    with devevm() as node:
        token = Token(node)
        sent = [token.mint(ALICE.address, 1_000), token.transfer(ALICE, BOB, 300)]
        node.increase_time(1_000)
        node.mine()
        node.automine(False)
        waiting = [node.send(ALICE, to=BOB, value=value) for value in (1, 2, 3)]
        before = _picture(node, token, [*sent, *waiting])

        node.kill()
        node.start()

        assert _picture(node, token, [*sent, *waiting]) == before
        node.mine()
        # It is in the order of arrival that they go into the block.
        assert node.block()["transactions"] == waiting
        assert node.block()["parentHash"] == before["block"]["hash"]
        assert node.now_s() > int(before["block"]["timestamp"], 16)


def _picture(node: Node, token: Token, hashes: list[str]) -> dict[str, Any]:
    return {
        "block": node.block(full=True),
        "logs": token.logs(),
        "balances": [token.balance(address) for address in (ALICE.address, BOB)],
        "transactions": [node.rpc("eth_getTransactionByHash", one) for one in hashes],
        "receipts": [node.receipt(one) for one in hashes],
        "pending": node.nonce(ALICE.address, "pending"),
    }


def test_a_reorganisation_is_there_after_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.chain.send(signed(0))
    house.chain.mine(3)
    house.chain.automine = False
    house.chain.reorg(4)
    head, waiting = house.chain.head.hash, len(house.chain.mempool)
    house.storage.close()

    again = House(tmp_path)

    assert (again.chain.head.hash, len(again.chain.mempool)) == (head, waiting)
    assert (again.chain.height, waiting) == (4, 1)
    again.storage.close()


def test_data_of_another_chain_are_refused(tmp_path: Path) -> None:
    House(tmp_path).storage.close()
    other = Storage(tmp_path)
    chain = Chain(DevevmParams(chain_id=5), ManualClock(), SeededEntropy(), other)

    with pytest.raises(DevevmStorageError, match="chain 31337"):
        chain.load()
    other.close()


def test_a_write_that_fails_changes_nothing_on_disk(tmp_path: Path) -> None:
    house = House(tmp_path)
    height = house.storage.head_number()

    with pytest.raises(RuntimeError), house.storage.transaction():
        house.storage.truncate(-1)
        raise RuntimeError

    assert house.storage.head_number() == height
    house.storage.close()


def test_a_block_that_cannot_be_written_was_never_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)
    house.chain.automine = False
    house.chain.send(signed(0))
    head = house.chain.head.hash

    with monkeypatch.context() as patch, pytest.raises(sqlite3.OperationalError):
        patch.setattr(house.storage, "append", _full)
        house.chain.mine()
    assert house.chain.head.hash == head
    assert len(house.chain.mempool) == 1

    house.chain.mine()
    assert house.chain.head.parent_hash == head
    assert (house.chain.head.gas_used, len(house.chain.mempool)) == (21_000, 0)
    house.storage.close()


def _full(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_two_processes_do_not_share_a_directory(tmp_path: Path) -> None:
    house = House(tmp_path)

    with pytest.raises(DevevmStorageError, match="locked"):
        Storage(tmp_path)
    house.storage.close()
    House(tmp_path).storage.close()


async def test_it_ends_when_it_can_make_no_blocks_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    params = DevevmParams(block_time_s=2)
    async with DevevmServer(params, ManualClock(), SeededEntropy()) as server:
        monkeypatch.setattr(server.chain.storage, "append", _full)

        with pytest.raises(sqlite3.OperationalError):
            await server.serve_until(asyncio.Event())


# -- time ------------------------------------------------------------------------


async def test_blocks_come_by_the_clock_when_asked_to() -> None:
    clock = _Steps()
    params = DevevmParams(block_time_s=2)
    async with DevevmServer(params, clock, SeededEntropy()) as server:
        server.chain.send(signed(0))
        assert server.chain.height == 0
        start = server.chain.head.timestamp

        await clock.step(5)

        assert server.chain.height == 5
        assert server.chain.head.timestamp == start + 10
        assert server.chain.nonce(bytes.fromhex(ALICE.address[2:])) == 1


class _Steps(ManualClock):
    """A clock whose sleepers wake one step at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = asyncio.Semaphore(0)
        self._asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self._asleep.set()
        await self._turns.acquire()
        self.advance(seconds)

    async def step(self, count: int) -> None:
        for _ in range(count):
            await self._asleep.wait()
            self._asleep.clear()
            self._turns.release()
        await self._asleep.wait()


def test_times_rise_even_when_the_clock_stands(house: House) -> None:
    house.chain.mine(10)
    times = [read_header(house.storage.block(n).header).timestamp for n in range(11)]  # type: ignore[union-attr]

    assert all(after > before for before, after in itertools.pairwise(times))
    house.clock.advance(1_000)
    house.chain.mine()
    assert house.chain.head.timestamp == times[0] + 1_000


def test_time_does_not_go_back(house: House) -> None:
    house.chain.set_next_timestamp(house.chain.head.timestamp + 500)
    house.chain.mine()

    with pytest.raises(DevevmRpcError, match="not after"):
        house.chain.set_next_timestamp(house.chain.head.timestamp)
    house.clock.advance(10)
    house.chain.mine()
    assert house.chain.head.timestamp == house.clock.now_ms() // 1000 + 500


def test_the_same_clock_and_dice_make_the_same_chain() -> None:
    heads = []
    for _ in range(2):
        house = House()
        house.chain.send(signed(0))
        house.chain.mine(3)
        heads.append(house.chain.head.hash)
        house.storage.close()

    assert heads[0] == heads[1]


# -- it is bounded ------------------------------------------------------------------


def test_the_mempool_is_bounded() -> None:
    house = House(mempool_size=5, mempool_per_sender=3)
    house.chain.automine = False
    for nonce in range(3):
        house.chain.send(signed(nonce))

    with pytest.raises(DevevmRpcError, match="account limit exceeded"):
        house.chain.send(signed(3))
    house.chain.send(signed(0, who=1))
    house.chain.send(signed(1, who=1))
    with pytest.raises(DevevmRpcError, match="txpool is full"):
        house.chain.send(signed(0, who=2))
    # One that replaces needs no room.
    house.chain.send(signed(2, maxFeePerGas=30 * GWEI, maxPriorityFeePerGas=2 * GWEI))
    house.chain.mine()
    house.chain.send(signed(3))
    house.storage.close()


def test_a_sender_cannot_promise_more_than_they_have(house: House) -> None:
    house.chain.automine = False
    house.chain.send(signed(0, value=6_000 * ETHER))

    with pytest.raises(DevevmRpcError, match=r"insufficient funds .* queued cost"):
        house.chain.send(signed(1, value=6_000 * ETHER))


def test_what_cannot_be_paid_any_more_stays_out_of_the_block(house: House) -> None:
    house.chain.automine = False
    house.chain.send(signed(0))
    house.chain.set_balance(bytes.fromhex(ALICE.address[2:]), 5)

    house.chain.mine()

    assert house.chain.head.gas_used == 0
    assert len(house.chain.mempool) == 1


def test_a_block_takes_no_more_gas_than_it_may() -> None:
    house = House(gas_limit=50_000)
    house.chain.automine = False
    for nonce in range(3):
        house.chain.send(signed(nonce))

    house.chain.mine()
    assert (house.chain.head.gas_used, len(house.chain.mempool)) == (42_000, 1)
    house.chain.mine()
    assert (house.chain.head.gas_used, len(house.chain.mempool)) == (21_000, 0)
    house.storage.close()


def test_the_dearest_goes_first_and_a_sender_keeps_their_order(house: House) -> None:
    house.chain.automine = False
    plan = [(0, 0, GWEI), (0, 1, 5 * GWEI), (1, 0, 3 * GWEI), (2, 0, 2 * GWEI)]
    sent = {
        (who, nonce): house.chain.send(signed(nonce, who=who, maxPriorityFeePerGas=tip))
        for who, nonce, tip in plan
    }

    house.chain.mine()

    order = [tx.hash for tx in house.storage.txs(house.chain.height)]
    assert order == [sent[1, 0], sent[2, 0], sent[0, 0], sent[0, 1]]


def test_log_questions_are_bounded() -> None:
    house = House(max_log_range=10, max_logs=2)
    house.chain.mine(20)

    with pytest.raises(DevevmRpcError, match="exceed maximum block range: 10") as caught:
        house.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
    assert caught.value.rpc_code == -32_602
    assert house.ask("eth_getLogs", {"fromBlock": "0xb", "toBlock": "latest"}) == []
    log = "60016002600360006000a3"  # PUSH1 1, 2, 3, 0, 0; LOG3
    init = bytes.fromhex(log * 3 + "00")
    house.chain.send(signed(0, to=None, value=0, data=init, gas=200_000))
    with pytest.raises(DevevmRpcError, match="more than 2 results") as caught:
        house.ask("eth_getLogs", {"fromBlock": "latest"})
    assert caught.value.rpc_code == -32_005
    house.storage.close()


def test_snapshots_are_bounded() -> None:
    house = House(max_snapshots=2)
    first, second, third = (house.chain.snapshot() for _ in range(3))

    assert house.chain.revert(first) is False
    assert house.chain.revert(second) is True
    assert house.chain.revert(third) is False
    house.storage.close()


# -- reorganisations and the virtual machine -------------------------------------------


def test_a_reorganisation_deeper_than_the_chain_is_refused(house: House) -> None:
    house.chain.mine(3)
    head = house.chain.head.hash

    for depth in (0, 4):
        with pytest.raises(DevevmRpcError, match="1 to 3 blocks"):
            house.chain.reorg(depth)
    assert house.chain.head.hash == head


def test_contracts_see_the_chain_that_they_are_on(house: House) -> None:
    # Returns BLOCKHASH(NUMBER - 1): a contract's view of the block before.
    runtime = "60014303405f5260205ff3"
    size = len(runtime) // 2
    init = bytes.fromhex(f"60{size:02x}600a5f3960{size:02x}5ff3" + runtime)
    tx_hash = house.chain.send(signed(0, to=None, value=0, data=init, gas=200_000))
    contract = house.ask("eth_getTransactionReceipt", "0x" + tx_hash.hex())["contractAddress"]
    house.chain.mine(2)

    def seen() -> str:
        return str(house.ask("eth_call", {"to": contract}, "latest"))

    assert seen() == "0x" + house.chain.head.parent_hash.hex()
    house.chain.reorg(2)
    assert seen() == "0x" + house.chain.head.parent_hash.hex()


def test_no_wei_appears_or_is_lost_whatever_happens() -> None:
    house = House()
    dice = random.Random(20)
    chain = house.chain
    everyone = [bytes.fromhex(address[2:]) for address in DEV_ACCOUNTS]
    total = len(everyone) * chain.params.account_wei
    snapshots = [chain.snapshot()]
    for _ in range(150):
        step = dice.randrange(8)
        if step < 4:
            who = dice.randrange(3)
            nonce = chain.mempool.pending_nonce(everyone[who], chain.nonce(everyone[who]))
            chain.send(signed(nonce, who=who, to=DEV_ACCOUNTS[dice.randrange(10)]))
        elif step == 4:
            chain.set_automine(dice.random() < 0.5)
        elif step == 5:
            chain.mine(dice.randrange(1, 3))
        elif step == 6 and chain.height:
            depth = min(chain.height, dice.randrange(1, 5))
            chain.reorg(depth, keep_txs=dice.random() < 0.7)
        elif dice.random() < 0.3:
            snapshots.append(chain.snapshot())
        elif len(snapshots) > 1:
            chain.revert(snapshots.pop())
        _audit(house, everyone, total)
    house.storage.close()


def _audit(house: House, everyone: list[bytes], total: int) -> None:
    """Balances, tips and burnt fees are what there was; the chain is linked; the pool fits."""
    chain = house.chain
    blocks = [house.storage.block(number) for number in range(chain.height + 1)]
    headers = [read_header(block.header) for block in blocks if block is not None]
    for parent, header in itertools.pairwise(headers):
        assert header.parent_hash == parent.hash
        assert header.timestamp > parent.timestamp
    burnt = sum(header.base_fee_per_gas * header.gas_used for header in headers)
    held = sum(chain.balance(address) for address in [*everyone, bytes(20)])
    assert held + burnt == total
    mined = [tx for header in headers for tx in house.storage.txs(header.block_number)]
    assert sum(tx.receipt.gas_used for tx in mined) == sum(one.gas_used for one in headers)
    for sender in everyone:
        assert chain.mempool.pending_nonce(sender, chain.nonce(sender)) >= chain.nonce(sender)
    assert all(house.storage.tx(one.tx.hash) is None for one in chain.mempool.all())


# -- what bad input gets ---------------------------------------------------------------

BAD_CALLS: list[tuple[str, list[Any], int]] = [
    ("eth_getBalance", [], -32_602),
    ("eth_getBalance", [BOB, "latest", 1], -32_602),
    ("eth_getBalance", ["0x12", "latest"], -32_602),
    ("eth_getBalance", [BOB, "newest"], -32_602),
    ("eth_getBalance", [BOB, hex(1 << 200)], -32_000),
    ("eth_getBalance", [BOB, {"blockHash": "0x" + "11" * 32}], -32_000),
    ("eth_getBalance", [BOB, {}], -32_602),
    ("eth_getBlockByNumber", [True, False], -32_602),
    ("eth_getBlockByHash", ["0x1", False], -32_602),
    ("eth_getStorageAt", [BOB, "0x1_0", "latest"], -32_602),
    ("eth_getLogs", [[]], -32_602),
    ("eth_getLogs", [{"fromBlock": "0x5", "toBlock": "0x1"}], -32_602),
    ("eth_getLogs", [{"blockHash": "0x" + "11" * 32, "fromBlock": "0x1"}], -32_602),
    ("eth_getLogs", [{"topics": ["0x12"]}], -32_602),
    ("eth_getLogs", [{"topics": [None] * 5}], -32_602),
    ("eth_getLogs", [{"address": [BOB] * 1_001}], -32_602),
    ("eth_call", ["0x", "latest"], -32_602),
    ("eth_call", [{"to": BOB, "gas": "0x1", "data": "0x00"}, "latest"], -32_000),
    ("eth_call", [{"to": BOB, "value": "-1"}, "latest"], -32_602),
    ("eth_estimateGas", [{"from": BOB, "to": BOB, "value": hex(10**30)}], -32_000),
    ("eth_feeHistory", ["0x1", "latest", [60, 50]], -32_602),
    ("eth_feeHistory", ["0x1", "0x99"], -32_000),
    ("eth_sendRawTransaction", ["zz"], -32_602),
    ("eth_sendRawTransaction", ["0x"], -32_000),
    ("eth_sendRawTransaction", ["0x02c0"], -32_000),
    ("eth_sendRawTransaction", ["0x03c0"], -32_000),
    ("eth_sendRawTransaction", ["0xdeadbeef"], -32_000),
    ("eth_sendRawTransaction", ["0x" + "00" * 200_000], -32_000),
    ("dev_mine", ["many"], -32_602),
    ("dev_mine", [10**9], -32_602),
    ("dev_reorg", [1, "yes"], -32_602),
    ("evm_setAutomine", [1], -32_602),
    ("eth_nothing", [], -32_601),
]


@pytest.mark.parametrize(("method", "params", "code"), BAD_CALLS)
def test_bad_calls_get_an_error_with_the_usual_number(
    devevm_node: Node, method: str, params: list[Any], code: int
) -> None:
    before = devevm_node.block()

    with pytest.raises(NodeError) as caught:
        devevm_node.rpc(method, *params)

    assert caught.value.code == code
    assert devevm_node.block() == before


async def test_requests_that_are_none_get_an_error_too(devevm_node: Node) -> None:
    cases: list[tuple[bytes, int]] = [
        (b"{", -32_700),
        (b"[]", -32_600),
        (b"5", -32_600),
        (b'{"id": 1}', -32_600),
        (b'{"id": 1, "method": "eth_chainId", "params": {}}', -32_602),
        (json.dumps([{"id": 1, "method": "eth_chainId"}] * 1_001).encode(), -32_600),
    ]
    codes = []
    async with aiohttp.ClientSession() as session:
        for body, _ in cases:
            async with session.post(devevm_node.url, data=body) as response:
                assert response.status == 200
                codes.append((await response.json())["error"]["code"])
        async with session.post(devevm_node.url, data=io.BytesIO(b"1" * (6 << 20))) as response:
            assert response.status == 413

    assert codes == [code for _, code in cases]


@pytest.mark.parametrize("start", [b"[", b'{"id":', b'[{"params":['])
async def test_a_request_nested_without_end_is_refused_and_the_chain_lives(start: bytes) -> None:
    # py-evm lifts the interpreter's guard against recursion: this used to end the process.
    sys.setrecursionlimit(100_000)
    async with (
        DevevmServer(DevevmParams(), ManualClock(), SeededEntropy()) as server,
        aiohttp.ClientSession() as http,
    ):
        async with http.post(server.url, data=io.BytesIO(start * 300_000)) as response:
            assert (await response.json())["error"]["code"] == -32_700
        async with http.post(server.url, json={"id": 1, "method": "eth_chainId"}) as response:
            assert (await response.json())["result"] == hex(CHAIN_ID)


async def test_others_are_heard_between_the_calls_of_a_batch() -> None:
    heard: list[str] = []

    def slow() -> str:
        heard.append("batch")
        asyncio.get_running_loop().call_soon(heard.append, "others")
        return "0x0"

    async with (
        DevevmServer(DevevmParams(), ManualClock(), SeededEntropy()) as server,
        aiohttp.ClientSession() as http,
    ):
        server._methods["eth_slow"] = Method(slow)
        calls = [{"id": number, "method": "eth_slow"} for number in range(3)]
        async with http.post(server.url, json=calls) as response:
            assert [answer["id"] for answer in await response.json()] == [0, 1, 2]
    assert heard == ["batch", "others"] * 3
