"""Blocks made from litecoind's templates are accepted by litecoind."""

import pytest

from millpond.mining.difficulty import ONE
from millpond.mining.work import (
    Accepted,
    CoinbaseOutput,
    Submission,
    Template,
    assemble_block,
    block_hash,
    build_job,
    check,
)
from tests.chains.daemons import MWEB_HEIGHT, DaemonError, LitecoinDaemon

RULES = {"rules": ["segwit", "mweb"]}
FIRST = b"\xaa\xbb\xcc\xdd"


@pytest.fixture(scope="module")
def daemon():
    with LitecoinDaemon() as live:
        live.fund()
        yield live


def solve(daemon, outputs=None):
    """Build a job on the daemon's template and find a block of it."""
    template = Template.from_gbt(daemon.rpc("getblocktemplate", RULES), daemon.coin)
    script = bytes.fromhex(
        daemon.rpc("getaddressinfo", daemon.miner_address, wallet="miner")["scriptPubKey"]
    )
    job = build_job(template, "1", outputs or [CoinbaseOutput(script)], tag=b"/Millpond/")
    for nonce in range(1000):
        submission = Submission(b"\x01" * 8, template.curtime, nonce)
        verdict = check(
            job, FIRST, submission, difficulty=ONE, version_mask=0, now_s=template.curtime, seen=set()
        )  # fmt: skip
        if isinstance(verdict, Accepted) and verdict.is_block:
            return job, verdict, job.coinbase(FIRST, submission.extranonce2)
    raise AssertionError("an easy target was not met in a thousand tries")


def accepted(daemon, job, verdict, coinbase):
    """Submit and return the block as the daemon sees it."""
    block = assemble_block(job, coinbase, verdict.header)
    assert daemon.rpc("submitblock", block.hex()) is None
    assert daemon.rpc("getbestblockhash") == block_hash(verdict.header)
    return daemon.rpc("getblock", block_hash(verdict.header), 2)


def test_a_block_with_payments_is_accepted_before_the_extension_block(daemon):
    paid = daemon.pay(daemon.rpc("getnewaddress", wallet="miner"), 5 * 10**8)
    job, verdict, coinbase = solve(daemon)
    assert job.template.extension_block is None
    block = accepted(daemon, job, verdict, coinbase)
    assert block["tx"][0]["txid"] == job.coinbase_txid(FIRST, b"\x01" * 8)
    assert paid in [transaction["txid"] for transaction in block["tx"][1:]]


def test_a_block_with_many_payees_pays_each_of_them(daemon):
    payees = [CoinbaseOutput(b"\x00\x14" + bytes([n % 256]) * 20, 1000 + n) for n in range(300)]
    rest = CoinbaseOutput(b"\x00\x14" + b"\xee" * 20)
    block = accepted(daemon, *solve(daemon, [*payees, rest]))
    values = [int(output["value"] * 10**8) for output in block["tx"][0]["vout"]]
    assert values[:300] == [1000 + n for n in range(300)]


def test_blocks_are_accepted_with_the_extension_block_and_checked_heights(daemon):
    """The extension block is active from 432, the coinbase's height is checked from 500."""
    daemon.mine_to(MWEB_HEIGHT)
    for height in (MWEB_HEIGHT + 1, 500, 501):
        daemon.mine_to(height - 1)
        daemon.pay(daemon.rpc("getnewaddress", wallet="miner"), 10**8)
        job, verdict, coinbase = solve(daemon)
        assert job.height == height
        assert job.template.extension_block is not None
        block = accepted(daemon, job, verdict, coinbase)
        assert len(block["tx"]) >= 3


def test_the_daemon_refuses_a_block_without_its_extension_block(daemon):
    daemon.mine_to(MWEB_HEIGHT)
    job, verdict, coinbase = solve(daemon)
    block = assemble_block(job, coinbase, verdict.header)
    extension = job.template.extension_block
    assert extension is not None
    with pytest.raises(DaemonError):
        daemon.rpc("submitblock", block[: -len(extension) - 1].hex())
    accepted(daemon, job, verdict, coinbase)
