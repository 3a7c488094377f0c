from __future__ import annotations

from millpond.intents import IntentState
from tests.chains.evm.tx.scene import GIFT, Scene


async def test_a_gift_is_signed_stored_sent_and_settled_when_it_is_deep_enough(scene: Scene):
    intent = await scene.give()
    await scene.work()
    assert (await scene.get(intent)).state is IntentState.SENT
    scene.node.mine()
    await scene.work(1)
    assert (await scene.get(intent)).state is IntentState.CONFIRMED
    scene.node.mine(2)
    await scene.work(1)
    done = await scene.get(intent)
    assert done.state is IntentState.SETTLED
    assert scene.node.balance(scene.given["k"]) == GIFT
    assert await scene.donor_has() == 99
