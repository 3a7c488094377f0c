"""Several nodes: failover, rest, wrong chains, quorum, contradictions, sending to all."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from millpond.chains.evm.address import checksum
from millpond.chains.evm.contracts import Contract, artifact
from millpond.chains.evm.errors import (
    EquivocationError,
    InsufficientFundsError,
    NodesDisagreeError,
    NonceTooLowError,
    NoQuorumError,
    RevertedError,
    RpcProtocolError,
    RpcUnavailableError,
    RpcUnknownBlockError,
    UnderpricedError,
    WrongChainError,
)
from millpond.chains.evm.metrics import NodesCollector
from millpond.chains.evm.sending import SendVerdict
from millpond.chains.evm.settings import NodesSettings
from millpond.chains.evm.types import parse_block, parse_logs
from tests.chains.evm.front import RefusedError
from tests.support.evm_nodes import ACCOUNTS, GWEI

ALICE, BOB = (account.address for account in ACCOUNTS[:2])
OTHER = "0x" + "5e" * 32


def http(status: int, **headers: str):
    return lambda _document: web.Response(status=status, headers=headers)


def lie(method: str, change):
    """A change of one method's result alone."""
    return lambda called, params, result: change(result) if called == method else result


# --- plain reads ---


async def test_a_read_moves_on_when_a_node_fails(town):
    nodes = town.nodes()
    town.a.raw = http(502)
    town.b.change = lie("eth_getBalance", lambda _: "0xzz")
    assert await nodes.balance(ALICE) == 10_000 * 10**18
    assert "eth_getBalance" in town.c.methods()


async def test_what_every_node_would_refuse_is_refused_at_once(town):
    nodes = town.nodes()

    def poor(_):
        raise RefusedError("insufficient funds for gas * price + value: balance 1, tx cost 2")

    town.a.change = lie("eth_estimateGas", poor)
    with pytest.raises(InsufficientFundsError):
        await nodes.estimate_gas(BOB, b"", sender=ALICE, value=10**30)
    assert town.b.calls == []


async def test_a_failing_node_is_left_alone_for_longer_and_longer(town):
    nodes = town.nodes(fail_after=2, backoff_s=1, backoff_max_s=4)
    town.a.raw = http(500)
    for _ in range(2):
        await nodes.balance(ALICE)
    asked = town.a.requests
    await nodes.balance(ALICE)
    assert town.a.requests == asked
    town.clock.advance(1.1)
    town.a.raw = lambda _: None
    for _ in range(3):
        await nodes.check()
    assert [health.healthy for health in nodes.health()] == [True] * 3


async def test_a_node_that_asks_for_rest_gets_it_and_counts_as_well(town):
    nodes = town.nodes()
    town.a.raw = http(429, **{"Retry-After": "30"})
    await nodes.balance(ALICE)
    town.a.raw = lambda _: None
    asked = town.a.requests
    town.clock.advance(29)
    await nodes.balance(ALICE)
    assert town.a.requests == asked
    town.clock.advance(2)
    await nodes.balance(ALICE)
    assert town.a.requests > asked
    assert nodes.health()[0].healthy
    assert nodes.health()[0].rate_limits == 1


async def test_a_node_of_another_chain_is_never_believed(town):
    nodes = town.nodes()
    town.a.change = lie("eth_chainId", lambda _: "0x1")
    assert await nodes.balance(ALICE) == 10_000 * 10**18
    assert set(town.a.methods()) == {"eth_chainId"}
    assert nodes.health()[0].wrong_chain
    town.a.change = lambda _method, _params, result: result
    await nodes.check()
    assert not nodes.health()[0].wrong_chain


async def test_a_node_may_not_change_its_chain_while_it_is_watched(town):
    nodes = town.nodes(quorum=1, count=1)
    await nodes.balance(ALICE)
    town.a.change = lie("eth_chainId", lambda _: "0x00002")
    await nodes.check()
    with pytest.raises((WrongChainError, RpcUnavailableError)):
        await nodes.balance(ALICE)


