"""Blocks made from the devchain's templates are accepted by the devchain."""

import pytest

from tests.chains.daemons import DevchainDaemon
from tests.mining.work.test_litecoind import FIRST, accepted, solve


@pytest.mark.parametrize("coin", ["devcoin", "devcoin-scrypt"])
def test_blocks_from_the_first_height_on_are_accepted(coin):
    """Heights up to 16 have their own form in the coinbase."""
    with DevchainDaemon(coin) as daemon:
        for _ in range(20):
            height = daemon.height() + 1
            job, verdict, coinbase = solve(daemon)
            assert job.height == height
            block = accepted(daemon, job, verdict, coinbase)
            assert block["tx"][0]["txid"] == job.coinbase_txid(FIRST, b"\x01" * 8)
        assert daemon.height() >= 20


def test_a_block_with_payments_is_accepted():
    with DevchainDaemon() as daemon:
        daemon.fund()
        paid = daemon.pay(daemon.rpc("getnewaddress", wallet="miner"), 10**8)
        block = accepted(daemon, *solve(daemon))
        assert paid in [transaction["txid"] for transaction in block["tx"][1:]]
