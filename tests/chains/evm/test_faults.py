"""The fault proxy does to a node what it says: tests rely on that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.evm_faults import (
    FaultProxy,
    already_known,
    behind,
    garbage,
    hanging,
    http_status,
    huge,
    lost_after,
    lost_before,
    missing,
    other_receipt,
    rate_limited,
    refused,
    stale_nonce,
    truncated,
    wrong_id,
)
from tests.support.evm_nodes import ACCOUNTS, Anvil

ALICE, BOB = ACCOUNTS[0], ACCOUNTS[1].address


class Client:
    """Asks through the proxy."""

    def __init__(self, proxy: FaultProxy, session: aiohttp.ClientSession) -> None:
        self._proxy = proxy
        self._session = session

    async def post(self, document: Any) -> tuple[int, Any, str]:
        async with self._session.post(self._proxy.url, json=document) as response:
            return response.status, response.headers, await response.text()

    async def call(self, method: str, *params: Any) -> dict[str, Any]:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer: dict[str, Any] = json.loads((await self.post(call))[2])
        return answer


@pytest.fixture
async def proxy(anvil_node: Anvil) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(anvil_node.url) as found:
        yield found


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(proxy, session)


async def test_without_faults_it_is_the_node(proxy: FaultProxy, client: Client) -> None:
    assert (await client.call("eth_chainId"))["result"] == "0x7a69"
    _, _, text = await client.post(
        [{"jsonrpc": "2.0", "id": n, "method": "eth_blockNumber", "params": []} for n in (1, 2)]
    )

    assert [one["result"] for one in json.loads(text)] == ["0x0", "0x0"]
    assert proxy.count("eth_blockNumber") == 2


@pytest.mark.parametrize(("fault", "delivered"), [(lost_before, False), (lost_after, True)])
async def test_a_lost_answer_leaves_open_whether_the_node_heard(
    anvil_node: Anvil, proxy: FaultProxy, client: Client, fault: Any, delivered: bool
) -> None:
    raw, tx_hash = anvil_node.sign(ALICE, to=BOB, value=1)
    proxy.inject(fault("eth_sendRawTransaction"))

    with pytest.raises(aiohttp.ClientError):
        await client.call("eth_sendRawTransaction", raw)

    found = anvil_node.rpc("eth_getTransactionByHash", tx_hash)
    assert (found is not None) is delivered
    assert "result" in await client.call("eth_chainId")


async def test_a_fault_is_for_its_method_and_its_count(proxy: FaultProxy, client: Client) -> None:
    proxy.inject(refused(-32_000, "no", "eth_blockNumber", times=1, skip=1))

    answers = [await client.call("eth_blockNumber") for _ in range(3)]

    assert ["error" in answer for answer in answers] == [False, True, False]
    assert "result" in await client.call("eth_chainId")


@pytest.mark.parametrize(
    ("fault", "status", "parses"),
    [
        (rate_limited(retry_after_s=7), 429, False),
        (http_status(502), 502, False),
        (truncated(), 200, False),
        (garbage(), 200, False),
        (wrong_id(), 200, True),
    ],
)
async def test_broken_answers_are_broken_as_said(
    proxy: FaultProxy, client: Client, fault: Any, status: int, parses: bool
) -> None:
    proxy.inject(fault)

    got, headers, text = await client.post({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"})

    assert got == status
    assert headers.get("Retry-After") == ("7" if status == 429 else None)
    if parses:
        assert json.loads(text)["id"] != 1
    else:
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


async def test_a_hanging_answer_comes_when_released(proxy: FaultProxy, client: Client) -> None:
    proxy.inject(hanging("eth_chainId"))
    asked = asyncio.create_task(client.call("eth_chainId"))
    assert "result" in await client.call("eth_blockNumber")
    while not proxy.count("eth_chainId"):
        await asyncio.sleep(0)
    assert not asked.done()

    proxy.release()

    assert (await asked)["result"] == "0x7a69"


async def test_a_node_may_take_a_transaction_and_say_it_did_not(
    anvil_node: Anvil, proxy: FaultProxy, client: Client
) -> None:
    raw, tx_hash = anvil_node.sign(ALICE, to=BOB, value=1)
    proxy.inject(already_known())

    assert (await client.call("eth_sendRawTransaction", raw))["error"]["message"] == "already known"
    assert anvil_node.mined(tx_hash)["status"] == "0x1"


async def test_answers_are_rewritten(anvil_node: Anvil, proxy: FaultProxy, client: Client) -> None:
    tx_hash = anvil_node.send(ALICE, to=BOB, value=1)
    true = anvil_node.mined(tx_hash)
    proxy.inject(other_receipt(), missing(), stale_nonce(), huge("eth_getCode", megabytes=2))

    lie = (await client.call("eth_getTransactionReceipt", tx_hash))["result"]
    assert (true["status"], lie["status"]) == ("0x1", "0x0")
    assert lie["blockHash"] != true["blockHash"]
    assert (await client.call("eth_getTransactionReceipt", tx_hash))["result"] is None
    assert (await client.call("eth_getTransactionReceipt", tx_hash))["result"] == true
    count = await client.call("eth_getTransactionCount", ALICE.address, "latest")
    assert count["result"] == "0x0"
    assert len((await client.call("eth_getCode", BOB, "latest"))["result"]) == 2 + (4 << 19)


async def test_a_node_behind_knows_nothing_of_newer_blocks(
    anvil_node: Anvil, proxy: FaultProxy, client: Client
) -> None:
    tx_hash = anvil_node.send(ALICE, to=BOB, value=1)
    height = int(anvil_node.mined(tx_hash)["blockNumber"], 16)
    anvil_node.mine(1)
    proxy.inject(behind(2))

    assert (await client.call("eth_blockNumber"))["result"] == hex(height - 1)
    latest = (await client.call("eth_getBlockByNumber", "latest", False))["result"]
    assert latest["number"] == hex(height - 1)
    assert (await client.call("eth_getTransactionReceipt", tx_hash))["result"] is None
    count = await client.call("eth_getTransactionCount", ALICE.address, "latest")
    assert count["result"] == "0x0"

    proxy.clear()
    assert (await client.call("eth_getTransactionReceipt", tx_hash))["result"] is not None


async def test_chaos_of_the_same_seed_is_the_same(proxy: FaultProxy, client: Client) -> None:
    faults = [refused(-32_000, "no", times=None), wrong_id(times=None)]
    runs = []
    for _ in range(2):
        proxy.seen.clear()
        proxy.chaos(7, 0.5, faults)
        for _ in range(20):
            await client.call("eth_chainId")
        runs.append([one.fault for one in proxy.seen])

    assert runs[0] == runs[1]
    assert set(runs[0]) == {None, faults[0].kind, faults[1].kind}
