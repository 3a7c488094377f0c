"""The edge from template to stored share and submitted block, and through outages."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from millpond.chains.bitcoin.address import script_pubkey
from millpond.chains.bitcoin.daemons import DaemonSet
from millpond.chains.bitcoin.health import HealthSettings
from millpond.chains.bitcoin.wallet import Wallet
from millpond.clock import SeededEntropy
from millpond.mining.edge import Edge, EdgeCollector, EdgeSettings, pool_address
from millpond.mining.sharelog.backend import NewCandidate
from millpond.mining.sharelog.errors import ShareLogTakenError
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.mining.sharelog.settings import ShareLogSettings
from millpond.mining.stratum import ListenerSettings, VardiffSettings
from millpond.ops.system import SystemClock
from tests.chains.blocks import BlockPlan
from tests.chains.daemons import DevchainDaemon
from tests.support.stratum import StratumMiner

EASY = 2.0**-32
HEALTH = HealthSettings(
    interval_s=0.1, backoff_s=0.1, backoff_max_s=0.2, recover_after=1, submit_retry_s=0.05
)


@pytest.fixture
def devchain():
    """A chain of its own for a test that takes it down."""
    with DevchainDaemon() as daemon:
        daemon.fund()
        yield daemon


class Rig:
    """An edge at a daemon, and a miner's way to it."""

    def __init__(self, daemon: DevchainDaemon, directory: Path, **settings) -> None:
        self.clock = SystemClock()
        self.daemons = DaemonSet([daemon.endpoint()], daemon.coin, self.clock, HEALTH)
        self.url = f"sqlite:///{directory}/shares.db"
        self.address = daemon.miner_address
        self.edge = Edge(
            EdgeSettings(
                pool_id="p",
                listeners=settings.pop("listeners", (ListenerSettings(port=0),)),
                vardiff=VardiffSettings(start=EASY, minimum=EASY),
                sharelog=ShareLogSettings(url=self.url, retry_s=0.5),
                retry_s=0.05,
                **settings,
            ),
            coin=daemon.coin,
            daemons=self.daemons,
            payout_address=self.address,
            clock=self.clock,
            entropy=SeededEntropy(3),
        )

    async def __aenter__(self):
        self.registry = CollectorRegistry()
        self.stop = asyncio.Event()
        self.watching = asyncio.create_task(self.daemons.run(self.stop))
        await self.edge.start()
        self.registry.register(EdgeCollector(self.edge))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.edge.stop()
        self.stop.set()
        await self.watching
        await self.daemons.close()

    def miner(self) -> StratumMiner:
        algorithm = self.edge.coin.proof_of_work
        port = self.edge.ports[0]
        return StratumMiner("127.0.0.1", port, f"{self.address}.rig", algorithm)

    async def until(self, condition) -> None:
        """Wait for something that another process or task brings about; bounded."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)


async def test_blocks_are_found_accepted_marked_and_kept(devchain, tmp_path: Path):
    height = devchain.rpc("getblockcount")
    async with Rig(devchain, tmp_path) as rig, rig.miner() as miner:
        while rig.edge.blocks.accepted < 3:
            job = await miner.job()
            if not await miner.share(block=True):
                continue
            await rig.until(lambda job=job: miner._job is not job)
        snapshot = rig.edge.snapshot()
        assert (snapshot.connections, snapshot.miners, snapshot.not_ready) == (1, 1, ())
        assert snapshot.height > height + 2
        assert b"millpond_edge_accepted_blocks_total" in generate_latest(rig.registry)
    assert devchain.rpc("getblockcount") >= height + 3
    reader = await ShareLogReader.open(rig.url)
    groups = await reader.groups("p", None)
    marks = [mark for group in groups for mark in group.blocks]
    for mark in marks:
        assert devchain.rpc("getblockhash", mark.height) == mark.block_hash
        assert mark.worker == miner.worker
    candidates = await reader.block_candidates("p")
    assert {c.block_hash for c in candidates} == {mark.block_hash for mark in marks}
    assert {c.state for c in candidates} == {"accepted"}
    assert await reader.count("p") == miner.tally.accepted
    await reader.close()


async def test_a_block_from_elsewhere_makes_the_work_stale_at_once(devchain, tmp_path: Path):
    async with Rig(devchain, tmp_path) as rig, rig.miner() as miner:
        old = await miner.job()
        devchain.rpc("generatetoaddress", 1, rig.address)
        rig.edge.poke()
        await rig.until(lambda: miner._job.previous_hash != old.previous_hash)
        miner._job = old
        assert not await miner.share()
        assert miner.tally.rejected[0][0] == 21


async def test_a_daemon_outage_is_told_survived_and_ends_the_work_in_time(devchain, tmp_path: Path):
    async with (
        Rig(devchain, tmp_path, refresh_s=0.05, template_max_age_s=1.0) as rig,
        rig.miner() as miner,
    ):
        await miner.job()
        devchain.kill()
        await rig.until(lambda: rig.edge.feed.failures)
        assert rig.edge.not_ready() == []
        await rig.until(rig.edge.not_ready)
        assert rig.edge.snapshot().height == 0
        assert not await miner.share()
        devchain.start()
        await rig.until(lambda: not rig.edge.not_ready())
        await rig.until(lambda: rig.edge.server.board.current.name == miner._job.job_id)
        assert await miner.share() or miner.tally.rejected[-1][0] in {21, 23}


async def test_a_block_found_while_no_daemon_answers_is_submitted_after_a_restart(
    devchain, tmp_path: Path
):
    async with Rig(devchain, tmp_path) as rig, rig.miner() as miner:
        await miner.job()
        devchain.kill()
        assert await miner.share(block=True)
        await rig.until(lambda: rig.edge.blocks.found)
    devchain.start()
    before = devchain.rpc("getblockcount")
    async with Rig(devchain, tmp_path) as rig:
        await rig.until(lambda: rig.edge.blocks.accepted)
    assert devchain.rpc("getblockcount") == before + 1
    reader = await ShareLogReader.open(rig.url)
    (candidate,) = await reader.block_candidates("p")
    assert candidate.state == "accepted"
    assert devchain.rpc("getbestblockhash") == candidate.block_hash
    await reader.close()


async def test_a_block_that_came_second_is_not_submitted_for_ever(devchain, tmp_path: Path):
    async with Rig(devchain, tmp_path) as rig:
        template = await rig.daemons.get_block_template()
        first, second = (
            BlockPlan(rig.edge.coin, template, script_pubkey(rig.address, rig.edge.coin), tag=tag)
            for tag in (b"/a/", b"/b/")
        )
        assert devchain.rpc("submitblock", first.build()) is None
        block = bytes.fromhex(second.build())
        late = NewCandidate(second.hash, second.height, "w", rig.clock.now_ms(), block)
        rig.edge.blocks._begin(late, new=True)
        await rig.until(lambda: not rig.edge.blocks._under_way)
        assert not rig.edge.blocks.unsettled
        assert await rig.edge.writer.open_candidates() == []
    reader = await ShareLogReader.open(rig.url)
    (candidate,) = await reader.block_candidates("p")
    assert candidate.state == "beside"
    await reader.close()


async def test_a_second_edge_of_the_same_name_is_refused(devchain, tmp_path: Path):
    async with Rig(devchain, tmp_path):
        second = Rig(devchain, tmp_path)
        with pytest.raises(ShareLogTakenError):
            await second.edge.start()
        await second.daemons.close()


async def test_a_port_that_is_taken_lets_go_of_the_log(devchain, tmp_path: Path):
    async with Rig(devchain, tmp_path / "first") as first:
        taken = Rig(devchain, tmp_path, listeners=(ListenerSettings(port=first.edge.ports[0]),))
        with pytest.raises(OSError, match="in use"):
            await taken.edge.start()
        await taken.daemons.close()
    async with Rig(devchain, tmp_path) as again:
        assert again.edge.writer.available


async def test_stopping_answers_what_was_read(devchain, tmp_path: Path):
    async with Rig(devchain, tmp_path) as rig, rig.miner() as miner:
        await miner.job()
        shares = asyncio.gather(*(miner.share() for _ in range(20)))
        await rig.until(lambda: rig.edge.writer.waiting or rig.edge.server.stats.accepted)
        await rig.edge.stop()
        await asyncio.gather(shares, return_exceptions=True)
    reader = await ShareLogReader.open(rig.url)
    assert await reader.count("p") >= miner.tally.accepted
    assert (await reader.verify("p")).faults == []
    await reader.close()


async def test_the_pools_address_is_asked_for_once(devchain, tmp_path: Path):
    wallet = Wallet(devchain.endpoint(), devchain.coin, name="miner")
    await wallet.open()
    path = tmp_path / "pool" / "address"
    first = await pool_address(path, wallet, devchain.coin)
    assert await pool_address(path, wallet, devchain.coin) == first
    assert path.read_text() == first + "\n"
    assert [found.name for found in path.parent.iterdir()] == ["address"]
    await wallet.close()
