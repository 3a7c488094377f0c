"""Cases of sending: what a node may answer, and what becomes of the intent."""

from __future__ import annotations

from millpond.chains.evm.tx.model import AttemptState
from millpond.intents import IntentState as S
from tests.chains.evm.tx import proxy
from tests.chains.evm.tx.scene import GIFT, Scene, settings

SEND = "eth_sendRawTransaction"


async def plain(scene: Scene) -> None:
    """Signed, stored, sent, in a block, settled when it is deep enough."""
    intent = await scene.give()
    await scene.work()
    assert await scene.state(intent) is S.SENT
    scene.node.mine()
    await scene.work(1)
    assert await scene.state(intent) is S.CONFIRMED
    scene.node.mine(2)
    await scene.work(1)
    done = await scene.get(intent)
    assert (done.state, done.depth) == (S.SETTLED, 3)
    (attempt,) = await scene.attempts()
    assert (attempt.state, attempt.sends) == (AttemptState.MINED, 1)
    await scene.assert_given("k")


async def reply_lost(scene: Scene) -> None:
    """The node has it and the answer is lost: found by looking, not sent twice."""
    scene.proxy.once(SEND, proxy.lose_reply, proxy.lose_reply)
    intent = await scene.give()
    await scene.work()
    assert await scene.state(intent) is S.SENDING
    await scene.work(2)
    assert await scene.state(intent) is S.SENT
    await scene.finish(intent)
    assert [attempt.sends for attempt in await scene.attempts()] == [1]
    await scene.assert_given("k")


async def request_lost(scene: Scene) -> None:
    """It never arrived: the same bytes again, after the patience."""
    scene.proxy.once(SEND, proxy.cut, proxy.cut)
    intent = await scene.give()
    await scene.work()
    await scene.work(2)
    await scene.finish(intent)
    (attempt,) = await scene.attempts()
    assert attempt.sends == 2
    await scene.assert_given("k")


async def already_known(scene: Scene) -> None:
    """ "already known" is as good as accepted."""
    scene.proxy.once(SEND, proxy.error("already known", delivered=True))
    intent = await scene.give()
    await scene.work()
    assert await scene.state(intent) is S.SENT
    await scene.finish(intent)
    await scene.assert_given("k")


async def nonce_too_low_after_success(scene: Scene) -> None:
    """ "nonce too low" because it is mined already: looked up, not failed."""
    scene.proxy.once(SEND, proxy.error("nonce too low", delivered=True))
    intent = await scene.give()
    await scene.work()
    scene.node.mine()
    await scene.work(2)
    assert await scene.state(intent) is S.CONFIRMED
    await scene.finish(intent)
    await scene.assert_given("k")


async def server_error(scene: Scene) -> None:
    """A gateway's 502 after the node has taken it."""
    bad = proxy.status(502, "bad gateway", delivered=True)
    scene.proxy.once(SEND, bad, bad)
    intent = await scene.give()
    await scene.work()
    await scene.finish(intent)
    assert [attempt.sends for attempt in await scene.attempts()] == [1]
    await scene.assert_given("k")


async def nonsense(scene: Scene) -> None:
    """An answer that is no JSON: nobody knows, so it is looked up."""
    bad = proxy.status(200, '{"jsonrpc": "2.0", "id"')
    scene.proxy.once(SEND, bad, bad)
    intent = await scene.give()
    await scene.work()
    assert await scene.state(intent) is S.SENDING
    await scene.finish(intent)
    await scene.assert_given("k")


async def another_hash(scene: Scene) -> None:
    """The node names another transaction than was sent: nobody knows."""
    bad = proxy.result("0x" + "11" * 32)
    scene.proxy.once(SEND, bad, bad)
    intent = await scene.give()
    await scene.work()
    assert await scene.state(intent) is S.SENDING
    await scene.finish(intent)
    await scene.assert_given("k")


