"""Cases of nonces: who has which, what uses it up, and what gaps become."""

from __future__ import annotations

import asyncio

from millpond.chains.evm.signers import KeySigner, SignedTx, Unsigned
from millpond.chains.evm.tx.model import NonceState
from millpond.chains.evm.tx.rows import add, lock_signer
from millpond.errors import UnavailableError
from millpond.intents import IntentState as S
from tests.chains.evm.tx import proxy
from tests.chains.evm.tx.contracts import WORKS_AFTER_THROWN
from tests.chains.evm.tx.deaths import DieAt, DiedError
from tests.chains.evm.tx.scene import Scene, settings

SEND = "eth_sendRawTransaction"


async def die_at(scene: Scene, point: str) -> None:
    """A worker goes as far as a named point, and is no more."""
    mortal = scene.worker("mortal", DieAt(point))
    try:
        while await mortal.run_once():
            scene.clock.advance(0.001)
    except DiedError:
        return
    raise AssertionError(f"nobody came to {point}")


async def states(scene: Scene) -> list[NonceState]:
    return [nonce.state for nonce in await scene.nonces()]


async def one_after_the_other(scene: Scene) -> None:
    """Several intents of a signer: consecutive nonces, all under way together."""
    intents = [await scene.give(f"k{n}") for n in range(4)]
    await scene.work()
    assert [nonce.nonce for nonce in await scene.nonces()] == [0, 1, 2, 3]
    assert [nonce.intent_id for nonce in await scene.nonces()] == [i.id for i in intents]
    scene.node.mine()
    assert scene.node.nonce(scene.address) == 4
    await scene.finish(*intents)
    await scene.assert_given("k0", "k1", "k2", "k3")


async def used_before(scene: Scene) -> None:
    """A key that has a history: the first nonce is the chain's count."""
    for _ in range(3):
        await scene.foreign()
        scene.node.mine()
    intent = await scene.give()
    await scene.finish(intent)
    assert [nonce.nonce for nonce in await scene.nonces()] == [3]
    await scene.assert_given("k")


async def chain_is_ahead(scene: Scene) -> None:
    """The key was used past Millpond while nothing was under way: on from the chain's count."""
    await scene.finish(await scene.give("one"))
    await scene.foreign()
    scene.node.mine()
    await scene.finish(await scene.give("two"))
    assert [nonce.nonce for nonce in await scene.nonces()] == [0, 2]
    await scene.assert_given("one", "two")


async def node_is_behind(scene: Scene) -> None:
    """A node that counts too few: the database knows better."""
    first = await scene.give("one")
    await scene.finish(first)
    scene.proxy.always["eth_getTransactionCount"] = proxy.result("0x0")
    second = await scene.give("two")
    await scene.work()
    assert [nonce.nonce for nonce in await scene.nonces()] == [0, 1]
    scene.proxy.always.clear()
    await scene.finish(second)
    await scene.assert_given("one", "two")


async def died_reserved(scene: Scene) -> None:
    """Dead between reserving and signing: the next worker has the same nonce."""
    intent = await scene.give()
    await die_at(scene, "evm_reserved")
    assert await states(scene) == [NonceState.RESERVED]
    await scene.work(scene.settings.lease_s)
    await scene.finish(intent)
    assert [nonce.nonce for nonce in await scene.nonces()] == [0]
    await scene.assert_given("k")


async def died_signed(scene: Scene) -> None:
    """Dead between signing and storing: what was signed never was."""
    intent = await scene.give()
    await die_at(scene, "evm_signed")
    await scene.work(scene.settings.lease_s)
    await scene.finish(intent)
    assert len(await scene.attempts()) == 1
    await scene.assert_given("k")


async def died_stored(scene: Scene) -> None:
    """Dead between storing and sending: the stored bytes are what is sent."""
    intent = await scene.give()
    await die_at(scene, "evm_stored")
    (stored,) = await scene.attempts()
    await scene.work(scene.settings.lease_s)
    await scene.finish(intent)
    (sent,) = await scene.attempts()
    assert (sent.raw, sent.sends) == (stored.raw, 1)
    await scene.assert_given("k")


async def died_delivered(scene: Scene) -> None:
    """Dead right after sending: the next worker looks and finds it."""
    intent = await scene.give()
    await die_at(scene, "evm_delivered")
    await scene.work(scene.settings.lease_s)
    assert await scene.state(intent) is S.SENT
    await scene.finish(intent)
    assert [attempt.sends for attempt in await scene.attempts()] == [1]
    await scene.assert_given("k")


