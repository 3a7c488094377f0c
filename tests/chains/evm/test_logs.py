"""Logs of long ranges: every service's limits, nodes that are behind, logs held back."""

from __future__ import annotations

import pytest
from aiohttp import web

from millpond.chains.evm.address import checksum
from millpond.chains.evm.contracts import Contract, artifact
from millpond.chains.evm.errors import (
    EquivocationError,
    NodesDisagreeError,
    RpcError,
    RpcProtocolError,
    RpcRejectedError,
    RpcUnavailableError,
    RpcUnknownBlockError,
)
from millpond.chains.evm.logs import LogFilter, RangeSize
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.types import parse_log, parse_logs
from tests.chains.evm.front import RefusedError
from tests.support.evm_nodes import ACCOUNTS, hardhat

ALICE, BOB = (account.address for account in ACCOUNTS[:2])
BLOCKS = 40


@pytest.fixture
def token(town) -> Contract:
    """A token whose blocks 2 to 41 each mint their number to Bob."""
    made = Contract.named("BTCD")
    code = bytes.fromhex(artifact("BTCD").bytecode[2:]) + made.encode_constructor(ALICE)
    made = made.at(checksum(town.node.deploy(code)))
    town.node.automine(False)
    for number in range(2, BLOCKS + 2):
        town.node.send(to=made.address, data=made.encode("mint", BOB, number), gas=200_000)
        town.node.mine()
    return made


async def minted(nodes, token, first=0, last=BLOCKS + 1, **options) -> list[int]:
    logs = await nodes.logs(first, last, address=token.address, **options)
    return [event.args["amount"] for event in token.decode_events(logs)]


def limit(most: int, message: str, code: int = -32000):
    """A service that serves `most` blocks at once."""

    def change(method, params, result):
        if method == "eth_getLogs" and "fromBlock" in params[0]:
            span = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
            if span > most:
                raise RefusedError(message, code)
        return result

    return change


async def test_logs_come_complete_and_in_order(town, token):
    nodes = town.nodes()
    expected = list(range(2, BLOCKS + 2))
    assert await minted(nodes, token) == expected
    assert await minted(nodes, token, agreed=True) == expected
    assert await minted(nodes, token, 10, 12) == [10, 11, 12]
    assert await minted(nodes, token, topics=[token.topic("Approval")]) == []
    transfers = [[token.topic("Transfer"), token.topic("Approval")], None]
    assert await minted(nodes, token, topics=transfers) == expected
    assert await minted(nodes, token, 13, 12) == []


@pytest.mark.parametrize(
    ("most", "message", "code"),
    [
        (7, "exceed maximum block range: 7", -32000),
        (7, "block range is too wide", -32600),
        (1, "query returned more than 10000 results", -32005),
        (5, "please use fewer blocks, thank you", -32000),
        (3, "Log response size exceeded. this block range should work: [0x0, 0x2]", -32602),
    ],
)
async def test_a_range_is_made_as_short_as_the_nodes_want_it(town, token, most, message, code):
    nodes = town.nodes()
    for front in town.fronts:
        front.change = limit(most, message, code)
    assert await minted(nodes, token, agreed=True) == list(range(2, BLOCKS + 2))


