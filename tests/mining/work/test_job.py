"""Coinbase, merkle branch and notify fields are those that daemons and miners expect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.chains.bitcoin.wire import compact
from millpond.chains.coins import coin_named
from millpond.mining.work import (
    CoinbaseOutput,
    InvalidJobError,
    Template,
    assemble_block,
    build_job,
)
from millpond.mining.work.block import with_witness
from millpond.mining.work.reference import sha256d
from millpond.mining.work.serialize import script_number, stratum_prev_hash
from tests.mining.work.gbt import COMMITMENT, gbt, transaction

BITCOIN = coin_named("bitcoin")
SCRIPT = bytes.fromhex("0014" + "11" * 20)
OTHER = bytes.fromhex("a914" + "22" * 20 + "87")


def job_of(outputs=None, tag=b"/Millpond/", extranonce_size=12, coin=BITCOIN, **changes):
    template = Template.from_gbt(gbt(**changes), coin)
    return build_job(
        template, "1", outputs or [CoinbaseOutput(SCRIPT)], tag=tag, extranonce_size=extranonce_size
    )


@pytest.mark.parametrize(
    ("height", "script"),
    [
        (0, "00"), (1, "51"), (2, "52"), (15, "5f"), (16, "60"), (17, "0111"), (127, "017f"),
        (128, "028000"), (255, "02ff00"), (256, "020001"), (32767, "02ff7f"), (32768, "03008000"),
        (227_931, "035b7a03"), (8388607, "03ffff7f"), (8388608, "0400008000"),
        (0x7FFFFFFF, "04ffffff7f"),
    ],
)  # fmt: skip
def test_heights_are_the_shortest_script_numbers(height, script):
    """227,931 is the first block that Bitcoin demanded it of (BIP 34)."""
    assert script_number(height).hex() == script


@given(st.integers(17, 0x7FFFFFFF))
def test_a_height_reads_back_as_a_positive_script_number(height):
    script = script_number(height)
    assert script[0] == len(script) - 1
    assert int.from_bytes(script[1:], "little", signed=True) == height
    assert script[-1] != 0 or script[-2] & 0x80


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, "00"), (252, "fc"), (253, "fdfd00"), (65535, "fdffff"), (65536, "fe00000100"),
     (1 << 32, "ff0000000001000000")],
)  # fmt: skip
def test_lengths_are_compacts(value, data):
    assert compact(value).hex() == data


def test_the_coinbase_is_a_transaction_as_documented():
    job = job_of(coinbaseaux={"flags": "aabb"})
    coinbase = job.coinbase(b"\x01\x02\x03\x04", b"\x05" * 8)
    script = (
        "03" + "00350c"  # height 800,000
        "aabb"  # coinbaseaux
        "0c" + "01020304" + "05" * 8  # extranonces
        + "0a" + b"/Millpond/".hex()
    )  # fmt: skip
    assert coinbase.hex() == (
        "02000000" + "01" + "00" * 32 + "ffffffff" + f"{len(script) // 2:02x}" + script + "ffffffff"
        + "02" + (312_503_003).to_bytes(8, "little").hex() + "16" + SCRIPT.hex()
        + "00" * 8 + "26" + COMMITMENT + "00000000"
    )  # fmt: skip
    assert job.coinbase_txid(b"\x01\x02\x03\x04", b"\x05" * 8) == sha256d(coinbase)[::-1].hex()


def test_the_merkle_root_of_the_genesis_coinbase_alone_is_its_txid():
    """Bitcoin's first coinbase hashes to the merkle root of the first block."""
    coinbase = bytes.fromhex(
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff"
        "001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e"
        "6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104"
        "678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51e"
        "c112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
    )
    job = job_of(transactions=[])
    handle = job.proof.prepare(coinbase[:50], coinbase[54:], b"", bytes(32), 0x1D00FFFF, bytes(32))
    header = handle.header(coinbase[50:52], coinbase[52:54], 0x495FAB29, 2083236893, 1)
    assert sha256d(header)[::-1].hex() == (
        "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    )


def test_a_block_without_witness_data_has_the_commitment_of_bip_141():
    """Root of the zero hash alone, with the zero reserved value: the usual constant."""
    assert sha256d(bytes(64)).hex() == COMMITMENT[12:]


def test_notify_fields_are_in_stratum_byte_order():
    job = job_of()
    display = gbt()["previousblockhash"]
    words = [display[i : i + 8] for i in range(0, 64, 8)]
    assert job.notify.prev_hash == "".join(reversed(words))
    assert job.notify.prev_hash == stratum_prev_hash(job.prev_hash)
    assert (job.notify.version, job.notify.bits, job.notify.ntime) == (
        "20000000", "207fffff", f"{1_700_000_600:08x}",
    )  # fmt: skip
    assert job.notify.coinbase1 + "00" * 12 + job.notify.coinbase2 == (
        job.coinbase(bytes(4), bytes(8)).hex()
    )
    assert job.notify.merkle_branch == [level.hex() for level in job.merkle_branch]


def test_a_miner_that_builds_from_notify_gets_the_header_that_is_checked():
    job = job_of()
    notify = job.notify
    root = sha256d(bytes.fromhex(notify.coinbase1 + "aabbccdd" + "01" * 8 + notify.coinbase2))
    for sibling in notify.merkle_branch:
        root = sha256d(root + bytes.fromhex(sibling))
    words = bytes.fromhex(notify.prev_hash)
    header = (
        bytes.fromhex(notify.version)[::-1]
        + b"".join(words[i : i + 4][::-1] for i in range(0, 32, 4))
        + root
        + bytes.fromhex(notify.ntime)[::-1]
        + bytes.fromhex(notify.bits)[::-1]
        + (77).to_bytes(4, "little")
    )
    assert header == job.work.header(
        bytes.fromhex("aabbccdd"), b"\x01" * 8, 1_700_000_600, 77, 0x20000000
    )


def test_outputs_pay_exactly_the_coinbase_value():
    value = gbt()["coinbasevalue"]
    job = job_of([CoinbaseOutput(OTHER, 1000), CoinbaseOutput(SCRIPT), CoinbaseOutput(OTHER, 7)])
    assert job.outputs == ((OTHER, 1000), (SCRIPT, value - 1007), (OTHER, 7))
    exact = job_of([CoinbaseOutput(OTHER, value - 5), CoinbaseOutput(SCRIPT, 5)])
    assert sum(amount for _, amount in exact.outputs) == value


@pytest.mark.parametrize(
    "outputs",
    [
        [CoinbaseOutput(SCRIPT, 5)],
        [CoinbaseOutput(SCRIPT, 1 << 60)],
        [CoinbaseOutput(SCRIPT, -1), CoinbaseOutput(OTHER)],
        [CoinbaseOutput(SCRIPT, 1 << 60), CoinbaseOutput(OTHER)],
        [CoinbaseOutput(SCRIPT), CoinbaseOutput(OTHER)],
        [CoinbaseOutput(b"")],
        [CoinbaseOutput(bytes(10_001))],
        [CoinbaseOutput(SCRIPT, 0)] * 2001,
    ],
)
def test_outputs_that_do_not_fit_are_refused(outputs):
    with pytest.raises(InvalidJobError):
        job_of(outputs)


@pytest.mark.parametrize(
    "changes",
    [{"tag": b"x" * 76}, {"extranonce_size": 3}, {"extranonce_size": 33},
     {"tag": b"x" * 70, "extranonce_size": 32}, {"coinbaseaux": {"flags": "00" * 80}}],
)  # fmt: skip
def test_a_script_longer_than_100_bytes_is_refused(changes):
    with pytest.raises(InvalidJobError):
        job_of(**changes)


def test_the_longest_script_that_is_allowed_passes():
    job = job_of(tag=b"x" * 75, extranonce_size=19)
    assert job.coinbase1[41] == 100


def test_a_block_is_header_count_coinbase_and_the_transactions_as_given():
    job = job_of()
    header, coinbase = bytes(range(80)), job.coinbase(bytes(4), bytes(8))
    block = assemble_block(job, coinbase, header)
    witness = coinbase[:4] + b"\x00\x01" + coinbase[4:-4] + b"\x01\x20" + bytes(32) + bytes(4)
    data = b"".join(bytes.fromhex(transaction(n)["data"]) for n in range(3))
    assert block == header + b"\x04" + witness + data
    assert with_witness(coinbase) == witness


def test_a_block_without_commitment_has_a_coinbase_without_witness():
    job = job_of(default_witness_commitment=..., transactions=300)
    coinbase = job.coinbase(bytes(4), bytes(8))
    block = assemble_block(job, coinbase, bytes(80))
    assert block[80:83] == bytes.fromhex("fd2d01")
    assert block[83 : 83 + len(coinbase)] == coinbase


def test_an_extension_block_goes_behind_the_transactions():
    job = job_of(coin=coin_named("litecoin"), mweb="c0ffee")
    block = assemble_block(job, job.coinbase(bytes(4), bytes(8)), bytes(80))
    assert block.endswith(bytes.fromhex(transaction(2)["data"] + "01c0ffee"))