async def foreign_before_signing(scene: Scene) -> None:
    """Somebody else uses a nonce that was only reserved: the intent gets another."""
    intent = await scene.give()
    await die_at(scene, "evm_reserved")
    await scene.foreign()
    scene.node.mine()
    await scene.work(scene.settings.lease_s)
    await scene.finish(intent)
    found = {nonce.nonce: nonce.state for nonce in await scene.nonces()}
    assert found == {0: NonceState.FOREIGN, 1: NonceState.DONE}
    await scene.assert_given("k")


async def foreign_before_signing_and_final(scene: Scene) -> None:
    """The same, and the keeper sees it first: the intent gets another nonce all the same."""
    intent = await scene.give()
    await die_at(scene, "evm_reserved")
    await scene.foreign()
    scene.node.mine(3)
    await scene.keep()
    assert await states(scene) == [NonceState.FOREIGN]
    await scene.work(scene.settings.lease_s)
    await scene.finish(intent)
    assert await states(scene) == [NonceState.FOREIGN, NonceState.DONE]
    await scene.assert_given("k")


async def foreign_after_signing(scene: Scene) -> None:
    """Somebody else uses a nonce that was signed with: frozen once that is final."""
    scene.proxy.once(SEND, proxy.cut, proxy.cut)
    intent = await scene.give()
    await scene.work()
    await scene.foreign(0)
    scene.node.mine()
    await scene.work(6)
    assert await scene.state(intent) is S.SENDING
    assert await scene.alerted() == {"evm_waits"}
    scene.node.mine(2)
    await scene.work(1)
    assert await scene.state(intent) is S.FROZEN
    assert "evm_frozen" in await scene.alerted()
    await scene.operator.retry(intent.id, actor="anna", reason="it was the old script")
    await scene.finish(intent)
    found = {nonce.nonce: nonce.state for nonce in await scene.nonces()}
    assert found == {0: NonceState.FOREIGN, 1: NonceState.DONE}
    assert await scene.alerted() == set()
    await scene.assert_given("k")


async def foreign_is_taken_back(scene: Scene) -> None:
    """Somebody else's transaction is reorganised away before it is final: ours goes on."""
    scene.proxy.once(SEND, proxy.cut, proxy.cut)
    intent = await scene.give()
    await scene.work()
    await scene.foreign(0)
    scene.node.mine()
    await scene.work(6)
    scene.node.reorg(1, keep_txs=False)
    await scene.finish(intent)
    await scene.assert_given("k")


async def foreign_given_up(scene: Scene) -> None:
    """Somebody else used the nonce: the person may also give the intent up, with that proof."""
    scene.proxy.once(SEND, proxy.cut, proxy.cut)
    intent = await scene.give()
    await scene.work()
    await scene.foreign(0)
    scene.node.mine(3)
    await scene.work(6)
    assert await scene.state(intent) is S.FROZEN
    await scene.operator.abandon(intent.id, actor="anna", reason="not any more")
    await scene.keep()
    assert await states(scene) == [NonceState.FOREIGN]
    await scene.assert_given()


async def foreign_is_taken_back_too_late(scene: Scene) -> None:
    """A stranger's final transaction is reorganised away after the intent got another nonce:
    what was signed with the first one is kept dead, and it is given once."""
    scene.proxy.once(SEND, proxy.cut, proxy.cut)
    intent = await scene.give()
    await scene.work()
    await scene.foreign(0)
    scene.node.mine(3)
    await scene.work(6)
    await scene.operator.retry(intent.id, actor="anna", reason="it was the old script")
    await scene.work(1)
    await scene.keep()
    scene.node.reorg(3, keep_txs=False)
    report = await scene.keep(10)
    assert report.filled == (0,)
    await scene.finish(intent)
    await scene.assert_given("k")


async def signed_anew(scene: Scene) -> None:
    """Frozen before it was sent and prepared anew: the same nonce, the same bytes."""
    intent = await scene.give()
    await die_at(scene, "signed")
    await scene.operator.freeze(intent.id, actor="anna", reason="wait")
    await scene.operator.retry(intent.id, actor="anna", reason="go on")
    await scene.finish(intent)
    assert len(await scene.attempts()) == 1
    await scene.assert_given("k")