async def test_what_one_node_does_not_know_yet_another_may(town):
    nodes = town.nodes()
    receipt = town.node.mined(town.node.send(to=BOB, value=1))
    for method in ("eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_getBlockByNumber"):
        town.a.change = lie(method, lambda _: None)
        found = await nodes.receipt(receipt["transactionHash"])
        assert found is not None
        assert found.block_number == 1
        known = await nodes.transaction(receipt["transactionHash"])
        assert known is not None
        assert known.value == 1
        block = await nodes.block(1)
        assert block is not None
        assert block.transactions == (receipt["transactionHash"],)
    assert await nodes.receipt(OTHER) is None
    assert await nodes.transaction(OTHER) is None
    assert await nodes.block(999) is None
    assert await nodes.block(OTHER) is None


async def test_a_node_that_is_far_behind_is_asked_last(town):
    nodes = town.nodes(max_lag_blocks=2)
    town.node.mine(5)
    town.a.change = lie("eth_blockNumber", lambda _: "0x1")
    await nodes.check()
    assert nodes.health()[0].reason == "4 blocks behind"
    asked = len(town.a.calls)
    await nodes.balance(ALICE)
    assert len(town.a.calls) == asked


async def test_no_node_at_all_is_unavailable(town):
    nodes = town.nodes()
    for front in town.fronts:
        front.raw = http(503)
    with pytest.raises(RpcUnavailableError):
        await nodes.balance(ALICE)
    with pytest.raises(NoQuorumError):
        await nodes.head(agreed=True)


# --- agreement ---


async def test_money_is_asked_of_as_many_nodes_as_the_quorum_needs(town):
    nodes = town.nodes(quorum=2)
    assert await nodes.balance(ALICE, 0, agreed=True) == 10_000 * 10**18
    assert "eth_getBalance" not in town.c.methods()
    town.a.raw = http(500)
    assert await nodes.balance(ALICE, 0, agreed=True) == 10_000 * 10**18
    assert "eth_getBalance" in town.c.methods()


async def test_too_few_answers_decide_nothing(town):
    nodes = town.nodes(quorum=2)
    town.a.raw = town.b.raw = http(500)
    with pytest.raises(NoQuorumError):
        await nodes.balance(ALICE, 0, agreed=True)


@pytest.mark.parametrize(
    ("method", "read"),
    [
        ("eth_getBalance", lambda nodes: nodes.balance(ALICE, agreed=True)),
        ("eth_getTransactionCount", lambda nodes: nodes.nonce(ALICE, agreed=True)),
        ("eth_call", lambda nodes: nodes.call(ALICE, b"", agreed=True)),
        ("eth_getCode", lambda nodes: nodes.code(ALICE, agreed=True)),
        ("eth_getStorageAt", lambda nodes: nodes.storage(ALICE, 1, agreed=True)),
    ],
)
async def test_different_state_of_the_same_block_is_a_contradiction(town, method, read):
    nodes = town.nodes()
    town.b.change = lie(method, lambda _: "0x77")
    with pytest.raises(EquivocationError):
        await read(nodes)
    (told,) = town.told
    assert told.chain_id == nodes.chain_id
    assert set(told.answers) == {"a", "b"}
    assert nodes.pool.contradictions == 1


async def test_questions_about_money_hang_on_a_block_hash(town):
    nodes = town.nodes()
    await nodes.balance(ALICE, agreed=True)
    asked = [params for method, params in town.a.calls if method == "eth_getBalance"]
    assert asked == [[ALICE, {"blockHash": town.node.block(0)["hash"]}]]


async def test_the_same_number_written_differently_is_no_contradiction(town):
    nodes = town.nodes()
    town.b.change = lie("eth_getBalance", lambda r: "0x000" + r[2:].upper())
    assert await nodes.balance(ALICE, agreed=True) == 10_000 * 10**18


async def test_a_revert_is_agreed_on_like_any_answer(town):
    nodes = town.nodes()
    pool = Contract.named("StakingPool").at(_deploy_token(town))
    with pytest.raises(RevertedError):
        await nodes.call(pool.address, pool.encode("withdraw", 1), agreed=True)
    town.b.change = lie("eth_call", lambda _: "0x")
    town.a.raw = http(500)
    town.c.change = lie("eth_call", lambda _: "0x01")
    with pytest.raises(EquivocationError):
        await nodes.call(ALICE, b"", agreed=True)


