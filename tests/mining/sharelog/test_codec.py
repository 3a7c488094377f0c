"""A group decodes to what was put in, and no change of it goes unseen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.mining.sharelog.builder import GroupBuilder
from millpond.mining.sharelog.codec import GENESIS_HASH, decode, verify_hash
from millpond.mining.sharelog.errors import ShareLogCorruptError
from millpond.mining.sharelog.records import Job, RejectReason, Share

BASE_MS = 1_700_000_000_000

names = st.text(min_size=1, max_size=20).filter(lambda t: t.isprintable())
shares = st.tuples(
    st.integers(0, 60_000),
    names,
    st.builds(Job, st.integers(0, 2**32 - 1), st.integers(1, 2**100)),
    st.integers(1, 2**64 - 1),
    st.integers(0, 2**32 - 1),
)


@given(st.lists(shares, min_size=1, max_size=30))
def test_shares_come_back_as_they_were_credited(entries):
    entries.sort(key=lambda entry: entry[0])
    builder = GroupBuilder()
    for delta, worker, job, difficulty, bits in entries:
        builder.add(BASE_MS + delta, worker, job, difficulty, bits)
    group = builder.finish("dev-main", "edge-1", 1, GENESIS_HASH)
    assert verify_hash(group)
    decoded = decode(7, group)
    assert list(decoded.shares()) == [
        Share(BASE_MS + delta, worker, job.height, job.network_difficulty, difficulty, bits, False)
        for delta, worker, job, difficulty, bits in entries
    ]
    assert decoded.position == (7, len(entries) - 1)
    newest = [(worker, difficulty) for _, worker, _, difficulty, _ in reversed(entries)]
    assert list(decoded.newest_first()) == newest


def test_rejects_evidence_and_blocks_come_back():
    builder = GroupBuilder()
    header = bytes(range(80))
    builder.reject(BASE_MS, "a.x", RejectReason.STALE, 5, header)
    builder.reject(BASE_MS + 1, "a.x", RejectReason.STALE, 6, b"")
    builder.add(BASE_MS + 2, "b", Job(101, 1 << 90), 9, 0x1D00FFFF)
    builder.mark_block("ab" * 32, 101, 5_000_000_000, 1 << 90, BASE_MS + 2)
    decoded = decode(1, builder.finish("p", "e", 3, b"x" * 32))
    assert decoded.rejects == [("a.x", RejectReason.STALE, 2, 11)]
    assert decoded.rejected == [(BASE_MS, "a.x", RejectReason.STALE, 5, header)]
    (mark,) = decoded.blocks
    assert mark == (0, "ab" * 32, 101, 5_000_000_000, 1 << 90, BASE_MS + 2, "b")
    assert decoded.block_position(mark) == (1, 0)
    assert [share.is_block for share in decoded.shares()] == [True]


def test_a_group_is_full_before_its_tables_overflow():
    builder = GroupBuilder()
    worker = 0
    while not builder.full:
        for reason in RejectReason:
            if not builder.full:
                builder.reject(BASE_MS, f"w{worker}", reason, 1, b"")
        worker += 1
    builder.add(BASE_MS, "good", Job(1, 1), 1, 0)
    decoded = decode(1, builder.finish("p", "e", 1, GENESIS_HASH))
    assert len(decoded.rejects) == 0xFFFF

    builder = GroupBuilder()
    while not builder.full:
        builder.add(BASE_MS, "x" * 255 + str(builder.count), Job(1, 1), 1, 0)
    decoded = decode(1, builder.finish("p", "e", 1, GENESIS_HASH))
    assert len(decoded.workers) > 65_000


def test_a_clock_that_is_set_back_never_reorders_shares():
    builder = GroupBuilder()
    for offset in (10, 5, 200_000, 12):
        builder.add(BASE_MS + offset, "w", Job(1, 1), 1, 0)
    decoded = decode(1, builder.finish("p", "e", 1, GENESIS_HASH))
    assert [s.time_ms - BASE_MS for s in decoded.shares()] == [10, 10, 65_545, 65_545]


@given(st.data())
def test_any_changed_byte_is_seen(data):
    builder = GroupBuilder()
    builder.add(BASE_MS, "worker", Job(1, 1), 77, 0)
    group = builder.finish("p", "e", 1, GENESIS_HASH)
    at = data.draw(st.integers(0, len(group.payload) - 1))
    flipped = group.payload[at] ^ data.draw(st.integers(1, 255))
    payload = group.payload[:at] + bytes((flipped,)) + group.payload[at + 1 :]
    assert not verify_hash(group._replace(payload=payload))
    assert not verify_hash(group._replace(sequence=2))
    assert not verify_hash(group._replace(edge="f"))


@given(st.binary(max_size=200))
def test_nonsense_is_a_typed_error(payload):
    builder = GroupBuilder()
    builder.add(BASE_MS, "worker", Job(1, 1), 77, 0)
    group = builder.finish("p", "e", 1, GENESIS_HASH)._replace(payload=payload)
    with pytest.raises(ShareLogCorruptError):
        decode(1, group)