async def test_a_limit_once_told_is_kept(town, token):
    nodes = town.nodes(quorum=1, count=1)
    town.a.change = limit(7, "eth_getLogs is limited to a 7 range")
    await minted(nodes, token)
    asked = town.a.methods().count("eth_getLogs")
    assert asked == 1 + -(-(BLOCKS + 2) // 7)
    assert nodes.log_blocks == 7


async def test_an_answer_that_is_too_long_is_asked_for_in_halves(town, token):
    nodes = town.nodes(quorum=1, count=1)
    nodes.pool.endpoints[0]._max_body = 8_000
    assert await minted(nodes, token) == list(range(2, BLOCKS + 2))


async def test_a_single_block_that_is_refused_is_an_error(town, token):
    nodes = town.nodes()
    for front in town.fronts:
        front.change = limit(0, "block range is too wide")
    with pytest.raises(RpcRejectedError):
        await minted(nodes, token, 5, 5)


async def test_a_node_that_is_down_does_not_shorten_ranges(town, token):
    nodes = town.nodes()
    for front in town.fronts:
        front.raw = lambda _: web.Response(status=502)
    with pytest.raises(RpcUnavailableError):
        await minted(nodes, token)
    assert nodes.log_blocks == nodes.settings.log_blocks


async def test_a_node_that_is_behind_is_not_believed_about_what_it_has_not_seen(town, token):
    nodes = town.nodes(quorum=1)

    def behind(method, params, result):
        if method == "eth_getLogs":
            return [log for log in result if int(log["blockNumber"], 16) <= 20]
        if method == "eth_getBlockByNumber" and int(params[0], 16) > 20:
            return None
        return result

    town.a.change = behind
    assert await minted(nodes, token) == list(range(2, BLOCKS + 2))
    town.b.change = town.c.change = behind
    with pytest.raises(RpcUnknownBlockError):
        await minted(nodes, token)


async def test_one_node_that_holds_logs_back_is_found_out_by_the_quorum(town, token):
    nodes = town.nodes(finality_depth=5)

    def hides(number, *, all_of_block=True):
        def change(method, _params, result):
            if method != "eth_getLogs":
                return result
            return [log for log in result if int(log["blockNumber"], 16) != number]

        return change

    town.b.change = hides(10)
    with pytest.raises(EquivocationError):
        await minted(nodes, token, agreed=True)
    town.b.change = hides(BLOCKS)
    with pytest.raises(NodesDisagreeError):
        await minted(nodes, token, agreed=True)


async def test_another_log_in_the_same_block_is_a_contradiction(town, token):
    nodes = town.nodes(finality_depth=50)

    def more(method, _params, result):
        if method != "eth_getLogs":
            return result
        return [*result[:-1], {**result[-1], "data": "0x" + "ff" * 32}]

    town.b.change = more
    with pytest.raises(EquivocationError):
        await minted(nodes, token, agreed=True)


@pytest.mark.parametrize(
    "spoil",
    [
        {"address": BOB},
        {"blockNumber": "0xffff"},
        {"topics": ["0x" + "00" * 32]},
        {"topics": None},
        {"data": "0x0"},
        {"logIndex": None},
    ],
)
async def test_logs_that_nobody_asked_for_are_taken_from_another_node(town, token, spoil):
    nodes = town.nodes(quorum=1)

    def change(method, _params, result):
        if method == "eth_getLogs":
            return [*result[:-1], {**result[-1], **spoil}]
        return result

    town.a.change = change
    topics = [token.topic("Transfer")]
    assert await minted(nodes, token, topics=topics) == list(range(2, BLOCKS + 2))
    town.b.change = town.c.change = change
    with pytest.raises(RpcError):
        await minted(nodes, token, topics=topics)


async def test_the_logs_of_one_block_are_asked_for_by_its_hash(town, token):
    nodes = town.nodes()
    block = town.node.block(9)
    logs = await nodes.logs_of_block(block["hash"], address=token.address, agreed=True)
    assert [log.block_hash for log in logs] == [block["hash"]]
    with pytest.raises(RpcError):
        await nodes.logs_of_block("0x" + "77" * 32, agreed=True)


async def test_logs_of_hardhat_are_read_alike():
    with hardhat() as node:
        made = Contract.named("BTCD")
        code = bytes.fromhex(artifact("BTCD").bytecode[2:]) + made.encode_constructor(ALICE)
        made = made.at(checksum(node.deploy(code)))
        node.mined(node.send(to=made.address, data=made.encode("mint", BOB, 5), gas=200_000))
        async with RpcEndpoint(node.url) as endpoint:
            logs = parse_logs(
                await endpoint.call(
                    "eth_getLogs", [{"fromBlock": "0x0", **LogFilter.of(made.address).parameters()}]
                )
            )
        (event,) = made.decode_events(logs)
        assert event.args == {"sender": "0x" + "0" * 40, "receiver": BOB, "amount": 5}


def raw_log(**fields):
    return {
        "address": BOB.lower(),
        "topics": [],
        "data": "0x",
        "blockNumber": "0x05",
        "blockHash": "0x" + "AB" * 32,
        "transactionHash": "0x" + "cd" * 32,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
    } | fields


def test_removed_logs_are_left_out_and_the_rest_put_in_order():
    logs = parse_logs(
        [
            raw_log(logIndex="0x2"),
            raw_log(logIndex="0x1", removed=True),
            raw_log(logIndex="0x01"),
            raw_log(blockNumber="0x4"),
        ]
    )
    assert [(log.block_number, log.log_index) for log in logs] == [(4, 0), (5, 1), (5, 2)]
    assert logs[0].block_hash == "0x" + "ab" * 32
    assert logs[0].address == BOB


@pytest.mark.parametrize("answer", [None, "0x", {}, 5, [5], [{}], [raw_log(), raw_log()]])
def test_what_is_no_list_of_different_logs_is_refused(answer):
    with pytest.raises(RpcProtocolError):
        parse_logs(answer)


def test_a_log_without_the_mark_of_removal_is_there():
    assert parse_log(raw_log()).removed is False


def test_a_range_shrinks_at_once_and_grows_slowly():
    size = RangeSize(largest=1000, target=100)
    error = RpcRejectedError("too much", rpc_code=0, method="eth_getLogs")
    size.refused(1000, error)
    assert size.blocks == 500
    size.refused(1, error)
    assert size.blocks == 1
    grown = []
    for _ in range(20):
        size.served(size.blocks, 0)
        grown.append(size.blocks)
    assert grown[:4] == [2, 3, 4, 6]
    assert grown[-1] == 1000
    size.refused(1000, error)
    size.served(500, 100)
    assert size.blocks == 500