async def test_one_node_that_reverts_where_another_does_not_is_a_contradiction(town):
    nodes = town.nodes()

    def reverts(_):
        raise RefusedError("execution reverted: paused", 3, "0x")

    town.b.change = lie("eth_call", reverts)
    with pytest.raises(EquivocationError):
        await nodes.call(ALICE, b"", agreed=True)


async def test_a_node_that_lags_contradicts_nobody(town):
    nodes = town.nodes()
    town.node.mine(3)
    town.b.change = _stale(town, 1)
    assert (await nodes.head(agreed=True)).number == 3
    assert (await nodes.block(3, agreed=True)).hash == town.node.block(3)["hash"]
    assert town.told == []


async def test_the_head_is_the_newest_block_that_a_quorum_has(town):
    nodes = town.nodes()
    town.node.mine(3)
    town.a.change = town.b.change = _stale(town, 2)
    assert (await nodes.head(agreed=True)).number == 2
    assert (await nodes.pin(1)).number == 1


async def test_other_blocks_at_the_head_are_a_fork_that_passes(town):
    nodes = town.nodes(finality_depth=3)
    town.node.mine(10)
    town.b.change = _other_block(10)
    with pytest.raises(NodesDisagreeError):
        await nodes.block(10, agreed=True)
    assert (await nodes.head(agreed=True)).number == 9
    assert town.told == []


async def test_other_blocks_below_finality_are_a_contradiction(town):
    nodes = town.nodes(finality_depth=3)
    town.node.mine(10)
    town.b.change = _other_block(7)
    with pytest.raises(EquivocationError):
        await nodes.block(7, agreed=True)
    assert "block 7" in town.told[0].subject


async def test_the_watch_finds_a_contradiction_before_money_depends_on_it(town):
    nodes = town.nodes(finality_depth=3)
    town.node.mine(10)
    await nodes.check()
    town.c.change = _other_block(7)
    with pytest.raises(EquivocationError):
        await nodes.check()
    assert set(town.told[0].answers) == {"a", "b", "c"}


@pytest.mark.parametrize("field", ["status", "gasUsed", "logs"])
async def test_another_receipt_from_the_same_block_is_a_contradiction(town, field):
    nodes = town.nodes()
    tx_hash = town.node.send(to=BOB, value=1)
    town.node.mined(tx_hash)
    log = {
        "address": BOB,
        "topics": [],
        "data": "0x",
        "blockNumber": "0x1",
        "blockHash": town.node.block(1)["hash"],
        "transactionHash": tx_hash,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
    }
    value = {"status": "0x0", "gasUsed": "0x1", "logs": [log]}[field]
    town.b.change = lie("eth_getTransactionReceipt", lambda result: {**result, field: value})
    with pytest.raises(EquivocationError):
        await nodes.receipt(tx_hash, agreed=True)


async def test_a_receipt_from_another_recent_block_is_a_fork(town):
    nodes = town.nodes()
    tx_hash = town.node.send(to=BOB, value=1)
    town.node.mined(tx_hash)
    town.b.change = lie("eth_getTransactionReceipt", lambda r: {**r, "blockHash": OTHER})
    with pytest.raises(NodesDisagreeError):
        await nodes.receipt(tx_hash, agreed=True)


async def test_a_receipt_that_only_one_node_has_decides_nothing_and_neither_does_its_absence(town):
    nodes = town.nodes()
    tx_hash = town.node.send(to=BOB, value=1)
    town.node.mined(tx_hash)
    town.b.change = lie("eth_getTransactionReceipt", lambda _: None)
    assert (await nodes.receipt(tx_hash, agreed=True)).status == 1
    town.c.change = town.b.change
    with pytest.raises(NoQuorumError):
        await nodes.receipt(tx_hash, agreed=True)
    town.a.change = town.b.change
    assert await nodes.receipt(tx_hash, agreed=True) is None


async def test_a_block_that_nobody_has_is_not_guessed_about(town):
    nodes = town.nodes()
    with pytest.raises(RpcUnknownBlockError):
        await nodes.balance(ALICE, 99, agreed=True)
    with pytest.raises(AssertionError):
        await nodes.balance(ALICE, "pending", agreed=True)


