"""Cases of fees, replacements, reorganisations and gas."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from millpond.chains.evm.address import checksum, created_address
from millpond.chains.evm.tx.fees import takes_the_place
from millpond.chains.evm.tx.model import Attempt, AttemptState, NonceState
from millpond.intents import IntentState as S
from tests.chains.evm.tx import proxy
from tests.chains.evm.tx.cases_nonces import AwaySigner
from tests.chains.evm.tx.contracts import WORKS_UNTIL_THROWN
from tests.chains.evm.tx.deaths import DieAt, DiedError
from tests.chains.evm.tx.scene import Scene, settings

GWEI = 10**9
SEND = "eth_sendRawTransaction"


async def replaced(scene: Scene) -> tuple[Attempt, Attempt]:
    """Two attempts of one nonce, both stored and sent."""
    await scene.work()
    await scene.keep()
    assert (await scene.keep(25)).replaced == (0,)
    first, second = await scene.attempts()
    assert second.sends == 1
    return first, second


def mined(attempts: list[Attempt]) -> list[int]:
    return [a.attempt for a in attempts if a.state is AttemptState.MINED]


async def stuck(scene: Scene) -> None:
    """Too long in no block: replaced with both fees 10 percent higher, the same otherwise."""
    intent = await scene.give()
    first, second = await replaced(scene)
    assert takes_the_place(first.fees, second.fees)
    same = ("nonce", "to_address", "value", "data", "gas", "intent_id")
    assert [getattr(first, f) for f in same] == [getattr(second, f) for f in same]
    await scene.finish(intent)
    assert mined(await scene.attempts()) == [2]
    await scene.assert_given("k")


async def first_wins(scene: Scene) -> None:
    """Replaced, and then the first is mined after all: it is the one that counts."""
    intent = await scene.give()
    scene.proxy.once(SEND, proxy.forward, proxy.cut, proxy.cut)
    await replaced(scene)
    await scene.finish(intent)
    assert mined(await scene.attempts()) == [1]
    await scene.assert_given("k")


async def not_too_early(scene: Scene) -> None:
    """Not replaced before the time that was set."""
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    assert (await scene.keep(15)).replaced == ()
    scene.node.mine()
    await scene.finish(intent)
    assert len(await scene.attempts()) == 1


async def only_the_front(scene: Scene) -> None:
    """Only the nonce that the chain waits for is replaced, not those behind it."""
    intents = [await scene.give(f"k{n}") for n in range(3)]
    await scene.work()
    await scene.keep()
    assert (await scene.keep(25)).replaced == (0,)
    await scene.finish(*intents)
    await scene.assert_given("k0", "k1", "k2")


async def at_the_cap(scene: Scene) -> None:
    """No higher than the cap: an alert, the newest is sent again, and it is mined in the end."""
    scene.set_up(settings(max_fee=4 * GWEI, max_priority_fee=2 * GWEI, bump_percent=50))
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    for _ in range(7):
        await scene.keep(25)
    report = await scene.keep(25)
    assert (report.replaced, report.sent_again) == ((), (0,))
    assert await scene.alerted() == {"evm_fee_cap"}
    assert max(attempt.max_fee for attempt in await scene.attempts()) <= 4 * GWEI
    await scene.finish(intent)
    await scene.keep()
    assert await scene.alerted() == set()
    await scene.assert_given("k")


async def as_often_as_allowed(scene: Scene) -> None:
    """No more transactions of one nonce than set."""
    scene.set_up(settings(max_attempts=3))
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    for _ in range(5):
        await scene.keep(25)
    assert len(await scene.attempts()) == 3
    await scene.finish(intent)
    await scene.assert_given("k")


async def base_fee_jumps(scene: Scene) -> None:
    """The base fee leaps over what was offered: one replacement offers what is asked now."""
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    scene.base_fee(100 * GWEI)
    assert await scene.state(intent) is S.SENT
    report = await scene.keep(25)
    assert report.replaced == (0,)
    _, second = await scene.attempts()
    assert second.max_fee > 150 * GWEI
    await scene.finish(intent)
    await scene.assert_given("k")


async def base_fee_above_the_cap(scene: Scene) -> None:
    """Gas above the cap: nothing is signed, it waits with an alert, and goes when it falls."""
    scene.set_up(settings(max_fee=20 * GWEI))
    scene.base_fee(100 * GWEI)
    intent = await scene.give()
    for _ in range(8):
        await scene.work(1)
    assert await scene.state(intent) is S.CREATED
    assert await scene.nonces() == []
    assert await scene.alerted() == {"evm_waits"}
    scene.node.mine(20)
    await scene.finish(intent)
    assert await scene.alerted() == set()
    await scene.assert_given("k")


async def too_cheap_and_forgotten(scene: Scene) -> None:
    """The base fee leapt, the pool forgot it, the cap forbids more: it waits uncounted."""
    scene.set_up(settings(max_fee=20 * GWEI))
    intent = await scene.give()
    await scene.work()
    (attempt,) = await scene.attempts()
    scene.node.drop(attempt.tx_hash)
    scene.base_fee(100 * GWEI)
    for _ in range(8):
        await scene.work(1)
    found = await scene.get(intent)
    assert (found.state, found.tries, found.sends) == (S.SENT, 0, 1)
    assert await scene.alerted() == {"evm_waits"}
    scene.node.mine(20)
    await scene.finish(intent)
    assert await scene.alerted() == set()
    await scene.assert_given("k")


async def no_tip(scene: Scene) -> None:
    """A priority fee of nothing: 10 percent of nothing is not enough, one wei is."""
    scene.set_up(settings(min_priority_fee=0, max_priority_fee=0))
    intent = await scene.give()
    first, second = await replaced(scene)
    assert (first.max_priority_fee, second.max_priority_fee) == (0, 1)
    await scene.finish(intent)
    await scene.assert_given("k")


async def several_replacements(scene: Scene) -> None:
    """Replaced again and again: each takes the place of the one before, one is mined."""
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    for _ in range(4):
        assert (await scene.keep(25)).replaced == (0,)
    attempts = await scene.attempts()
    assert len(attempts) == 5
    for old, new in itertools.pairwise(attempts):
        assert takes_the_place(old.fees, new.fees)
    await scene.finish(intent)
    assert mined(await scene.attempts()) == [5]
    await scene.assert_given("k")


async def died_replacing(scene: Scene) -> None:
    """The keeper dies after storing a replacement: the next round sends those bytes."""
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    scene.transactions.faults = DieAt("evm_replaced")
    scene.keeper._faults = scene.transactions.faults
    with pytest.raises(DiedError):
        await scene.keep(25)
    _, stored = await scene.attempts()
    assert stored.sends == 0
    assert (await scene.keep()).sent_again == (0,)
    _, sent = await scene.attempts()
    assert (sent.raw, sent.sends) == (stored.raw, 1)
    await scene.finish(intent)
    assert mined(await scene.attempts()) == [2]
    await scene.assert_given("k")


async def replacement_refused(scene: Scene) -> None:
    """A node wants more for a replacement than it got: the next one offers more."""
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    scene.proxy.once(SEND, proxy.error("replacement transaction underpriced"))
    assert (await scene.keep(25)).replaced == (0,)
    assert (await scene.keep(25)).replaced == (0,)
    await scene.finish(intent)
    assert mined(await scene.attempts()) == [3]
    await scene.assert_given("k")


async def replacement_reply_lost(scene: Scene) -> None:
    """The answer to a replacement is lost: both are asked for, one is mined."""
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    scene.proxy.once(SEND, proxy.lose_reply, proxy.lose_reply)
    assert (await scene.keep(25)).replaced == (0,)
    await scene.finish(intent)
    assert mined(await scene.attempts()) == [2]
    await scene.assert_given("k")


async def replacement_too_late(scene: Scene) -> None:
    """The first is mined while the second is on its way ("nonce too low"): the first counts."""
    intent = await scene.give()
    await scene.work()
    await scene.keep()

    async def mine_first(gate: proxy.Proxy, request: Any, body: bytes, call: Any) -> Any:
        scene.node.mine()
        return await proxy.forward(gate, request, body, call)

    scene.proxy.once(SEND, mine_first)
    assert (await scene.keep(25)).replaced == (0,)
    _, second = await scene.attempts()
    assert second.answer.startswith("nonce_too_low")
    await scene.finish(intent)
    assert mined(await scene.attempts()) == [1]
    await scene.assert_given("k")


async def no_money_to_replace(scene: Scene) -> None:
    """No money for the higher fee: an alert, and the cheaper one may still be mined."""
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    (first,) = await scene.attempts()
    scene.node.set_balance(scene.address, first.cost)
    scene.proxy.once(SEND, proxy.error("insufficient funds for gas * price + value"))
    await scene.keep(25)
    await scene.keep()
    assert "evm_gas_money" in await scene.alerted()
    await scene.finish(intent)
    await scene.keep()
    assert await scene.alerted() == set()
    assert mined(await scene.attempts()) == [1]
    await scene.assert_given("k")


async def signer_away_to_replace(scene: Scene) -> None:
    """Whoever holds the key does not answer at a replacement: nothing stored, later again."""
    signer = AwaySigner(scene.signer)
    signer.away = False
    scene.set_up(settings(), signer=signer)
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    signer.away = True
    assert (await scene.keep(25)).replaced == ()
    assert len(await scene.attempts()) == 1
    signer.away = False
    assert (await scene.keep()).replaced == (0,)
    await scene.finish(intent)
    await scene.assert_given("k")


async def reorganised_queue(scene: Scene) -> None:
    """Several taken back and forgotten at once: each the same bytes again, each once."""
    intents = [await scene.give(f"k{n}") for n in range(3)]
    await scene.work()
    scene.node.mine()
    await scene.work(1)
    scene.node.reorg(1, keep_txs=False)
    await scene.work(1)
    await scene.finish(*intents)
    assert [attempt.attempt for attempt in await scene.attempts()] == [1, 1, 1]
    await scene.assert_given("k0", "k1", "k2")


async def frozen_is_left_alone(scene: Scene) -> None:
    """What a person has stopped is not replaced; let go, it is."""
    intent = await scene.give()
    await scene.work()
    await scene.keep()
    await scene.operator.freeze(intent.id, actor="anna", reason="wait")
    assert (await scene.keep(25)).replaced == ()
    await scene.operator.release(intent.id, actor="anna", reason="go on")
    assert (await scene.keep(25)).replaced == (0,)
    await scene.finish(intent)
    await scene.assert_given("k")


async def filler_is_stuck(scene: Scene) -> None:
    """An empty transaction that is stuck is replaced like any other."""
    intent = await scene.give()
    await scene.work()
    identity = (await scene.get(intent)).identity
    await scene.operator.abandon(intent.id, actor="anna", reason="no", confirm=identity)
    assert (await scene.keep()).filled == (0,)
    assert (await scene.keep(25)).replaced == (0,)
    scene.node.mine(3)
    await scene.keep()
    assert mined(await scene.attempts()) == [3]
    await scene.assert_given()


async def filler_is_forgotten(scene: Scene) -> None:
    """An empty transaction that the pool forgot is sent again."""
    intent = await scene.give()
    await scene.work()
    identity = (await scene.get(intent)).identity
    await scene.operator.abandon(intent.id, actor="anna", reason="no", confirm=identity)
    await scene.keep()
    for attempt in await scene.attempts():
        if attempt.intent_id is None:
            scene.node.drop(attempt.tx_hash)
    assert (await scene.keep(6)).sent_again == (0,)
    scene.node.mine(3)
    await scene.keep()
    assert [nonce.state for nonce in await scene.nonces()] == [NonceState.DONE]
    await scene.assert_given()


async def reorganised(scene: Scene) -> None:
    """Taken back and waiting again: followed back, and forth when it is mined again."""
    intent = await scene.give()
    await scene.work()
    scene.node.mine(2)
    await scene.work(1)
    assert (await scene.get(intent)).depth == 2
    scene.node.reorg(2)
    await scene.work(1)
    assert await scene.state(intent) is S.SENT
    await scene.finish(intent)
    await scene.assert_given("k")


async def reorganised_and_forgotten(scene: Scene) -> None:
    """Taken back and forgotten by the node: the same bytes again, after the patience."""
    intent = await scene.give()
    await scene.work()
    scene.node.mine(2)
    await scene.work(1)
    scene.node.reorg(2, keep_txs=False)
    await scene.work(1)
    await scene.finish(intent)
    (attempt,) = await scene.attempts()
    assert attempt.sends == 2
    await scene.assert_given("k")


async def reorganised_to_another_attempt(scene: Scene) -> None:
    """The second attempt is taken back and the first is mined instead: that one counts."""
    intent = await scene.give()
    first, _ = await replaced(scene)
    scene.node.mine()
    await scene.work(1)
    assert await scene.state(intent) is S.CONFIRMED
    scene.node.reorg(1, keep_txs=False)
    scene.node.rpc(SEND, "0x" + first.raw.hex())
    scene.node.mine()
    await scene.work(1)
    assert await scene.state(intent) is S.CONFIRMED
    await scene.finish(intent)
    assert mined(await scene.attempts()) == [1]
    await scene.assert_given("k")


async def reorganised_for_a_stranger(scene: Scene) -> None:
    """Taken back, and somebody else's transaction has the nonce: frozen once that is final."""
    intent = await scene.give()
    await scene.work()
    scene.node.mine()
    await scene.work(1)
    scene.node.reorg(1, keep_txs=False)
    await scene.foreign(0)
    scene.node.mine(3)
    await scene.work(1)
    assert await scene.state(intent) is S.FROZEN
    await scene.operator.retry(intent.id, actor="anna", reason="a stranger was faster")
    await scene.finish(intent)
    await scene.assert_given("k")


