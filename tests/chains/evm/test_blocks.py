"""Following a chain through reorganisations, as an indexer does that stores what it reads."""

from __future__ import annotations

import random

import pytest

from millpond.chains.evm.address import checksum
from millpond.chains.evm.blocks import (
    Advance,
    BlockFollower,
    FollowSettings,
    Mark,
    Undo,
    remember,
)
from millpond.chains.evm.bloom import may_contain
from millpond.chains.evm.contracts import Contract, artifact
from millpond.chains.evm.errors import (
    NodesDisagreeError,
    ReorgTooDeepError,
    RpcError,
    RpcUnknownBlockError,
)
from millpond.chains.evm.logs import LogFilter
from tests.support.evm_nodes import ACCOUNTS

ALICE, BOB = (account.address for account in ACCOUNTS[:2])


class Reader:
    """An indexer in small: keeps marks, and the amounts minted in each block."""

    def __init__(self, town, token=None, *, depth=8, headers=5, **options):
        self.nodes = town.nodes(**options)
        self.follower = BlockFollower(self.nodes, FollowSettings(depth=depth, headers=headers))
        self.depth = depth
        self.token = token
        self.marks: list[Mark] = []
        self.minted: dict[int, list[int]] = {}
        self.steps: list[Advance | Undo] = []

    async def step(self):
        if not self.marks:
            self.marks = [await self.follower.start(0)]
        step = await self.follower.step(self.marks)
        if step is None:
            return None
        if isinstance(step, Undo):
            for number in [n for n in self.minted if n > step.to.number]:
                del self.minted[number]
        elif self.token is not None:
            for log in await self.follower.logs(step, address=self.token.address):
                amount = self.token.decode_event(log).args["amount"]
                self.minted.setdefault(log.block_number, []).append(amount)
        self.marks = remember(self.marks, step, self.depth)
        self.steps.append(step)
        return step

    async def catch_up(self, bound=200):
        for _ in range(bound):
            if await self.step() is None:
                return
        raise AssertionError("it never comes to an end")


def chain_of(town, marks) -> bool:
    return all(town.node.block(mark.number)["hash"] == mark.hash for mark in marks)


@pytest.fixture
def token(town) -> Contract:
    made = Contract.named("BTCD")
    code = bytes.fromhex(artifact("BTCD").bytecode[2:]) + made.encode_constructor(ALICE)
    made = made.at(checksum(town.node.deploy(code)))
    town.node.automine(False)
    return made


def mint(town, token, amount) -> None:
    town.node.send(to=token.address, data=token.encode("mint", BOB, amount), gas=200_000)


async def test_every_block_comes_once_and_in_order(town):
    town.node.mine(30)
    reader = Reader(town, depth=8, headers=5, log_blocks=7)
    await reader.catch_up()
    at = 0
    for step in reader.steps:
        assert isinstance(step, Advance)
        assert (step.first, step.blocks[-1].number) == (at + 1, step.last)
        assert step.complete or step.last <= 30 - 8
        assert step.head == 30
        at = step.last
    assert at == 30
    assert chain_of(town, reader.marks)
    assert [mark.number for mark in reader.marks] == list(range(22, 31))
    assert await reader.step() is None


async def test_a_reorganisation_is_undone_to_the_last_common_block(town):
    town.node.mine(10)
    reader = Reader(town)
    await reader.catch_up()
    town.node.reorg(3)
    town.node.mine(2)
    step = await reader.step()
    assert isinstance(step, Undo)
    assert step.to.number == 7
    assert [mark.number for mark in step.dropped] == [8, 9, 10]
    await reader.catch_up()
    assert reader.marks[-1].number == 12
    assert chain_of(town, reader.marks)


async def test_a_shorter_chain_is_another_chain(town):
    before = None
    town.node.mine(5)
    before = town.node.snapshot()
    town.node.mine(5)
    reader = Reader(town)
    await reader.catch_up()
    town.node.revert(before)
    town.node.increase_time(100)
    town.node.mine(2)
    step = await reader.step()
    assert isinstance(step, Undo)
    assert step.to.number == 5
    await reader.catch_up()
    assert reader.marks[-1].number == 7