async def test_answers_about_something_else_are_not_taken(town):
    nodes = town.nodes(quorum=1)
    town.node.mine(2)
    tx_hash = town.node.send(to=BOB, value=1)
    town.node.mined(tx_hash)
    genesis = town.node.block(0)
    town.a.change = lie("eth_getBlockByNumber", lambda _: genesis)
    assert (await nodes.block(2)).number == 2
    town.a.change = lie("eth_getTransactionReceipt", lambda r: {**r, "transactionHash": OTHER})
    assert (await nodes.receipt(tx_hash)).tx_hash == tx_hash
    town.a.change = lie("eth_getTransactionByHash", lambda r: {**r, "hash": OTHER})
    assert (await nodes.transaction(tx_hash)).hash == tx_hash


# --- sending, fees ---


async def test_a_transaction_goes_to_every_node(town):
    nodes = town.nodes()
    town.node.automine(False)
    raw, tx_hash = town.node.sign(to=BOB, value=5)
    result = await nodes.send_raw(bytes.fromhex(raw[2:]))
    assert result.tx_hash == tx_hash
    assert result.accepted
    assert {v.verdict for v in result.verdicts} <= {SendVerdict.ACCEPTED, SendVerdict.KNOWN}
    assert all("eth_sendRawTransaction" in front.methods() for front in town.fronts)
    again = await nodes.send_raw(bytes.fromhex(raw[2:]))
    assert again.verdict is SendVerdict.KNOWN


async def test_one_node_that_has_it_is_enough(town):
    nodes = town.nodes()
    town.a.raw = http(502)
    town.b.raw = http(401)
    raw, _ = town.node.sign(to=BOB, value=5)
    result = await nodes.send_raw(bytes.fromhex(raw[2:]))
    assert [v.verdict for v in result.verdicts] == [
        SendVerdict.UNKNOWN,
        SendVerdict.UNREACHED,
        SendVerdict.ACCEPTED,
    ]
    assert result.accepted
    assert result.rejection is None


async def test_a_lost_answer_leaves_doubt_that_no_refusal_dispels(town):
    nodes = town.nodes(count=1, quorum=1)
    await nodes.check()
    raw, tx_hash = town.node.sign(to=BOB, value=5)

    def lose_first(method, _params, result):
        if method == "eth_sendRawTransaction":
            town.a.change = lambda _m, _p, r: r
            return "0x"  # garbage instead of the hash
        return result

    town.a.change = lose_first
    result = await nodes.send_raw(bytes.fromhex(raw[2:]))
    assert result.verdict in {SendVerdict.KNOWN, SendVerdict.UNKNOWN}
    assert town.node.mined(tx_hash)["status"] == "0x1"


async def test_a_refusal_by_all_says_why(town):
    nodes = town.nodes()
    raw, _ = town.node.sign(to=BOB, value=5)
    town.node.mined(town.node.send(to=BOB, value=6))
    result = await nodes.send_raw(bytes.fromhex(raw[2:]))
    assert result.verdict is SendVerdict.REJECTED
    assert isinstance(result.rejection, NonceTooLowError)
    assert len(result.rejections) == 3
    cheap, _ = town.node.sign(to=BOB, value=5, max_fee=1, max_priority_fee=0)
    result = await nodes.send_raw(bytes.fromhex(cheap[2:]))
    assert isinstance(result.rejection, UnderpricedError)


async def test_nothing_sent_is_told_from_doubt(town):
    nodes = town.nodes()
    for front in town.fronts:
        front.raw = http(403)
    result = await nodes.send_raw(b"\x02")
    assert result.verdict is SendVerdict.UNREACHED
    assert not result.accepted


async def test_fees_are_whole_wei_and_do_without_the_nodes_advice(town):
    nodes = town.nodes()
    for number in range(3):
        town.node.mined(town.node.send(to=BOB, value=number, max_priority_fee=3 * GWEI))
    fees = await nodes.fees()
    assert fees.base_fee == int(town.node.block()["baseFeePerGas"], 16)
    assert 0 < fees.next_base_fee <= fees.base_fee
    assert fees.priority_fee >= 3 * GWEI

    def missing(_):
        raise RefusedError("the method eth_maxPriorityFeePerGas does not exist", -32601)

    for front in town.fronts:
        front.change = lie("eth_maxPriorityFeePerGas", missing)
    assert (await nodes.fees()).priority_fee == 3 * GWEI


