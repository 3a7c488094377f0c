"""The built-in miner and our own Stratum server, over real sockets."""

import asyncio
import io

import pytest

from millpond.chains.coins import coin_named
from millpond.clock import SeededEntropy
from millpond.mining.miner import MinerRun, PlainReporter, run_miner
from millpond.mining.stratum import VardiffSettings
from millpond.ops.system import SystemClock
from tests.mining.stratum.helpers import Pool


async def eventually(condition):
    """Give the miner's threads time; the test's own limit ends a wait in vain."""
    while not condition():
        await asyncio.sleep(0.005)


async def mine(pool, until, **changes):
    """Run a miner until the condition holds; returns what it said."""
    output, stop = io.StringIO(), asyncio.Event()
    settings = MinerRun(
        **(
            {
                "url": f"127.0.0.1:{pool.port}",
                "user": "wallet.rig",
                "algorithm": pool.coin.proof_of_work,
                "load": 0.5,
            }
            | changes
        )
    )
    running = asyncio.create_task(
        run_miner(
            settings, SystemClock(), SeededEntropy(2), stop=stop, reporter=PlainReporter(output)
        )
    )
    await eventually(lambda: until() or running.done())
    stop.set()
    return await running, output.getvalue()


@pytest.mark.parametrize(("coin", "start"), [("devcoin", 2.0**-18), ("devcoin-scrypt", 2.0**-11)])
async def test_every_share_is_taken_by_our_server(coin, start):
    async with Pool(coin=coin_named(coin)) as pool:
        code, said = await mine(
            pool, lambda: len(pool.log.shares) >= 30, threads=2, password=f"d={start!r}"
        )
    assert code == 0
    assert not pool.log.rejects
    assert {share[0] for share in pool.log.shares} == {"wallet.rig"}
    assert {share[2] for share in pool.log.shares} == {round(start * 2**32)}
    assert "rejected 0" in said.splitlines()[-1]


async def test_shares_stay_good_while_the_difficulty_rises_and_jobs_change():
    vardiff = VardiffSettings(start=2.0**-24, minimum=2.0**-32, target_s=0.05)
    async with Pool(vardiff=vardiff) as pool:
        changed: list[object] = []

        def enough():
            if len(pool.log.shares) > 5 * (len(changed) + 1) and len(changed) < 2:
                changed.append(pool.job())
            difficulties = {share[2] for share in pool.log.shares}
            return len(difficulties) > 1 and len(pool.log.shares) > 15

        code, _ = await mine(pool, enough)
    assert code == 0
    assert not pool.log.rejects
    assert max(share[2] for share in pool.log.shares) > 2**8


async def test_blocks_of_an_easy_network_reach_the_submitter():
    async with Pool() as pool:
        pool.job(bits="207fffff", prev="22" * 32, height=101)
        code, said = await mine(pool, lambda: len(pool.blocks) >= 3)
    assert code == 0
    assert "found a block" in said
    assert not {name for _, name, _ in pool.log.rejects} - {"STALE"}