async def rate_limited(scene: Scene) -> None:
    """429: not taken, asked again later."""
    scene.proxy.once(SEND, proxy.status(429), proxy.status(429))
    intent = await scene.give()
    await scene.work()
    assert await scene.state(intent) is S.SENDING
    await scene.finish(intent)
    await scene.assert_given("k")


async def pool_full(scene: Scene) -> None:
    """The node's pool is full: sent again later, not failed."""
    scene.proxy.once(SEND, proxy.error("txpool is full"))
    intent = await scene.give()
    await scene.work()
    await scene.finish(intent)
    await scene.assert_given("k")


async def nonce_too_high(scene: Scene) -> None:
    """The node does not queue after a gap: sent again later, not failed."""
    scene.proxy.once(SEND, proxy.error("nonce too high"))
    intent = await scene.give()
    await scene.work()
    await scene.finish(intent)
    await scene.assert_given("k")


async def replacement_underpriced(scene: Scene) -> None:
    """ "replacement transaction underpriced" although the node has it: found by looking."""
    words = "replacement transaction underpriced"
    scene.proxy.once(SEND, proxy.error(words, delivered=True))
    intent = await scene.give()
    await scene.work()
    await scene.work(2)
    assert await scene.state(intent) is S.SENT
    await scene.finish(intent)
    await scene.assert_given("k")


async def underpriced(scene: Scene) -> None:
    """Below what the node's pool takes: replaced with a higher offer, which it takes."""
    words = "transaction underpriced: gas tip cap 1, minimum needed 5"
    scene.proxy.once(SEND, *[proxy.error(words)] * 2)
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    report = await scene.keep(25)
    assert report.replaced == (0,)
    await scene.finish(intent)
    await scene.assert_given("k")


async def refused(scene: Scene) -> None:
    """The node refuses it for good: a person decides, and the nonce is used up."""
    scene.proxy.once(SEND, proxy.error("intrinsic gas too low"))
    intent = await scene.give()
    await scene.work()
    await scene.work(6)
    found = await scene.get(intent)
    assert (found.state, found.frozen_from) == (S.FROZEN, S.SENDING)
    assert "evm_frozen" in await scene.alerted()
    await scene.operator.abandon(
        intent.id, actor="anna", reason="it is no good", confirm=found.identity
    )
    assert (await scene.keep()).filled == (0,)
    scene.node.mine(3)
    await scene.keep()
    assert scene.node.nonce(scene.address) == 1
    assert await scene.alerted() == set()
    await scene.assert_given()


async def refused_though_taken(scene: Scene) -> None:
    """The node says no although it has taken it: what is true counts."""
    scene.proxy.once(SEND, proxy.error("intrinsic gas too low", delivered=True))
    intent = await scene.give()
    await scene.work()
    await scene.finish(intent)
    await scene.assert_given("k")


async def no_money_to_prepare(scene: Scene) -> None:
    """No money for gas: nothing is signed, it waits uncounted with an alert, and goes on."""
    scene.node.set_balance(scene.address, GIFT)
    intent = await scene.give()
    for _ in range(8):
        await scene.work(1)
    found = await scene.get(intent)
    assert (found.state, found.tries) == (S.CREATED, 0)
    assert await scene.attempts() == []
    assert await scene.alerted() == {"evm_waits"}
    scene.node.set_balance(scene.address, 10**18)
    await scene.finish(intent)
    assert await scene.alerted() == set()
    await scene.assert_given("k")


async def no_money_to_send(scene: Scene) -> None:
    """The money went between signing and sending: it waits uncounted, and goes on."""
    scene.proxy.once(SEND, proxy.error("insufficient funds for gas * price + value"))
    intent = await scene.give()
    await scene.work()
    scene.node.set_balance(scene.address, 0)
    for _ in range(8):
        await scene.work(1)
    found = await scene.get(intent)
    assert (found.state, found.tries, found.sends) == (S.SENDING, 0, 1)
    assert await scene.alerted() == {"evm_waits"}
    await scene.keep()
    assert await scene.alerted() == {"evm_waits", "evm_gas_money"}
    scene.node.set_balance(scene.address, 10**18)
    await scene.finish(intent)
    assert await scene.alerted() == set()
    await scene.assert_given("k")


