"""A statement is recomputed from chain events alone; a unit changed anywhere is named."""

from __future__ import annotations

import contextlib
import random
from itertools import pairwise

import msgspec
import pytest

from millpond.chains.evm.types import Block
from millpond.staking.rewards.chainlog import (
    BlockGoneError,
    ChainLog,
    InvalidLogError,
    read_log,
    record,
    told,
    write_log,
)
from millpond.staking.rewards.epochs import pool_part
from millpond.staking.rewards.errors import NoRewardsError
from millpond.staking.rewards.statement import InvalidStatementError, decode, encode
from millpond.staking.rewards.statements import export
from millpond.staking.rewards.verify import account_proof, check_proof, verify
from millpond.store import Store
from tests.staking.rewards.chain import ALICE, BOB, CAROL, E18, World, vault, wallet
from tests.staking.rewards.logs import Recorded, log_of


async def history(store: Store, pool=None) -> tuple[World, Recorded, list[bytes]]:
    """A pool's busy first epochs, in its books and in its chain's log; and the statements."""
    world = await World(store, pool).create()
    length = world.pool.epoch_s
    random_ = random.Random(7)
    recorded = Recorded(world)
    await recorded.fund(0, 17 * length * E18 // 60)
    at_s = 3
    while at_s < 5 * length:
        who = random_.choice([ALICE, BOB, CAROL, wallet(4)])
        await recorded.hold(at_s, who, random_.choice([0, 1, random_.randrange(10**22)]))
        at_s += random_.randrange(1, length // 4)
    async with store.begin() as tx:
        await world.weights.set_rate(tx, "a", world.pool.pool_id, 3 * E18 + 7, reason="more")
    await recorded.mark(7 * length)
    closed = await world.close_all()
    async with store.read() as tx:
        documents = [await export(tx, world.pool.pool_id, epoch.epoch) for epoch in closed]
    for epoch in closed if world.pool.kind == "vault" else ():
        recorded.post(7 * length, epoch.number, epoch.root, epoch.distributed, epoch.statement_hash)
    return world, recorded, documents


async def test_every_statement_is_recomputed_from_events_alone(store: Store):
    for pool in (None, vault(pool_id="other")):
        _, recorded, documents = await history(store, pool)
        log = recorded.log()
        assert int(decode(documents[-1]).emission.cumulative) > 0
        assert any(int(decode(one).emission.shortfall) for one in documents)
        for number, document in enumerate(documents, start=1):
            report = verify(document, log)
            assert (report.mismatches, report.epochs) == ([], number)
            assert report.posted == (pool is not None)
        for before, document in pairwise(documents):
            report = verify(document, log, previous=before)
            assert (report.mismatches, report.epochs) == ([], 1)


@pytest.fixture
async def checked(sqlite_store: Store) -> tuple[bytes, ChainLog]:
    """The last statement of a vault and its chain."""
    _, recorded, documents = await history(sqlite_store, vault())
    return documents[5], recorded.log()


def _leaves(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for key, inner in enumerate(value):
            yield from _leaves(inner, (*path, key))
    else:
        yield path, value


def _changed(document: bytes, path, value) -> bytes:
    statement = msgspec.json.decode(document)
    inner = statement
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return msgspec.json.encode(statement, order="sorted")


async def test_one_unit_changed_anywhere_is_found_and_named(checked):
    document, log = checked
    assert verify(document, log).matches
    declared = {"pool_id", "asset", "decimals", "start_block"}
    tried = 0
    for path, value in _leaves(msgspec.json.decode(document)):
        is_number = isinstance(value, int) or value.lstrip("-").isdigit()
        if not is_number or path[-1] in declared:
            continue
        more = value + 1 if isinstance(value, int) else str(int(value) + 1)
        changed = _changed(document, path, more)
        try:
            report = verify(changed, log)
        except (InvalidStatementError, InvalidLogError):
            continue  # It is not even a statement any more.
        tried += 1
        assert not report.matches, path
        names = {m.name for m in report.mismatches}
        if path[0] == "emission":
            assert f"emission.{path[1]}" in names
        if path[0] == "accounts":
            wallet_ = decode(document).accounts[path[1]].wallet
            assert f"accounts[{wallet_}].{path[2]}" in names
    assert tried >= 40


async def test_the_figure_that_was_changed_is_the_one_that_is_named(checked):
    document, log = checked
    statement = decode(document)
    place = next(n for n, one in enumerate(statement.accounts) if int(one.earned))
    line = statement.accounts[place]
    wrong = str(int(line.cumulative) + 1)
    changed = _changed(document, ("accounts", place, "cumulative"), wrong)
    report = verify(changed, log)
    found = {m.name: (m.expected, m.found) for m in report.mismatches}
    assert found[f"accounts[{line.wallet}].cumulative"] == (line.cumulative, wrong)
    # Whoever makes the root fit the changed amounts is found by the chain's root as well.
    amounts = decode(changed)
    forged = encode(msgspec.structs.replace(amounts, root="0x" + amounts.tree().root.hex()))
    names = {m.name for m in verify(forged, log).mismatches}
    assert {"root", f"accounts[{line.wallet}].cumulative"} <= names


async def test_a_chain_that_says_something_else_is_found(checked):
    document, log = checked
    logs = [one for one in log.logs if one.block_number != 9]
    fewer = msgspec.structs.replace(log, logs=logs)
    with contextlib.suppress(InvalidLogError):
        assert not verify(document, fewer).matches
    late = msgspec.structs.replace(log, times={**log.times, 6: log.times[6] + 1})
    assert not verify(document, late).matches
    other = verify(document, msgspec.structs.replace(log, chain_id=1))
    assert [m.name for m in other.mismatches] == ["pool.chain_id"]
    short = verify(document, msgspec.structs.replace(log, head_time_s=decode(document).end_s - 1))
    assert [m.name for m in short.mismatches] == ["log"]


async def test_a_root_on_chain_that_is_not_the_statements_is_found(checked):
    document, log = checked
    statement = decode(document)
    forged = []
    for one in log.logs:
        data = one.data
        if statement.root[2:] in data.hex():
            data = data.replace(bytes.fromhex(statement.root[2:]), b"\x07" * 32)
        forged.append(msgspec.structs.replace(one, data=data))
    report = verify(document, msgspec.structs.replace(log, logs=forged))
    assert [m.name for m in report.mismatches] == ["chain.root"]


async def test_a_previous_statement_has_to_be_the_one_before(checked):
    document, log = checked
    report = verify(document, log, previous=document)
    assert [m.name for m in report.mismatches] == ["previous"]


async def test_what_is_no_statement_is_refused(checked):
    document, log = checked
    with pytest.raises(InvalidStatementError, match="canonically"):
        verify(b" " + document, log)
    for wrong in (
        b"",
        b"{}",
        b"[]",
        b"\xff",
        document[:-1],
        document.replace(b"epoch/1", b"epoch/2"),
    ):
        with pytest.raises(InvalidStatementError):
            verify(wrong, log)
    doubled = msgspec.json.decode(document)
    doubled["accounts"].append(doubled["accounts"][-1])
    with pytest.raises(InvalidStatementError, match="twice"):
        verify(msgspec.json.encode(doubled, order="sorted"), log)


async def test_a_log_is_recorded_and_read_back(checked):
    document, log = checked
    again = read_log(write_log(log))
    assert again == log
    assert verify(document, again).matches
    for wrong in (b"", b"{}", write_log(log).replace(b"log/1", b"log/2")):
        with pytest.raises(InvalidLogError):
            read_log(wrong)
    with pytest.raises(InvalidLogError, match="no time"):
        read_log(write_log(msgspec.structs.replace(log, times={})))


class Node:
    """What a node answers about a recorded chain."""

    def __init__(self, log: ChainLog, *, lost: int = -1) -> None:
        self.log = log
        self.lost = lost

    async def logs(self, first, last, *, address=()):
        return [
            one
            for one in self.log.logs
            if first <= one.block_number <= last and one.address in address
        ]

    async def block(self, ref):
        number = self.log.head_number if ref == "latest" else int(ref, 16)
        if number == self.lost:
            return None
        return Block(
            number=number,
            hash=f"0x{number:064x}",
            parent_hash="",
            timestamp_s=self.log.times.get(number, self.log.head_time_s),
            base_fee=0,
            gas_limit=0,
            gas_used=0,
            logs_bloom=b"",
            transactions=(),
        )


async def test_a_node_is_asked_for_the_same(checked):
    document, log = checked
    pool = decode(document).pool
    asked = await record(Node(log), pool)
    assert asked.logs == log.logs
    assert verify(document, msgspec.structs.replace(asked, head_time_s=log.head_time_s)).matches
    with pytest.raises(BlockGoneError):
        await record(Node(log, lost=log.logs[3].block_number), pool)


async def test_a_wallet_proves_its_part_without_any_chain(checked):
    document, _ = checked
    statement = decode(document)
    for line in statement.accounts:
        if int(line.cumulative):
            found = account_proof(document, line.wallet)
            assert check_proof(found, statement.root)
            assert account_proof(document, line.wallet.lower()) == found
            more = msgspec.structs.replace(found, cumulative=found.cumulative + 1)
            assert not check_proof(more, statement.root)
    with pytest.raises(NoRewardsError):
        account_proof(document, wallet(77))
    wrong = _changed(document, ("accounts", 0, "cumulative"), "5")
    with pytest.raises(InvalidStatementError, match="root"):
        account_proof(wrong, statement.accounts[0].wallet)


def test_shares_that_are_handed_on_leave_one_and_arrive_at_the_other():
    pool = vault()
    part = pool_part(pool, 0)
    logs = [
        log_of("Vault", pool.contract, "Transfer", 1, "0x" + "00" * 20, ALICE, 10),
        log_of("Vault", pool.contract, "Transfer", 2, ALICE, BOB, 4),
        log_of("Vault", pool.contract, "Transfer", 3, BOB, BOB, 4),
        log_of("Vault", pool.contract, "Transfer", 4, BOB, "0x" + "00" * 20, 4),
        log_of("Vault", "0x" + "12" * 20, "Transfer", 5, ALICE, BOB, 4),
    ]
    log = ChainLog(
        chain_id=1,
        head_number=9,
        head_time_s=9,
        times={n: n for n in range(1, 6)},
        logs=logs,
    )
    moves = [(c.at_s, c.wallet, c.balance) for c in told(part, log).changes]
    assert moves == [
        (1, ALICE, 10),
        (2, ALICE, 6),
        (2, BOB, 4),
        (4, BOB, 0),
    ]
    with pytest.raises(InvalidLogError, match="lacks events"):
        told(part, msgspec.structs.replace(log, logs=logs[1:]))
