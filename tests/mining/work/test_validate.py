"""A share is accepted once, for the difficulty of its job, and never by a trick."""

import msgspec
import pytest

from millpond.chains.coins import coin_named
from millpond.mining.difficulty import ONE, bits_to_target, difficulty_to_target
from millpond.mining.work import (
    BIP320_MASK,
    Accepted,
    CoinbaseOutput,
    ProofOfWork,
    RejectCode,
    Rejected,
    Submission,
    Template,
    block_hash,
    build_job,
    check,
    parse_submission,
    proof_of_work,
    register,
)
from millpond.mining.work import pow as proofs
from tests.mining.work.gbt import gbt

DEVCOIN = coin_named("devcoin")
NOW = 1_700_000_600
FIRST = b"\x00\x00\x00\x01"
SECOND = bytes(8)
EASY = ONE >> 30
HARD_BITS = {"bits": "1d00ffff", "target": ...}


def job_of(**changes):
    template = Template.from_gbt(gbt(**(HARD_BITS | changes)), DEVCOIN)
    return build_job(template, "1", [CoinbaseOutput(b"\x51")])


def decide(job, *, second=SECOND, ntime=NOW, nonce=0, bits=None, seen=None, **changes):
    options = {"difficulty": 1, "version_mask": 0, "now_s": NOW} | changes
    return check(
        job, FIRST, Submission(second, ntime, nonce, bits),
        seen=set() if seen is None else seen, **options,
    )  # fmt: skip


def test_a_share_that_meets_its_difficulty_is_credited_with_it():
    job = job_of()
    verdicts = [decide(job, nonce=n, difficulty=EASY) for n in range(64)]
    limit = difficulty_to_target(EASY, DEVCOIN.difficulty_1_target)
    hashes = [
        proof_of_work("sha256d").hash_int(job.work.header(FIRST, SECOND, NOW, n, job.version))
        for n in range(64)
    ]
    assert [isinstance(v, Accepted) for v in verdicts] == [h <= limit for h in hashes]
    assert any(isinstance(v, Accepted) for v in verdicts)
    assert any(isinstance(v, Rejected) and v.code is RejectCode.LOW_DIFFICULTY for v in verdicts)
    for verdict, value in zip(verdicts, hashes, strict=True):
        if isinstance(verdict, Accepted):
            assert (verdict.difficulty, verdict.is_block, verdict.header) == (EASY, False, b"")
            assert verdict.hash == value
            assert bits_to_target(verdict.achieved_bits) <= value


def test_a_block_is_a_share_even_under_the_difficulty_asked_for():
    job = job_of(bits="207fffff")
    verdict = next(
        v for n in range(50) if isinstance(v := decide(job, nonce=n, difficulty=ONE), Accepted)
    )
    assert verdict.is_block
    assert verdict.difficulty == job.network_difficulty < ONE
    assert proof_of_work("sha256d").hash_header(verdict.header) == verdict.hash_le
    assert verdict.hash_hex == block_hash(verdict.header)


def test_the_same_share_passes_once():
    job = job_of()
    seen: set[bytes] = set()
    assert isinstance(decide(job, seen=seen), Accepted)
    again = decide(job, seen=seen)
    assert isinstance(again, Rejected)
    assert again.code is RejectCode.DUPLICATE
    assert int(again.code) == 22
    assert isinstance(decide(job, nonce=1, seen=seen), Accepted)
    assert isinstance(decide(job, second=b"\x01" * 8, seen=seen), Accepted)
    assert isinstance(decide(job, ntime=NOW + 1, seen=seen), Accepted)
    assert len(seen) == 4


def test_version_bits_that_change_nothing_do_not_pass_a_share_twice():
    job = job_of()
    seen: set[bytes] = set()
    assert isinstance(decide(job, seen=seen, version_mask=BIP320_MASK), Accepted)
    verdict = decide(job, bits=0, seen=seen, version_mask=BIP320_MASK)
    assert isinstance(verdict, Rejected)
    assert verdict.reason == "duplicate"


def test_a_share_of_too_low_difficulty_leaves_no_trace():
    job = job_of()
    seen: set[bytes] = set()
    verdict = decide(job, difficulty=ONE << 20, seen=seen)
    assert isinstance(verdict, Rejected)
    assert verdict.reason == "low-difficulty"
    assert not seen


@pytest.mark.parametrize("size", [0, 7, 9, 64, 70])
def test_extranonce2_has_exactly_its_length(size):
    verdict = decide(job_of(), second=bytes(size))
    assert isinstance(verdict, Rejected)
    assert (verdict.code, verdict.reason) == (20, "bad-extranonce2")