async def money_of_others_counts(scene: Scene) -> None:
    """What is under way may still cost its most: the next waits until that is known."""
    await scene.give("one")
    await scene.work()
    (attempt,) = await scene.attempts()
    scene.node.set_balance(scene.address, attempt.cost + GIFT)
    second = await scene.give("two")
    await scene.work(1)
    assert (await scene.get(second)).state is S.CREATED
    scene.node.set_balance(scene.address, 10**18)
    await scene.finish(second)
    await scene.assert_given("one", "two")


async def node_away(scene: Scene) -> None:
    """Nobody to ask, before and after sending: it waits uncounted, with an alert."""
    scene.proxy.down = True
    intent = await scene.give()
    for _ in range(8):
        await scene.work(1)
    assert (await scene.get(intent)).tries == 0
    assert await scene.alerted() == {"evm_waits"}
    scene.proxy.down = False
    await scene.work(1)
    assert await scene.state(intent) is S.SENT
    scene.proxy.down = True
    for _ in range(8):
        await scene.work(1)
    assert await scene.state(intent) is S.SENT
    scene.proxy.down = False
    await scene.finish(intent)
    assert await scene.alerted() == set()
    await scene.assert_given("k")


async def receipt_of_another_block(scene: Scene) -> None:
    """A receipt whose block is not the chain's is not believed."""
    intent = await scene.give()
    await scene.work()
    scene.node.mine(3)
    scene.proxy.always["eth_getTransactionReceipt"] = proxy.altered(blockHash="0x" + "22" * 32)
    for _ in range(5):
        await scene.work(1)
    assert await scene.state(intent) is S.SENT
    scene.proxy.always.clear()
    await scene.finish(intent)
    await scene.assert_given("k")


async def receipt_missing(scene: Scene) -> None:
    """The chain is past the nonce and the receipt is not there yet: no conclusion."""
    intent = await scene.give()
    await scene.work()
    scene.node.mine(1)
    scene.proxy.always["eth_getTransactionReceipt"] = proxy.result(None)
    await scene.work(1)
    scene.node.mine(9)
    await scene.work(1)
    assert await scene.state(intent) is S.SENT
    assert await scene.alerted() == {"evm_waits"}
    scene.proxy.always.clear()
    await scene.finish(intent)
    assert await scene.alerted() == set()
    await scene.assert_given("k")


async def dropped_by_the_pool(scene: Scene) -> None:
    """Evicted from the pool: the same bytes again, after the patience."""
    intent = await scene.give()
    await scene.work()
    (attempt,) = await scene.attempts()
    scene.node.drop(attempt.tx_hash)
    await scene.work(1)
    await scene.work(6)
    (again,) = await scene.attempts()
    assert (again.raw, again.sends) == (attempt.raw, 2)
    await scene.finish(intent)
    await scene.assert_given("k")


async def many_confirmations(scene: Scene) -> None:
    """As deep as was set, and no earlier."""
    scene.set_up(settings(confirmations=7))
    intent = await scene.give()
    await scene.work()
    for depth in range(1, 7):
        scene.node.mine()
        await scene.work(1)
        found = await scene.get(intent)
        assert (found.state, found.depth) == (S.CONFIRMED, depth)
    scene.node.mine()
    await scene.work(1)
    assert await scene.state(intent) is S.SETTLED


CASES = [
    plain,
    reply_lost,
    request_lost,
    already_known,
    nonce_too_low_after_success,
    server_error,
    nonsense,
    another_hash,
    rate_limited,
    pool_full,
    nonce_too_high,
    replacement_underpriced,
    underpriced,
    refused,
    refused_though_taken,
    no_money_to_prepare,
    no_money_to_send,
    money_of_others_counts,
    node_away,
    receipt_of_another_block,
    receipt_missing,
    dropped_by_the_pool,
    many_confirmations,
]
