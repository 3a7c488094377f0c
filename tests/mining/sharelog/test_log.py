"""What the writer reported as durable, readers find: in order, backwards, by worker."""

import asyncio

import pytest
from sqlalchemy import text

from millpond.mining.sharelog.errors import ShareLogTakenError
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.mining.sharelog.records import Position, RejectReason
from millpond.store import Store
from tests.mining.sharelog.helpers import BASE_MS, Log


async def test_what_was_reported_is_read_back_in_order(sharelog_url: str):
    log = Log(sharelog_url)
    await log.writer.start()
    await log.group(0, 1, 2)
    await log.group(3)
    log.writer.reject(BASE_MS, "b", RejectReason.LOW_DIFFICULTY, 8)
    await log.group(4, worker="b")
    assert log.done == [0, 1, 2, 3, 4]
    await log.writer.stop()
    reader = await ShareLogReader.open(sharelog_url)
    found = await reader.groups("p", None)
    assert [g.group.sequence for g in found] == [1, 2, 3]
    assert [s.difficulty for g in found for s in g.shares()] == [1, 2, 3, 4, 5]
    assert found[2].rejects == [("b", RejectReason.LOW_DIFFICULTY, 1, 8)]
    after = await reader.groups("p", found[0].position)
    assert [g.position for g in after] == [g.position for g in found[1:]]
    assert await reader.head("p") == found[-1].position
    assert await reader.count("p") == 5
    verified = await reader.verify("p")
    assert (verified.groups, verified.shares, verified.faults) == (3, 5, [])
    await reader.close()


async def test_a_window_goes_backwards_from_a_share(sharelog_url: str):
    log = Log(sharelog_url)
    await log.writer.start()
    await log.group(0, 1, 2)
    await log.group(3, 4, 5, worker="b")
    await log.writer.stop()
    reader = await ShareLogReader.open(sharelog_url)
    head = await reader.head("p")
    assert head is not None
    window = [
        entry async for part in reader.shares_before("p", Position(head.group, 1)) for entry in part
    ]
    assert window == [("b", 5), ("b", 4), ("a.x", 3), ("a.x", 2), ("a.x", 1)]
    receipts = await reader.receipts("p", "a")
    assert [(r.sequence, r.share) for r in receipts] == [(1, 2), (1, 1), (1, 0)]
    assert await reader.receipts("p", "nobody") == []
    await reader.close()


async def test_the_chain_goes_on_after_a_restart(sharelog_url: str):
    for number in range(3):
        log = Log(sharelog_url)
        await log.writer.start()
        await log.group(number)
        await log.writer.stop()
    reader = await ShareLogReader.open(sharelog_url)
    assert (await reader.verify("p")).heads["edge-1"][0] == 3
    assert (await reader.verify("p")).faults == []
    await reader.close()


async def test_a_second_writer_is_refused_but_another_edge_is_not(sharelog_url: str):
    first, second, other = Log(sharelog_url), Log(sharelog_url), Log(sharelog_url, "edge-2")
    await first.writer.start()
    with pytest.raises(ShareLogTakenError) as caught:
        await second.writer.start()
    assert caught.value.code == "sharelog_taken"
    await other.writer.start()
    await asyncio.gather(first.group(0, 1), other.group(2, 3))
    await other.group(4)
    await first.writer.stop()
    await other.writer.stop()
    reader = await ShareLogReader.open(sharelog_url)
    verified = await reader.verify("p")
    assert (verified.shares, verified.faults, set(verified.heads)) == (5, [], {"edge-1", "edge-2"})
    await reader.close()


@pytest.mark.parametrize(
    ("statement", "sequence"),
    [
        ("update sharelog_group set shares = shares + 1 where sequence = 2", 2),
        ("update sharelog_group set last_ms = last_ms + 1 where sequence = 1", 1),
        ("delete from sharelog_group where sequence = 2", 3),
        ("update sharelog_group set hash = previous_hash where sequence = 3", 3),
    ],
)
async def test_a_changed_or_missing_group_is_found(
    sharelog_url: str, statement: str, sequence: int
):
    log = Log(sharelog_url)
    await log.writer.start()
    for number in range(4):
        await log.group(number)
    await log.writer.stop()
    store = await Store.open(sharelog_url)
    async with store.begin() as tx:
        await tx.execute(text(statement))
    await store.close()
    reader = await ShareLogReader.open(sharelog_url)
    faults = (await reader.verify("p")).faults
    assert sequence in {fault.sequence for fault in faults}
    assert all(fault.edge == "edge-1" for fault in faults)
    await reader.close()
