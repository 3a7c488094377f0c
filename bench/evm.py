"""The EVM room: logs from a node's JSON to events, addresses, words.

`python -m bench evm`. A log of a deposit has three words and one indexed
address, as the staking pool writes them; the library is eth-abi.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from eth_abi.abi import decode as library_decode

from millpond.chains.evm.contracts import artifact
from millpond.chains.evm.events import EventTable
from millpond.chains.evm.types import Log, parse_logs

STAKERS = 10_000


def _logs(count: int, topic: str) -> bytes:
    """The answer of `eth_getLogs`, as bytes on the wire."""
    logs = [
        {
            "address": "0x" + "5a" * 20,
            "topics": [topic, f"0x{(number % STAKERS + 1) * 7919**11 % 2**160:064x}"],
            "data": f"0x{10**18 + number:064x}{10**21 + number:064x}",
            "blockNumber": hex(number // 50),
            "blockHash": f"0x{number // 50:064x}",
            "transactionHash": f"0x{number:064x}",
            "transactionIndex": hex(number % 50),
            "logIndex": hex(number % 50),
            "removed": False,
        }
        for number in range(count)
    ]
    return msgspec.json.encode(logs)


def _per_second(count: int, work: Callable[[], object]) -> int:
    start = time.perf_counter()
    work()
    return round(count / (time.perf_counter() - start))


def _library(logs: list[Log]) -> None:
    for log in logs:
        library_decode(["address"], bytes.fromhex(log.topics[1][2:]))
        library_decode(["uint256", "uint256"], log.data)


def _import_seconds(module: str) -> float:
    code = f"import time; s = time.perf_counter(); import {module}; print(time.perf_counter() - s)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return round(float(done.stdout), 3)


def run(quick: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001 - the call of every benchmark
    """Logs decoded a second, and seconds that imports take."""
    count = 20_000 if quick else 200_000
    table = EventTable(artifact("StakingPool").abi)
    answer = _logs(count, table.topic("Deposited"))
    logs = parse_logs(msgspec.json.decode(answer))
    few = logs[: count // 10]
    figures: dict[str, tuple[int, Callable[[], object]]] = {
        "events_from_json": (
            count,
            lambda: [table.decode(log) for log in parse_logs(msgspec.json.decode(answer))],
        ),
        "events_from_logs": (count, lambda: [table.decode(log) for log in logs]),
        "events_by_eth_abi": (len(few), lambda: _library(few)),
    }
    for figure, (done, work) in figures.items():
        yield {"figure": figure, "value": _per_second(done, work), "unit": "1/s", "logs": done}
    for module in ("millpond.chains.evm.contracts", "millpond.chains.evm.nodes", "eth_abi"):
        yield {"figure": f"import_{module}", "value": _import_seconds(module), "unit": "s"}