@pytest.mark.parametrize(
    ("ntime", "valid"),
    [(1_700_000_000, True), (1_699_999_999, False), (NOW + 7000, True), (NOW + 7001, False),
     (0, False), (0xFFFFFFFF, False)],
)  # fmt: skip
def test_header_time_stays_between_the_median_and_two_hours_ahead(ntime, valid):
    verdict = decide(job_of(), ntime=ntime)
    assert isinstance(verdict, Accepted) == valid
    if isinstance(verdict, Rejected):
        assert verdict.reason == "ntime-out-of-range"


def test_the_time_that_was_sent_is_good_even_if_our_clock_is_behind():
    assert isinstance(decide(job_of(), now_s=NOW - 100_000), Accepted)


def test_a_daemons_maxtime_is_kept():
    job = job_of(maxtime=NOW + 10)
    assert isinstance(decide(job, ntime=NOW + 10), Accepted)
    assert isinstance(decide(job, ntime=NOW + 11), Rejected)


def test_rolled_bits_within_the_mask_go_into_the_header():
    job = job_of(bits="207fffff")
    verdicts = [decide(job, nonce=n, bits=0x00402000, version_mask=BIP320_MASK) for n in range(64)]
    header = next(v.header for v in verdicts if isinstance(v, Accepted))
    assert int.from_bytes(header[:4], "little") == 0x20402000


@pytest.mark.parametrize(
    ("bits", "mask"), [(0x2000, 0), (0x80000000, BIP320_MASK), (1, BIP320_MASK)]
)
def test_rolled_bits_outside_the_mask_are_refused(bits, mask):
    verdict = decide(job_of(), bits=bits, version_mask=mask)
    assert isinstance(verdict, Rejected)
    assert (verdict.code, verdict.reason) == (20, "bad-version-bits")


def test_fields_of_any_case_are_the_same_submission():
    lower = parse_submission("00aabbcc", "655a3b2c", "deadbeef", "1fffe000")
    assert lower == parse_submission("00AABBCC", "655A3B2C", "DEADBEEF", "1FFFE000")
    assert lower == Submission(bytes.fromhex("00aabbcc"), 0x655A3B2C, 0xDEADBEEF, 0x1FFFE000)


@pytest.mark.parametrize(
    "fields",
    [
        ("00", "655a3b2", "deadbeef"), ("00", "655a3b2c0", "deadbeef"), ("0", "655a3b2c", "deadbeef"),
        ("00 ", "655a3b2c", "deadbeef"), ("00", " 55a3b2c", "deadbeef"), ("00", "655a3b2c", "dead beef"),
        ("00", "6 5a3b2c", "dead bee"), ("00", "0x5a3b2c", "deadbeef"), ("00", "655a3b2c", "-eadbeef"),
        ("00", "655a3b2c", "dead_eef"), ("zz", "655a3b2c", "deadbeef"),
        ("00", "655a3b2c", "deadbeef", ""), ("00", "655a3b2c", "deadbeef", "1fffe00"),
        ("00", "655a3b2c", "deadbeef", "1fffe0  "), ("00", "655a3b2c", "deadbeef", "1fffe00g"),
        ("00", "655a3b2c", "deadbeé0"),
    ],
)  # fmt: skip
def test_fields_that_are_not_hexadecimal_of_exact_length_are_malformed(fields):
    verdict = parse_submission(*fields)
    assert isinstance(verdict, Rejected)
    assert (verdict.code, verdict.reason) == (20, "malformed")


def test_a_registered_algorithm_needs_no_kernel(monkeypatch):
    monkeypatch.setattr(proofs, "_REGISTRY", dict(proofs._REGISTRY))
    register(ProofOfWork(name="reversed", hash_header=lambda header: proofs.sha256d(header)[::-1]))
    coin = msgspec.structs.replace(DEVCOIN, proof_of_work="reversed")
    template = Template.from_gbt(gbt(**HARD_BITS), coin)
    job = build_job(template, "1", [CoinbaseOutput(b"\x51")])
    verdict = decide(job)
    assert isinstance(verdict, Accepted)
    header = job.work.header(FIRST, SECOND, NOW, 0, job.version)
    assert verdict.hash_le == proofs.sha256d(header)[::-1]
    with pytest.raises(ValueError):
        register(proof_of_work("reversed"))


def test_an_unknown_algorithm_is_a_plain_error():
    with pytest.raises(proofs.UnknownProofOfWorkError) as caught:
        proof_of_work("nope")
    assert caught.value.code == "unknown_proof_of_work"
