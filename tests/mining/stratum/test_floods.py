"""One connection must not take the server from the others, nor stay for ever."""

import asyncio
import json
from typing import cast

import pytest

from millpond.clock import ManualClock
from millpond.mining.stratum import StratumLimits
from tests.mining.stratum.helpers import Pool

SUBMIT = json.dumps(
    {
        "id": 4,
        "method": "mining.submit",
        "params": ["wallet.a", "dead00", "0" * 8, "0" * 8, "0" * 8],
    }
)


@pytest.mark.parametrize(
    "line",
    ["", "  \r", '{"result":1}', '{"id":1,"method":"mining.ping"}', '{"method":"x"}', SUBMIT],
)
async def test_lines_that_are_no_good_shares_are_limited(line: str):
    async with Pool(limits=StratumLimits(max_talk=50)) as pool:
        other = await pool.miner("wallet.b")
        miner = await pool.miner("wallet.a")
        miner.send(line.encode() + b"\n" + (line.encode() + b"\n") * 100_000)
        async with asyncio.timeout(20):
            while pool.server.connections > 1:
                await asyncio.sleep(0)
        assert (await other.call("mining.ping"))["result"] == "pong"
        assert len(pool.log.rejects) <= 50


async def test_good_shares_are_not_talk():
    async with Pool(limits=StratumLimits(max_talk=50)) as pool:
        miner = await pool.miner()
        for _ in range(500):
            miner.send_request("mining.submit", *miner.share(pool.current))
        answers = [await miner.answer() for _ in range(500)]
        good = sum(answer["result"] is True for answer in answers)
        assert good >= 480


async def test_a_closing_connection_that_is_never_read_is_let_go():
    clock = ManualClock()
    limits = StratumLimits(max_write_buffer=50_000_000, max_talk=1_000_000)
    async with Pool(limits=limits, clock=clock) as pool:
        miner = await pool.miner()
        cast("asyncio.Transport", miner.writer.transport).pause_reading()
        for _ in range(30_000):
            pool.server.show_message("x" * 300)
        miner.send(b"y" * 10_000)
        # The clock is moved by the server's own pauses between its rounds.
        async with asyncio.timeout(20):
            while pool.server.connections:
                await asyncio.sleep(0)
