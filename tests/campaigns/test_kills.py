"""Kill after kill, fault after fault: no acknowledged share lost, no payment twice or lost.

`MILLPOND_CAMPAIGN_KILLS` sets how many kills (`make campaign`: 200); without
it a short form runs. `MILLPOND_CAMPAIGN_SEED` replays a run's choices.
"""

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from millpond.chains.bitcoin.address import encode_segwit
from millpond.chains.bitcoin.hashes import hash160
from millpond.chains.coins import coin_named
from millpond.intents.faults import FAULT_POINTS
from tests.campaigns.rig import Rig

KILLS = int(os.environ.get("MILLPOND_CAMPAIGN_KILLS", "12"))
SEED = int(os.environ.get("MILLPOND_CAMPAIGN_SEED", "1"))
WALLET = encode_segwit(0, hash160(b"campaign"), coin_named("devcoin"))
NETWORK = encode_segwit(0, hash160(b"network"), coin_named("devcoin"))

_QUIET = 10
"""Looks in a row that find nothing under way before it counts as at rest."""

# Points that every payout passes; the others need a refusal.
POINTS = tuple(point for point in FAULT_POINTS if not point.startswith("releas"))

DAEMON_FAULTS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("sendrawtransaction", "drop_after", {}),
    ("sendrawtransaction", "drop_before", {}),
    ("sendrawtransaction", "garbage", {}),
    ("sendrawtransaction", "error", {"rpc_code": -26, "message": "mempool full"}),
    ("submitblock", "drop_after", {}),
    ("submitblock", "delay", {"delay_s": 0.5}),
    ("getblocktemplate", "http_503", {"count": 3}),
    ("gettransaction", "garbage", {"count": 2}),
    ("getblockheader", "error", {"count": 3}),
    ("signrawtransactionwithwallet", "drop_after", {}),
)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, WALLET, NETWORK)
    yield made
    made.end()


class Campaign:
    """The acts of one run, chosen by a seed."""

    def __init__(self, rig: Rig, choice: random.Random) -> None:
        self.rig = rig
        self.choice = choice
        self._points = list(POINTS)

    def acts(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self.kill_edge,
            self.kill_worker_at_a_point,
            self.kill_worker,
            self.kill_worker_at_a_point,
            self.fault_and_kill_worker,
            self.kill_worker_at_a_point,
            self.kill_chain,
            self.reorganise_and_kill_edge,
            self.kill_all,
        ]

    async def pause(self) -> None:
        """A moment of random length in which the pool works."""
        await asyncio.sleep(self.choice.random() * 0.8)

    async def kill_edge(self) -> None:
        await self.pause()
        self.rig.kill("edge")
        self.rig.start("edge")
        await self.rig.more_shares()

    async def kill_worker(self) -> None:
        await self.pause()
        self.rig.kill("worker")
        self.rig.start("worker")
        await self.rig.ready("worker")

    async def kill_worker_at_a_point(self) -> None:
        """Let the worker kill itself at a step of a payout, each point in turn."""
        point = self._points.pop(self.choice.randrange(len(self._points)))
        self._points = self._points or list(POINTS)
        self.rig.kill("worker")
        self.rig.start("worker", kill_at=(point, 1))
        await self.rig.killed_itself("worker")
        self.rig.start("worker")
        await self.rig.ready("worker")

    async def fault_and_kill_worker(self) -> None:
        for method, mode, more in self.choice.sample(DAEMON_FAULTS, 3):
            self.rig.fault(method, mode, **more)
        await self.rig.more_shares()
        await self.kill_worker()

    async def kill_chain(self) -> None:
        await self.pause()
        self.rig.kill("devchain")
        self.rig.start("devchain")
        await self.rig.ready("devchain")
        await self.rig.more_shares()

    async def reorganise_and_kill_edge(self) -> None:
        if self.rig.chain("getblockcount") > 4:
            self.rig.chain("dev_reorg", self.choice.randint(1, 2), 1, NETWORK)
        await self.kill_edge()

    async def kill_all(self) -> None:
        await self.pause()
        self.rig.kill("edge", "worker", "devchain")
        for part in ("devchain", "worker", "edge"):
            self.rig.start(part)
        await self.rig.more_shares()


async def settle(rig: Rig) -> list[dict[str, object]]:
    """End mining, and let the network mine on until nothing is under way."""
    await rig.stop_mining()
    rig.kill("edge")
    rig.chain("dev_clear_faults")
    quiet = 0
    for _ in range(300):
        await rig.network_block()
        rig.person_looks()
        _, under_way = rig.under_way()
        quiet = 0 if under_way else quiet + 1
        if quiet == _QUIET:
            break
    assert quiet == _QUIET, f"it never comes to rest: {rig.output()}"
    found: list[dict[str, object]] = json.loads(
        rig.command("payout", "list", "--json", "--limit", "1000").stdout
    )
    return found


@pytest.mark.slow
@pytest.mark.timeout(7_200)
async def test_kills_and_daemon_faults_lose_nothing_and_repeat_nothing(rig: Rig):
    choice = random.Random(SEED)
    campaign = Campaign(rig, choice)
    assert rig.command("init").returncode == 0
    for part in ("devchain", "worker", "edge"):
        rig.start(part)
        await rig.ready(part)
    rig.mine()
    await rig.more_shares()
    await rig.first_payout()
    while rig.kills < KILLS:
        for act in campaign.acts():
            await act()
            if rig.kills >= KILLS:
                break
    payouts = await settle(rig)

    logged = await rig.logged()
    for worker, tally in rig.tallies.items():
        # Between: shares that were stored, but whose answer died with the edge.
        assert tally.accepted <= logged.get(worker, 0) <= tally.sent, worker
    assert rig.accepted > 0

    settled = [payout for payout in payouts if payout["state"] == "settled"]
    on_chain = rig.paid_on_chain()
    assert len({payout["txid"] for payout in settled}) == len(settled) > 0
    booked = {str(p["txid"]): int(str(p["amount"])) - int(str(p["fee"])) for p in settled}
    assert on_chain == booked

    audit = rig.command("audit", "--json")
    rows = json.loads(audit.stdout)["rows"]
    assert [row for row in rows if row["verdict"] != "ok"] == []
    assert audit.returncode == 0