async def reorganised_too_deep(scene: Scene) -> None:
    """Taken back although it was final: the same bytes again by the keeper, with an alert."""
    intent = await scene.give()
    await scene.finish(intent)
    scene.node.reorg(scene.node.height() - 4, keep_txs=False)
    assert scene.node.nonce(scene.address) == 0
    assert (await scene.keep(10)).sent_again == (0,)
    assert await scene.alerted() == {"evm_deep_reorg"}
    scene.node.mine()
    await scene.assert_given("k")
    # As often as it takes: it stays the one that was final.
    for _ in range(2):
        scene.node.mine(4)
        scene.node.reorg(scene.node.height() - 4, keep_txs=False)
        assert scene.node.nonce(scene.address) == 0
        assert (await scene.keep(10)).sent_again == (0,)
        assert (await scene.keep(10)).sent_again == (0,), "and while it is not mined, again"
        scene.node.mine()
        await scene.assert_given("k")


async def reverted(scene: Scene) -> None:
    """In a block and reverted: final all the same, the money is back, the gas is gone."""
    contract = scene.node.deploy(WORKS_UNTIL_THROWN)
    scene.node.mine()
    intent = await scene.give(to=contract, value="0", gas=60_000)
    await scene.work()
    scene.node.send(to=checksum(contract), data=b"\1", gas=60_000, max_priority_fee=5 * GWEI)
    scene.node.mine(3)
    await scene.work(1)
    done = await scene.get(intent)
    assert done.state is S.SETTLED
    assert await scene.donor_has() == 100
    (attempt,) = await scene.attempts()
    receipt = scene.node.receipt(attempt.tx_hash)
    assert receipt is not None
    assert receipt["status"] == "0x0"


