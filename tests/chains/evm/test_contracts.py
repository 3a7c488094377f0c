"""Contracts through their ABI: calls, outputs, events, errors; and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.chains.evm.address import ZERO_ADDRESS, checksum
from millpond.chains.evm.contracts import Contract, artifact
from millpond.chains.evm.errors import AbiError
from millpond.chains.evm.events import EventTable
from millpond.chains.evm.types import Log
from millpond.errors import NotFoundError
from tests.support.evm_nodes import ACCOUNTS

ALICE, BOB = (account.address for account in ACCOUNTS[:2])
ABI: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "pay",
        "inputs": [
            {"name": "batch", "type": "bytes32"},
            {"name": "users", "type": "address[]"},
            {
                "name": "terms",
                "type": "tuple[2]",
                "components": [{"type": "uint256"}, {"type": "string"}],
            },
        ],
        "outputs": [],
    },
    {"type": "function", "name": "get", "inputs": [], "outputs": [{"type": "uint256"}]},
    {
        "type": "function",
        "name": "get",
        "inputs": [{"type": "address"}],
        "outputs": [{"type": "uint256"}, {"type": "address"}],
        "stateMutability": "view",
    },
    {
        "type": "event",
        "name": "Noted",
        "inputs": [
            {"name": "who", "type": "address", "indexed": True},
            {"name": "words", "type": "string", "indexed": True},
            {"name": "text", "type": "string", "indexed": False},
            {"name": "", "type": "int8", "indexed": False},
        ],
    },
    {"type": "event", "name": "Hidden", "inputs": [], "anonymous": True},
    {"type": "error", "name": "Short", "inputs": [{"type": "address"}, {"type": "uint256"}]},
]


def log(topics, data=b"", address=ALICE) -> Log:
    return Log(address, tuple(topics), data, 1, "0x" + "ab" * 32, "0x" + "cd" * 32, 0, 0)


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def topic(value: int) -> str:
    return "0x" + word(value).hex()


def test_a_call_is_its_selector_and_its_arguments():
    token = Contract.named("BTCD", ALICE)
    assert token.encode("transfer", BOB, 5).hex() == (
        "a9059cbb" + BOB[2:].lower().rjust(64, "0") + f"{5:064x}"
    )
    assert token.encode("totalSupply").hex() == "18160ddd"
    assert token.decode_input(token.encode("transfer", BOB, 5)) == ("transfer", (BOB, 5))


def test_lists_and_structs_are_written_and_read_back():
    contract = Contract(ALICE, ABI)
    args = (bytes(range(32)), (ALICE, BOB), ((1, "one"), (2**255, "ü")))
    assert contract.decode_input(contract.encode("pay", *args)) == ("pay", args)


def test_functions_of_one_name_are_told_apart():
    contract = Contract(ALICE, ABI)
    assert contract.encode("get") == contract.selector("get()")
    assert contract.encode("get", BOB)[:4] == contract.selector("get(address)")
    assert contract.decode_output("get()", word(5)) == 5
    assert contract.decode_output("get(address)", word(5) + word(6)) == (5, f"0x{6:040x}")
    assert contract.decode_output("pay", b"") is None
    with pytest.raises(AbiError):
        contract.decode_output("get", word(5))
    with pytest.raises(AbiError):
        contract.decode_output("get()", b"")
    with pytest.raises(AbiError):
        contract.encode("missing")
    with pytest.raises(AbiError):
        contract.decode_input(b"\xff\xff\xff\xff")


def test_events_of_strings_and_hashes_are_read():
    contract = Contract(ALICE, ABI)
    data = (
        word(64) + (256 - 3 + 2**256 - 256).to_bytes(32, "big") + word(2) + b"hi".ljust(32, b"\0")
    )
    topics = [contract.topic("Noted"), topic(int(BOB, 16)), "0x" + "77" * 32]
    event = contract.decode_event(log(topics, data))
    assert event is not None
    assert event.name == "Noted"
    assert event.args == {"who": BOB, "words": b"\x77" * 32, "text": "hi", "arg3": -3}
    assert event.log.block_number == 1


def test_logs_of_other_events_and_addresses_are_passed_over():
    token = Contract.named("BTCD", ALICE)
    mint = [token.topic("Transfer"), topic(0), topic(int(BOB, 16))]
    assert token.decode_event(log([])) is None
    assert token.decode_event(log(["0x" + "00" * 32])) is None
    assert token.decode_event(log([*mint, topic(7)])) is None  # ERC-721 has a third index
    logs = [log(mint, word(5)), log(mint, word(6), address=BOB)]
    (event,) = token.decode_events(logs)
    assert event.args == {"sender": ZERO_ADDRESS, "receiver": BOB, "amount": 5}


@pytest.mark.parametrize(("topics", "data"), [((0, 1 << 160), 32), ((0, 1), 31), ((0, 1), 0)])
def test_a_known_event_with_bytes_that_do_not_fit_is_an_error(topics, data):
    token = Contract.named("BTCD", ALICE)
    with pytest.raises(AbiError):
        token.decode_event(log([token.topic("Transfer"), *map(topic, topics)], bytes(data)))


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**160 - 1), st.binary(max_size=40))
def test_the_fast_way_reads_every_amount_and_address(amount, receiver, more):
    token = Contract.named("BTCD", ALICE)
    topics = [token.topic("Transfer"), topic(0), topic(receiver)]
    event = token.decode_event(log(topics, word(amount) + more))
    assert event is not None
    assert event.args["amount"] == amount
    assert int(event.args["receiver"], 16) == receiver
    assert event.args["receiver"] == checksum(event.args["receiver"])


def test_tables_of_several_contracts_are_one():
    names = ("BTCD", "StakingPool", "BatchPayout")
    table = EventTable(*(artifact(name).abi for name in names))
    topics = table.topics()
    assert len(topics) == len(set(topics))
    assert table.topic("Transfer") == table.topic("Transfer(address,address,uint256)")
    assert table.topic("Transfer") == (
        "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    )
    assert table.topic("Deposited") in topics
    with pytest.raises(AbiError):
        table.topic("Missing")


def test_why_a_call_reverted_is_said_with_the_contracts_own_errors():
    contract = Contract(ALICE, ABI)
    (short,) = contract._errors
    assert contract.decode_error(short.selector + word(6) + word(7)) == f"Short(0x{6:040x}, 7)"
    assert contract.decode_error(short.selector + word(1 << 200)) == f"0x{short.selector.hex()}"
    assert contract.decode_error(b"\x01\x02\x03\x04") == "0x01020304"
    assert contract.decode_error(b"") == ""


def test_artifacts_are_loaded_by_name_alone():
    assert artifact("BTCD") is artifact("BTCD")
    assert artifact("StakingPool").bytecode.startswith("0x")
    for name in ("Missing", "", "../BTCD", "BTCD.json"):
        with pytest.raises(NotFoundError):
            artifact(name)


async def test_a_contract_is_deployed_called_and_read_on_a_real_chain(town):
    token = Contract.named("BTCD")
    code = bytes.fromhex(artifact("BTCD").bytecode[2:]) + token.encode_constructor(ALICE)
    token = token.at(checksum(town.node.deploy(code)))
    sent = town.node.send(to=token.address, data=token.encode("mint", BOB, 10**30), gas=200_000)
    town.node.mined(sent)
    nodes = town.nodes()
    balance = await nodes.call(token.address, token.encode("balanceOf", BOB), agreed=True)
    assert token.decode_output("balanceOf", balance) == 10**30
    name = await nodes.call(token.address, token.encode("name"))
    assert isinstance(token.decode_output("name", name), str)
    receipt = await nodes.receipt(sent, agreed=True)
    assert receipt is not None
    (event,) = token.decode_events(receipt.logs)
    assert event.args["amount"] == 10**30
    assert event.log.tx_hash == sent


def test_no_import_loosens_the_guard_against_deep_recursion():
    code = (
        "import importlib, pkgutil, sys; before = sys.getrecursionlimit()\n"
        "import millpond.chains.evm as room\n"
        "names = [m.name for m in pkgutil.walk_packages(room.__path__, room.__name__ + '.')]\n"
        "for name in names: importlib.import_module(name)\n"
        "assert 'millpond.chains.evm.keystore' in names\n"
        "assert sys.getrecursionlimit() == before, sys.getrecursionlimit()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_room_loads_no_heavy_library():
    code = (
        "import sys; before = sys.getrecursionlimit()\n"
        "import millpond.chains.evm.blocks, millpond.chains.evm.contracts\n"
        "heavy = {'eth_abi', 'eth_account', 'eth_utils', 'eth_hash', 'eth', 'py_ecc', 'vyper'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
        "assert sys.getrecursionlimit() == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
