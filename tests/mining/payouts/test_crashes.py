"""A worker that dies anywhere on the way leaves every miner paid once by a real daemon."""

from __future__ import annotations

import pytest

from millpond.chains.bitcoin.wallet import Wallet
from millpond.intents import IntentState, Runner
from millpond.intents.faults import FAULT_POINTS
from millpond.mining.payouts import PayoutState
from millpond.store import Store
from tests.chains.daemons import LiveDaemon
from tests.mining.payouts.scene import LTC, PayoutScene


class DiedError(Exception):
    """The worker is no more."""


class DieAt:
    """Dies when a named point is reached for the first time."""

    def __init__(self, point: str) -> None:
        self.point = point

    def reach(self, point: str) -> None:
        if point == self.point:
            self.point = ""
            raise DiedError(point)


@pytest.mark.parametrize("daemon", ["devchain", "litecoind"], indirect=True)
async def test_a_death_at_any_point_pays_once(
    store: Store, daemon: LiveDaemon, pool_wallet_of: Wallet
):
    daemon.mine(1)
    scene = PayoutScene(store, daemon.coin, pool_wallet_of)
    await scene.top_up(50 * LTC)
    payee = Wallet(daemon.endpoint(), daemon.coin, name=f"payee-{store.dialect}")
    await payee.open()
    died = []
    owed: dict[str, int] = {}
    for number, point in enumerate(p for p in FAULT_POINTS if not p.startswith("releas")):
        wallet = await payee.new_address()
        owed[wallet] = LTC + number
        await scene.credit(wallet, owed[wallet])
        payout = await scene.request(wallet)
        await scene.run.run_once(automatic=False)
        mortal = Runner(scene.intents, [scene.handler], point, faults=DieAt(point))
        try:
            for _ in range(4):
                await mortal.run_once()
                daemon.mine(1)
                scene.clock.advance(1)
        except DiedError:
            died.append(point)
        scene.clock.advance(scene.handler.policy.lease_ms / 1000)
        for _ in range(6):
            await scene.drain(6)
            daemon.mine(1)
        done = await scene.get(payout)
        assert (point, done.state) == (point, PayoutState.SETTLED)
        owed[wallet] -= done.fee
    receipts = (await payee.received_since()).receipts
    assert len(receipts) == len(owed)
    assert {receipt.address: receipt.sat for receipt in receipts} == owed
    assert len(died) == len(owed), "every point was a place to die"
    assert {i.state for i in await scene.intents_listed()} == {IntentState.SETTLED}
    await scene.assert_books_hold()
    await payee.close()