async def no_estimate(scene: Scene) -> None:
    """The estimate fails for another reason than the contract: it waits with an alert."""
    words = "gas required exceeds allowance (30000000)"
    scene.proxy.always["eth_estimateGas"] = proxy.error(words)
    intent = await scene.give()
    for _ in range(8):
        await scene.work(1)
    assert await scene.state(intent) is S.CREATED
    assert await scene.alerted() == {"evm_waits"}
    scene.proxy.always.clear()
    await scene.finish(intent)
    assert await scene.alerted() == set()
    await scene.assert_given("k")


async def too_much_gas(scene: Scene) -> None:
    """It needs more gas than allowed: frozen before anything is signed."""
    scene.set_up(settings(max_gas=20_000))
    intent = await scene.give()
    await scene.work()
    found = await scene.get(intent)
    assert (found.state, found.frozen_from) == (S.FROZEN, S.CREATED)
    assert await scene.nonces() == []
    scene.set_up(settings())
    await scene.operator.release(intent.id, actor="anna", reason="allowed now")
    await scene.finish(intent)
    await scene.assert_given("k")


async def gas_with_a_margin(scene: Scene) -> None:
    """The limit is the estimate and a margin, or what was asked for."""
    contract = scene.node.deploy(WORKS_UNTIL_THROWN)
    scene.node.mine()
    estimated = await scene.give("one", to=contract, value="0", data="01")
    asked = await scene.give("two", gas=77_777)
    await scene.work()
    first, second = await scene.attempts()
    await scene.finish(estimated, asked)
    receipt = scene.node.receipt(first.tx_hash)
    assert receipt is not None
    assert int(receipt["gasUsed"], 16) * 6 // 5 <= first.gas
    assert second.gas == 77_777


async def makes_a_contract(scene: Scene) -> None:
    """A transaction without an address makes a contract."""
    intent = await scene.give(to="", data=WORKS_UNTIL_THROWN.hex(), value="0")
    await scene.finish(intent)
    code = scene.node.rpc("eth_getCode", created_address(scene.address, 0), "latest")
    assert code.endswith("5f5ffd")


CASES = [
    stuck,
    first_wins,
    not_too_early,
    only_the_front,
    at_the_cap,
    as_often_as_allowed,
    base_fee_jumps,
    base_fee_above_the_cap,
    too_cheap_and_forgotten,
    no_tip,
    several_replacements,
    died_replacing,
    replacement_refused,
    replacement_reply_lost,
    replacement_too_late,
    no_money_to_replace,
    signer_away_to_replace,
    frozen_is_left_alone,
    filler_is_stuck,
    filler_is_forgotten,
    reorganised,
    reorganised_and_forgotten,
    reorganised_queue,
    reorganised_to_another_attempt,
    reorganised_for_a_stranger,
    reorganised_too_deep,
    reverted,
    no_estimate,
    too_much_gas,
    gas_with_a_margin,
    makes_a_contract,
]
