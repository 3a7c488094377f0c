"""Nodes that fail in every way at random, and one of them lies: true answers or none."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text

from millpond.alerts import Alerts
from millpond.chains.evm.address import checksum
from millpond.chains.evm.alerting import KIND, alert_of_contradictions
from millpond.chains.evm.blocks import BlockFollower, FollowSettings, Mark, Undo, remember
from millpond.chains.evm.contracts import Contract, artifact
from millpond.chains.evm.errors import EquivocationError, RpcError
from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.pool import Equivocation
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.settings import NodesSettings
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.errors import InvalidInputError
from tests.support.evm_faults import (
    FaultProxy,
    behind,
    garbage,
    http_status,
    lost_after,
    lost_before,
    missing,
    missing_logs,
    other_block,
    other_logs,
    other_receipt,
    rate_limited,
    stale_nonce,
    truncated,
    wrong_id,
)
from tests.support.evm_nodes import ACCOUNTS, CHAIN_ID, Anvil

ALICE, BOB = (account.address for account in ACCOUNTS[:2])
SEEDS = range(int(os.environ.get("MILLPOND_EVM_SEEDS", "3")))
"""Each seed is a second or so; a campaign sets hundreds."""

FAILURES = [
    lost_before(),
    lost_after(),
    http_status(502),
    rate_limited(retry_after_s=2),
    truncated(),
    garbage(),
    wrong_id(),
    behind(2),
    missing(),
]
LIES = [other_block(), other_receipt(), other_logs(), missing_logs(), stale_nonce(), behind(3)]


def deploy(node: Anvil) -> tuple[Contract, list[str]]:
    """A token, and the hashes of 20 mints of 1 … 20 to Bob."""
    token = Contract.named("BTCD")
    code = bytes.fromhex(artifact("BTCD").bytecode[2:]) + token.encode_constructor(ALICE)
    token = token.at(checksum(node.deploy(code)))
    node.automine(False)
    sent = []
    for amount in range(1, 21):
        sent.append(
            node.send(to=token.address, data=token.encode("mint", BOB, amount), gas=200_000)
        )
        node.mine()
    return token, sent


class Index:
    """What an indexer would have booked: amounts by block."""

    def __init__(self, nodes: Nodes, token: Contract) -> None:
        self.follower = BlockFollower(nodes, FollowSettings(depth=6, headers=4))
        self.token = token
        self.marks: list[Mark] = []
        self.minted: dict[int, int] = {}

    async def step(self) -> None:
        if not self.marks:
            self.marks = [await self.follower.start(0)]
        step = await self.follower.step(self.marks)
        if step is None:
            return
        assert not isinstance(step, Undo), "the chain has not changed"
        found = {}
        for log in await self.follower.logs(step, address=self.token.address):
            event = self.token.decode_event(log)
            assert event is not None
            found[log.block_number] = event.args["amount"]
        self.minted |= found
        self.marks = remember(self.marks, step, 6)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_quorum_tells_the_truth_or_nothing(anvil_node, seed):
    token, sent = deploy(anvil_node)
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(FaultProxy(anvil_node.url)) for _ in range(3)]
        proxies[0].chaos(seed, 0.15, FAILURES)
        proxies[1].chaos(seed + 1000, 0.15, FAILURES)
        proxies[2].chaos(seed + 2000, 0.3, [*FAILURES, *LIES])
        nodes = Nodes(
            [RpcEndpoint(p.url, name=n, timeout_s=5) for p, n in zip(proxies, "abc", strict=True)],
            chain_id=CHAIN_ID,
            clock=clock,
            settings=NodesSettings(quorum=2, finality_depth=6),
        )
        stack.push_async_callback(nodes.close)
        index = Index(nodes, token)
        answered = 0
        for turn in range(60):
            clock.advance(5)
            amount = turn % 20 + 1
            try:
                receipt = await nodes.receipt(sent[amount - 1], agreed=True)
                if receipt is None:
                    continue  # two of them were behind
                assert receipt.block_number == amount + 1
                (event,) = token.decode_events(receipt.logs)
                assert event.args["amount"] == amount
                calldata = token.encode("balanceOf", BOB)
                held = await nodes.call(token.address, calldata, amount + 1, agreed=True)
                assert token.decode_output("balanceOf", held) == amount * (amount + 1) // 2
                assert await nodes.nonce(ALICE, amount + 1, agreed=True) == amount + 1
                answered += 1
            except (RpcError, EquivocationError):
                pass
            try:
                await index.step()
            except (RpcError, EquivocationError):
                continue
        for proxy in proxies:
            proxy.clear()
        clock.advance(200)
        for _ in range(10):
            await index.step()
        assert index.minted == {amount + 1: amount for amount in range(1, 21)}
        assert answered > 5


async def test_a_contradiction_is_an_alert(store):
    alerts = Alerts(ManualClock(), Ids(ManualClock(), SeededEntropy()))
    tell = alert_of_contradictions(store, alerts)
    for _ in range(2):
        await tell(Equivocation(5, "block 7", {"a": "0x1", "b": "0x2"}))
    async with store.begin() as tx:
        rows = (await tx.execute(text("SELECT kind, subject, severity, count FROM alert"))).all()
    assert [tuple(row) for row in rows] == [(KIND, "chain 5", "critical", 2)]


async def test_two_keys_of_one_service_are_two_nodes():
    endpoints = [RpcEndpoint(f"https://node.example/{key}") for key in ("k1", "k2", "k3")]
    nodes = Nodes(endpoints, chain_id=1, clock=ManualClock())
    names = [health.name for health in nodes.health()]
    assert names == ["node.example", "node.example#2", "node.example#3"]


async def test_a_quorum_of_more_nodes_than_there_are_is_refused():
    with pytest.raises(InvalidInputError):
        Nodes(
            [RpcEndpoint("http://127.0.0.1:1")],
            chain_id=1,
            clock=ManualClock(),
            settings=NodesSettings(quorum=2),
        )
