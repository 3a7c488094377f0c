"""Several daemons: failover with hysteresis, circuits, lag, submission to all."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from millpond.chains.bitcoin.daemons import DaemonSet, SubmitVerdict, submit_verdict
from millpond.chains.bitcoin.errors import RpcNotFoundError, RpcUnavailableError
from millpond.chains.bitcoin.health import HealthSettings
from millpond.chains.bitcoin.rpc import RpcEndpoint
from millpond.chains.coins import coin_named
from millpond.chains.devchain.params import test_params as easy_params
from millpond.chains.devchain.server import DevchainServer
from millpond.clock import ManualClock, SeededEntropy
from millpond.ops.system import SystemClock
from tests.chains.blocks import BlockPlan

COIN = coin_named("devcoin")
BURN = b"\x00\x14" + bytes(20)
SETTINGS = HealthSettings(
    fail_after=2, recover_after=3, backoff_s=1, backoff_max_s=8, lag_grace_s=20
)


class Town:
    """Two devchains that hear of the same blocks, and the set that watches them."""

    def __init__(self, servers, endpoints):
        self.servers = servers
        self.endpoints = endpoints
        self.clock = ManualClock()
        self.set = DaemonSet(endpoints, COIN, self.clock, SETTINGS)

    async def mine(self, *, only: int | None = None) -> str:
        source = self.servers[only or 0]
        (block_hash,) = await self.endpoints[only or 0].call(
            "generatetoaddress", 1, await self._address(source, only or 0)
        )
        if only is None:
            block = await self.endpoints[0].call("getblock", block_hash, 0)
            for endpoint in self.endpoints[1:]:
                assert await endpoint.call("submitblock", block) is None
        return str(block_hash)

    async def _address(self, server, index) -> str:
        if not server.wallets.loaded:
            await self.endpoints[index].call("createwallet", "w")
        return str(await self.endpoints[index].call("getnewaddress"))

    async def fault(self, index: int, **fault) -> None:
        await self.endpoints[index].call("dev_set_fault", {"count": None, **fault})

    async def heal(self, index: int) -> None:
        await self.endpoints[index].call("dev_clear_faults")


@pytest.fixture
async def town():
    async with AsyncExitStack() as stack:
        servers = []
        endpoints = []
        for i in range(2):
            server = DevchainServer(easy_params(COIN), SystemClock(), SeededEntropy(i))
            servers.append(await stack.enter_async_context(server))
            endpoint = RpcEndpoint(server.url, server.user, server.password, name=f"d{i}")
            endpoints.append(await stack.enter_async_context(endpoint))
        yield Town(servers, endpoints)


async def names(town: Town) -> list[str]:
    return [h.name for h in town.set.health() if h.healthy and not h.lagging]


async def test_a_read_moves_on_to_the_next_daemon(town):
    await town.fault(0, method="*", mode="drop_before")
    assert await town.set.call("getblockcount") == 0
    assert (await town.set.tip()).height == 0


async def test_a_clear_no_of_the_daemon_is_not_asked_elsewhere(town):
    await town.fault(1, method="getblock", mode="answer", result={})
    with pytest.raises(RpcNotFoundError):
        await town.set.call("getblock", "00" * 32)


async def test_with_every_daemon_down_the_set_says_so(town):
    for i in range(2):
        await town.fault(i, method="*", mode="error", rpc_code=-28)
    with pytest.raises(RpcUnavailableError):
        await town.set.tip()


async def test_a_dead_daemon_is_left_alone_for_longer_and_longer(town):
    await town.fault(0, method="getblockchaininfo", mode="http_503")
    sick = town.set.health()[0]
    pauses = []
    for _ in range(8):
        await town.set.check()
        if sick.circuit_open:
            started = town.clock.monotonic_ns()
            while sick.circuit_open:
                town.clock.advance(0.5)
            pauses.append((town.clock.monotonic_ns() - started) / 1e9)
    assert pauses == [1, 2, 4, 8, 8, 8, 8]
    assert not sick.healthy


async def test_the_preferred_daemon_comes_back_only_after_good_checks_in_a_row(town):
    await town.fault(0, method="*", mode="http_503")
    for _ in range(2):
        await town.set.check()
    assert await names(town) == ["d1"]
    await town.heal(0)
    town.clock.advance(10)
    healthy_after = []
    for _ in range(3):
        await town.set.check()
        healthy_after.append(await names(town) == ["d0", "d1"])
    assert healthy_after == [False, False, True]


async def test_a_daemon_far_behind_gives_no_templates(town):
    for _ in range(2):
        await town.mine(only=1)
    await town.set.check()
    assert [h.lagging for h in town.set.health()] == [True, False]
    assert (await town.set.get_block_template())["height"] == 3
    assert "2 blocks behind" in town.set.health()[0].reason


async def test_a_small_lag_is_forgiven_for_a_while(town):
    await town.mine(only=1)
    await town.set.check()
    assert not town.set.health()[0].lagging
    town.clock.advance(21)
    await town.set.check()
    assert town.set.health()[0].lagging


async def test_daemons_on_two_branches_of_one_height_are_told_apart(town):
    await town.mine(only=0)
    await town.mine(only=1)
    await town.set.check()
    town.clock.advance(21)
    await town.set.check()
    assert sum(h.contradicts for h in town.set.health()) == 1
    assert sum(h.lagging for h in town.set.health()) == 1


async def test_a_stale_template_is_taken_from_the_next_daemon(town):
    stale = await town.endpoints[0].call("getblocktemplate", {"rules": ["segwit"]})
    for _ in range(3):
        await town.mine()
    await town.set.check()
    await town.fault(0, method="getblocktemplate", mode="answer", result=stale)
    assert (await town.set.get_block_template())["height"] == 4


async def test_a_long_poll_without_news_is_no_failure_of_the_daemon(town):
    patient = DaemonSet(
        town.endpoints, COIN, town.clock, HealthSettings(longpoll_timeout_s=0.05, fail_after=1)
    )
    first = await patient.get_block_template()
    again = await patient.get_block_template(first["longpollid"])
    assert again["longpollid"] == first["longpollid"]
    assert all(h.healthy for h in patient.health())


async def test_a_daemon_that_is_still_downloading_is_not_worked_for(town):
    info = await town.endpoints[0].call("getblockchaininfo")
    told = {k: v for k, v in info.items() if k != "difficulty"} | {"initialblockdownload": True}
    await town.fault(0, method="getblockchaininfo", mode="answer", result=told)
    await town.set.check()
    assert [h.lagging for h in town.set.health()] == [True, False]


async def block_for(town: Town) -> BlockPlan:
    return BlockPlan(COIN, await town.set.get_block_template(), BURN)


async def test_a_block_goes_to_every_daemon_and_each_verdict_comes_back(town):
    block = (await block_for(town)).build()
    results = await town.set.submit_block(block)
    assert [(r.endpoint, r.accepted) for r in results] == [("d0", True), ("d1", True)]
    again = await town.set.submit_block(block)
    assert [r.verdict for r in again] == [SubmitVerdict.DUPLICATE] * 2


async def test_a_block_reaches_the_others_when_one_daemon_is_gone(town):
    await town.fault(0, method="*", mode="drop_before")
    block = (await block_for(town)).build()
    first, second = await town.set.submit_block(block)
    assert (first.verdict, first.accepted) == (SubmitVerdict.UNKNOWN, None)
    assert second.accepted


async def test_a_lost_verdict_is_asked_again_and_found_accepted(town):
    block = (await block_for(town)).build()
    await town.endpoints[0].call(
        "dev_set_fault", {"method": "submitblock", "mode": "drop_after", "count": 1}
    )
    first, _ = await town.set.submit_block(block)
    assert first.verdict is SubmitVerdict.DUPLICATE
    assert first.accepted


async def test_a_daemon_that_lies_about_a_block_does_not_hide_the_others_word(town):
    block = (await block_for(town)).build()
    await town.fault(0, method="submitblock", mode="answer", result="high-hash")
    first, second = await town.set.submit_block(block)
    assert (first.accepted, second.accepted) == (False, True)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (None, SubmitVerdict.ACCEPTED),
        ("duplicate", SubmitVerdict.DUPLICATE),
        ("duplicate-invalid", SubmitVerdict.REJECTED),
        ("duplicate-inconclusive", SubmitVerdict.INCONCLUSIVE),
        ("inconclusive", SubmitVerdict.INCONCLUSIVE),
        ("rejected: bad-cb-amount", SubmitVerdict.REJECTED),
        ({"x": 1}, SubmitVerdict.UNKNOWN),
    ],
)
def test_every_word_about_a_block_has_its_meaning(answer, verdict):
    assert submit_verdict(answer)[0] is verdict


async def test_the_watch_ends_when_it_is_told_to(town):
    stop = asyncio.Event()
    task = asyncio.create_task(town.set.run(stop))
    while town.set.health()[1].tip is None:
        await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(task, 10)
    assert task.done()


@pytest.mark.parametrize(
    "lie",
    [
        {"blocks": "7"},
        {"blocks": -1},
        {"blocks": 10**30},
        {"bestblockhash": 7},
        {"bestblockhash": "<script>"},
        {"chainwork": "-1"},
        {"chainwork": "f" * 100_000},
        {"initialblockdownload": None, "blocks": None},
    ],
)
async def test_a_tip_that_cannot_be_is_a_failure(town, lie):
    info = await town.endpoints[0].call("getblockchaininfo")
    await town.fault(0, method="getblockchaininfo", mode="answer", result=info | lie)
    await town.set.check()
    assert town.set.health()[0].reason == "getblockchaininfo is not what it should be"