async def several_workers(scene: Scene) -> None:
    """Several workers at one signer at once: each intent has a nonce of its own."""
    intents = [await scene.give(f"k{n}") for n in range(6)]
    workers = [scene.worker(f"w{n}") for n in range(3)]
    for _ in range(6):
        await asyncio.gather(*(worker.run_once() for worker in workers))
    await scene.finish(*intents)
    assert [nonce.nonce for nonce in await scene.nonces()] == [0, 1, 2, 3, 4, 5]
    await scene.assert_given(*(f"k{n}" for n in range(6)))


async def reserved_and_ended(scene: Scene) -> None:
    """The intent of a reserved nonce ends: the next intent has that nonce."""
    first = await scene.give("one")
    await die_at(scene, "evm_reserved")
    scene.clock.advance(scene.settings.lease_s)
    await scene.operator.abandon(first.id, actor="anna", reason="not any more")
    assert await states(scene) == [NonceState.FREE]
    second = await scene.give("two")
    await scene.finish(second)
    assert [nonce.nonce for nonce in await scene.nonces()] == [0]
    await scene.assert_given("two")


async def reserved_and_overtaken(scene: Scene) -> None:
    """A worker died with a nonce and others have gone on: the gap is filled, it gets another."""
    first = await scene.give("one")
    await die_at(scene, "evm_reserved")
    # The first one's lane is free again as soon as its time is over.
    scene.clock.advance(scene.settings.lease_s)
    await scene.operator.freeze(first.id, actor="anna", reason="wait")
    second = await scene.give("two")
    await scene.work()
    assert await scene.state(second) is S.SENT
    report = await scene.keep()
    assert (report.gaps, report.filled) == ((0,), (0,))
    await scene.operator.release(first.id, actor="anna", reason="go on")
    await scene.finish(first, second)
    found = {nonce.nonce: nonce.state for nonce in await scene.nonces()}
    assert found == {0: NonceState.DONE, 1: NonceState.DONE, 2: NonceState.DONE}
    await scene.assert_given("one", "two")


async def abandoned_unsent(scene: Scene) -> None:
    """Given up after it was signed and before it was sent: an empty transaction in its place."""
    intent = await scene.give()
    await die_at(scene, "signed")
    scene.clock.advance(scene.settings.lease_s)
    await scene.operator.abandon(intent.id, actor="anna", reason="not any more")
    report = await scene.keep()
    assert report.filled == (0,)
    scene.node.mine(3)
    await scene.keep()
    assert await states(scene) == [NonceState.DONE]
    assert scene.node.nonce(scene.address) == 1
    await scene.assert_given()


async def expired_unsent(scene: Scene) -> None:
    """Signed, and then too late to send: failed, an empty transaction in its place."""
    intent = await scene.give(expires_ms=scene.clock.now_ms() + 5_000)
    await die_at(scene, "signed")
    await scene.work(scene.settings.lease_s)
    assert await scene.state(intent) is S.FAILED
    assert (await scene.keep()).filled == (0,)
    after = await scene.give("next")
    await scene.finish(after)
    await scene.assert_given("next")


async def abandoned_sent(scene: Scene) -> None:
    """Given up by force while it waits: cancelled by an empty one with higher fees."""
    intent = await scene.give()
    await scene.work()
    found = await scene.get(intent)
    await scene.operator.abandon(
        intent.id, actor="anna", reason="to the wrong address", confirm=found.identity
    )
    assert (await scene.keep()).filled == (0,)
    scene.node.mine(3)
    await scene.keep()
    first, filler = await scene.attempts()
    assert filler.max_fee * 10 >= first.max_fee * 11
    assert filler.max_priority_fee * 10 >= first.max_priority_fee * 11
    assert await states(scene) == [NonceState.DONE]
    await scene.assert_given()


async def abandoned_and_happened(scene: Scene) -> None:
    """Given up by force and in a block all the same: a person is told of it."""
    intent = await scene.give()
    await scene.work()
    found = await scene.get(intent)
    await scene.operator.abandon(
        intent.id, actor="anna", reason="to the wrong address", confirm=found.identity
    )
    scene.node.mine(3)
    await scene.keep()
    assert await scene.alerted() == {"evm_abandoned_happened"}
    assert await states(scene) == [NonceState.DONE]


async def hole(scene: Scene) -> None:
    """A nonce that the database does not know holds up others: it is filled."""
    intent = await scene.give()
    async with scene.store.begin() as tx:
        await lock_signer(tx, scene.access.chain_id, scene.address, now_ms=1)
        await add(tx, scene.access.chain_id, scene.address, 1, now_ms=1, intent_id=intent.id)
    await scene.work()
    report = await scene.keep()
    assert (report.gaps, report.filled) == ((0,), (0,))
    await scene.finish(intent)
    await scene.assert_given("k")