async def test_nodes_that_know_less_than_before_prove_nothing(town):
    town.node.mine(10)
    reader = Reader(town)
    await reader.catch_up()
    eight = town.node.block(8)

    def stale(method, params, result):
        if method == "eth_blockNumber":
            return "0x8"
        if method == "eth_getBlockByNumber":
            number = 8 if params[0] == "latest" else int(params[0], 16)
            return eight if number == 8 else result if number < 8 else None
        return result

    for front in town.fronts:
        front.change = stale
    assert await reader.step() is None
    assert reader.marks[-1].number == 10


async def test_one_node_on_another_branch_cannot_undo_anything(town):
    town.node.mine(10)
    reader = Reader(town)
    await reader.catch_up()

    def fork(method, params, result):
        if method == "eth_getBlockByNumber" and int(params[0], 16) >= 9:
            return {**result, "hash": "0x" + f"{int(params[0], 16):064x}"}
        return result

    town.a.change = fork
    assert await reader.step() is None
    town.node.mine(1)
    try:
        step = await reader.step()
    except NodesDisagreeError:
        step = None
    assert not isinstance(step, Undo)


async def test_a_change_deeper_than_allowed_stops_everything(town):
    town.node.mine(20)
    reader = Reader(town, depth=4)
    await reader.catch_up()
    town.node.reorg(6)
    with pytest.raises(ReorgTooDeepError) as caught:
        await reader.step()
    assert caught.value.details["block"] == 20
    assert reader.marks[-1].number == 20


async def test_following_begins_at_a_block_that_exists(town):
    reader = Reader(town)
    with pytest.raises(RpcUnknownBlockError):
        await reader.follower.start(99)


async def test_logs_fit_the_blocks_of_the_step_or_are_refused(town, token):
    mint(town, token, 7)
    town.node.mine(3)
    reader = Reader(town, token)
    reader.marks = [await reader.follower.start(0)]
    step = await reader.follower.step(reader.marks)
    assert isinstance(step, Advance)
    town.node.reorg(2, keep_txs=False)
    with pytest.raises(NodesDisagreeError):
        await reader.follower.logs(step, address=token.address)


async def test_a_log_that_a_node_holds_back_is_missed_by_the_header(town, token):
    mint(town, token, 7)
    town.node.mine(1)
    reader = Reader(town, token, quorum=1, count=1)

    def hides(method, params, result):
        return [] if method == "eth_getLogs" and "fromBlock" in params[0] else result

    town.a.change = hides
    await reader.catch_up()
    assert reader.minted == {2: [7]}


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_the_chain_does_what_is_read_is_what_it_says_in_the_end(town, token, seed):
    chance = random.Random(seed)
    reader = Reader(town, token, depth=8, headers=3)
    amount = 0
    for _ in range(25):
        act = chance.random()
        if act < 0.45:
            amount += 1
            mint(town, token, amount)
            town.node.mine(chance.randint(1, 2))
        elif act < 0.65 and town.node.height() > 6:
            town.node.reorg(chance.randint(1, 4), keep_txs=chance.random() < 0.7)
            town.node.mine(1)
        try:
            await reader.step()
        except RpcError:
            continue  # the chain changed between two questions
    town.node.mine(1)
    await reader.catch_up()
    logs = await reader.nodes.logs(0, town.node.height(), address=token.address)
    expected: dict[int, list[int]] = {}
    for event in token.decode_events(logs):
        expected.setdefault(event.log.block_number, []).append(event.args["amount"])
    assert reader.minted == expected
    assert any(isinstance(step, Undo) for step in reader.steps)


async def test_the_bloom_of_a_header_names_everything_that_is_in_the_block(town, token):
    mint(town, token, 7)
    town.node.mine(2)
    nodes = town.nodes()
    with_log, without = await nodes.blocks([2, 3])
    transfers = LogFilter.of(token.address, [token.topic("Transfer"), None])
    assert may_contain(with_log.logs_bloom, transfers)
    assert may_contain(with_log.logs_bloom, LogFilter.of())
    assert not may_contain(without.logs_bloom, transfers)
    assert not may_contain(with_log.logs_bloom, LogFilter.of(BOB))
    assert not may_contain(with_log.logs_bloom, LogFilter.of(topics=[token.topic("Approval")]))


def test_marks_are_kept_for_as_long_as_a_change_may_reach():
    marks = [Mark(5, "e"), Mark(10, "x"), Mark(11, "y")]
    undone = remember(marks, Undo(marks[1], (marks[2],)), 3)
    assert undone == marks[:2]