def _deploy_token(town) -> str:
    token = artifact("BTCD")
    constructor = Contract.named("BTCD").encode_constructor(ALICE)
    return checksum(town.node.deploy(bytes.fromhex(token.bytecode[2:]) + constructor))


def _stale(town, height):
    """A node that has nothing above `height`."""

    def change(method, params, result):
        if method == "eth_blockNumber":
            return hex(height)
        if method == "eth_getBlockByNumber" and params[0] != "latest":
            return result if int(params[0], 16) <= height else None
        if method == "eth_getBlockByNumber":
            return town.node.block(height)
        return result

    return change


def _other_block(number):
    """A node on another branch from `number` on."""

    def change(method, params, result):
        if method == "eth_getBlockByNumber" and int(params[0], 16) >= number:
            return {**result, "hash": "0x" + f"{int(params[0], 16):064x}"}
        return result

    return change


async def test_figures_tell_how_each_node_does(town):
    nodes = town.nodes()
    registry = CollectorRegistry()
    registry.register(NodesCollector(nodes))
    town.b.raw = http(500)
    town.c.raw = http(429)
    town.node.mine(3)
    await nodes.check()

    def figure(name, node):
        return registry.get_sample_value(name, {"chain": "31337", "node": node})

    assert figure("millpond_evm_node_usable", "a") == 1
    assert figure("millpond_evm_node_head_block", "a") == 3
    assert figure("millpond_evm_node_head_block", "b") == -1
    assert figure("millpond_evm_node_failures_total", "b") == 1
    assert figure("millpond_evm_node_rate_limits_total", "c") == 1
    assert figure("millpond_evm_node_usable", "c") == 0
    assert registry.get_sample_value("millpond_evm_contradictions_total", {"chain": "31337"}) == 0


async def test_the_watch_goes_on_until_it_is_stopped(town):
    nodes = town.nodes(interval_s=0.01)
    stop = asyncio.Event()

    def change(method, _params, result):
        if method == "eth_blockNumber" and town.a.methods().count(method) == 3:
            stop.set()
        return result

    town.a.change = change
    await nodes.run(stop)
    assert nodes.health()[0].head == 0


def test_settings_that_cannot_be_are_refused():
    for wrong in ({"quorum": 0}, {"finality_depth": 0}, {"log_blocks": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            NodesSettings(**wrong)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", 2**64),
        ("number", 2**256 - 1),
        ("timestamp", 2**64),
        ("timestamp", 253_402_300_800),  # the year 10000
        ("gasLimit", 2**64),
        ("gasUsed", 2**255),
    ],
)
def test_a_block_of_numbers_that_no_chain_has_is_none(field, value):
    block = {
        "number": "0x1",
        "hash": "0x" + "11" * 32,
        "parentHash": "0x" + "22" * 32,
        "timestamp": "0x3af2f47f7f",
        "gasLimit": "0x1c9c380",
        "gasUsed": "0x0",
        "logsBloom": "0x" + "00" * 256,
        "transactions": [],
    }
    assert parse_block(block | {"timestamp": hex(253_402_300_799)}) is not None
    with pytest.raises(RpcProtocolError, match="is no "):
        parse_block(block | {"timestamp": "0x1", field: hex(value)})


@pytest.mark.parametrize(
    ("field", "value"),
    [("blockNumber", 2**63), ("logIndex", 2**31), ("transactionIndex", 2**64)],
)
def test_a_log_in_a_place_that_no_block_has_is_none(field, value):
    log = {
        "address": "0x" + "33" * 20,
        "topics": [],
        "data": "0x",
        "blockNumber": "0x1",
        "blockHash": "0x" + "11" * 32,
        "transactionHash": "0x" + "22" * 32,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
    }
    assert len(parse_logs([log])) == 1
    with pytest.raises(RpcProtocolError, match="is no "):
        parse_logs([log | {field: hex(value)}])