async def free_at_the_end(scene: Scene) -> None:
    """A free nonce that holds nobody up is left for the next intent, not paid for."""
    first = await scene.give("one")
    await die_at(scene, "evm_reserved")
    scene.clock.advance(scene.settings.lease_s)
    await scene.operator.abandon(first.id, actor="anna", reason="not any more")
    report = await scene.keep()
    assert (report.gaps, report.filled) == ((), ())


class AwaySigner:
    """A key that somebody else holds who does not answer at first."""

    def __init__(self, signer: KeySigner) -> None:
        self.signer, self.away = signer, True
        self.address = signer.address

    async def sign_transaction(self, unsigned: Unsigned) -> SignedTx:
        if self.away:
            raise UnavailableError("the signer does not answer")
        return await self.signer.sign_transaction(unsigned)

    async def sign_digest(self, digest: bytes) -> bytes:
        return await self.signer.sign_digest(digest)


async def signer_away(scene: Scene) -> None:
    """Whoever holds the key does not answer: the nonce is given back, it waits uncounted."""
    signer = AwaySigner(scene.signer)
    scene.set_up(settings(), signer=signer)
    first = await scene.give("one")
    for _ in range(8):
        await scene.work(1)
    assert (await scene.get(first)).tries == 0
    assert await states(scene) == [NonceState.FREE]
    signer.away = False
    await scene.finish(first)
    assert [nonce.nonce for nonce in await scene.nonces()] == [0]
    await scene.assert_given("one")


async def no_key(scene: Scene) -> None:
    """A process without the key: it waits for one that has it, and its keeper signs nothing."""
    other = KeySigner(b"\x07" * 32)
    scene.set_up(settings(), signer=other)
    intent = await scene.give()
    await scene.work()
    assert await scene.alerted() == {"evm_waits"}
    assert await scene.nonces() == []
    scene.set_up(settings())
    await scene.work(1)
    scene.set_up(settings(), signer=other)
    assert (await scene.keep(100)).replaced == ()
    scene.set_up(settings())
    await scene.finish(intent)
    await scene.assert_given("k")


async def queue_is_bounded(scene: Scene) -> None:
    """No more under way than set: the next waits, and goes when one is in a block."""
    scene.set_up(settings(max_pending=2))
    intents = [await scene.give(f"k{n}") for n in range(3)]
    await scene.work()
    assert [await scene.state(i) for i in intents] == [S.SENT, S.SENT, S.CREATED]
    scene.node.mine()
    await scene.work(1)
    assert await scene.state(intents[2]) is S.SENT
    await scene.finish(*intents)
    await scene.assert_given("k0", "k1", "k2")


async def refused_by_the_contract(scene: Scene) -> None:
    """The contract refuses the call: failed, no nonce used, the money is back."""
    contract = scene.node.deploy(WORKS_AFTER_THROWN)
    scene.node.mine()
    intent = await scene.give(to=contract, value="0")
    await scene.work()
    found = await scene.get(intent)
    assert found.state is S.FAILED
    assert found.reason.startswith("the contract refuses it")
    assert await scene.nonces() == []
    assert await scene.donor_has() == 100


async def refused_until_others_are_in(scene: Scene) -> None:
    """Refused only because what went before is in no block yet: it waits and then goes."""
    contract = scene.node.deploy(WORKS_AFTER_THROWN)
    scene.node.mine()
    first = await scene.give("one", to=contract, value="0", data="01")
    second = await scene.give("two", to=contract, value="0")
    await scene.work()
    assert [await scene.state(i) for i in (first, second)] == [S.SENT, S.CREATED]
    assert await scene.alerted() == {"evm_waits"}
    await scene.finish(first, second)
    assert await scene.alerted() == set()


CASES = [
    one_after_the_other,
    used_before,
    chain_is_ahead,
    node_is_behind,
    died_reserved,
    died_signed,
    died_stored,
    died_delivered,
    foreign_before_signing,
    foreign_before_signing_and_final,
    foreign_after_signing,
    foreign_is_taken_back,
    foreign_is_taken_back_too_late,
    foreign_given_up,
    signed_anew,
    several_workers,
    reserved_and_ended,
    reserved_and_overtaken,
    abandoned_unsent,
    expired_unsent,
    abandoned_sent,
    abandoned_and_happened,
    hole,
    free_at_the_end,
    signer_away,
    no_key,
    queue_is_bounded,
    refused_by_the_contract,
    refused_until_others_are_in,
]
