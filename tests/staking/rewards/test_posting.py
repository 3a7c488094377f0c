"""A vault's epochs are posted on chain, in order, once each."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import update

from millpond.chains.evm.contracts import Contract
from millpond.intents import Intents, IntentState, NotReadyError
from millpond.intents.tables import intent_table
from millpond.staking.model import EventKind
from millpond.staking.rewards.epochs import Epochs
from millpond.staking.rewards.errors import ForeignRootError
from millpond.staking.rewards.posting import (
    FOREIGN_ROOT,
    KIND,
    NOT_POSTED,
    Posting,
    PostingEffect,
)
from millpond.staking.rewards.statements import proof
from millpond.store import Store
from tests.staking.rewards.chain import ALICE, E18, World, vault, wallet
from tests.staking.rewards.test_claims import receipt

SIGNER = wallet(0x98)


@pytest.fixture
async def world(sqlite_store: Store) -> World:
    world = await World(sqlite_store, vault()).create()
    await world.fund(0, 10**6 * E18)
    await world.hold(1, ALICE, 10**24)
    return world


def posting(world: World, *, signer: bool = True) -> tuple[Intents, Posting]:
    intents = Intents(world.store, world.clock, world.ids, world.entropy)
    signers = {world.pool.chain_id: SIGNER} if signer else {}
    post = Posting(intents, signers, world.alerts)
    world.epochs = Epochs(world.ledger, world.clock, world.alerts, world.trail, post.post)
    return intents, post


async def test_an_epochs_intent_is_written_with_it_and_says_what_the_contract_takes(world: World):
    intents, _ = posting(world)
    await world.mark(2 * 3600)
    first, second = await world.close_all()
    effect = PostingEffect(world.store, intents, world.alerts)
    async with world.store.read() as tx:
        one = await intents.get(tx, first.intent_id)
        two = await intents.get(tx, second.intent_id)
    assert one.lane == two.lane
    with pytest.raises(NotReadyError):
        await effect.call(two)
    await effect.call(one)
    async with world.store.begin() as tx:
        await tx.execute(update(intent_table).where(intent_table.c.id == one.id).values(sends=1))
    call = await effect.call(two)
    name, args = Contract.named("RewardDistributor", call.to).decode_input(call.data)
    assert name == "post_epoch"
    assert args == (
        2,
        bytes.fromhex(second.root[2:]),
        60 * E18,
        bytes.fromhex(second.statement_hash[2:]),
    )


async def test_epochs_closed_without_a_signer_are_posted_later(world: World):
    posting(world, signer=False)
    await world.mark(2 * 3600)
    closed = await world.close_all()
    assert [epoch.intent_id for epoch in closed] == [None, None]
    intents, post = posting(world)
    async with world.store.begin() as tx:
        assert await post.post_missing(tx, world.pool) == 2
        assert await post.post_missing(tx, world.pool) == 0
        keys = {intent.key for intent in await intents.listed(tx, kind=KIND)}
    assert keys == {"btcd-vault:1", "btcd-vault:2"}


async def test_a_posting_that_came_to_nothing_alerts_and_is_written_anew(world: World):
    intents, post = posting(world)
    await world.mark(3600)
    (epoch,) = await world.close_all()
    effect = PostingEffect(world.store, intents, world.alerts)
    subject = "epoch:btcd-vault:1"
    async with world.store.begin() as tx:
        intent = await intents.get(tx, epoch.intent_id)
        failed = {"state": IntentState.FAILED.value}
        await tx.execute(
            update(intent_table).where(intent_table.c.id == intent.id).values(**failed)
        )
        await effect.release(tx, intent, "the contract refuses it: paused")
        assert await world.alerts.find_open(tx, NOT_POSTED, subject)
        assert await post.post_missing(tx, world.pool) == 1
        again = (await intents.listed(tx, kind=KIND))[0]
        await effect.settle(tx, again, receipt(0))
        assert await world.alerts.find_open(tx, NOT_POSTED, subject)
        await effect.settle(tx, again, receipt(1))
        assert await world.alerts.find_open(tx, NOT_POSTED, subject) is None
    assert (again.key, again.payload) == ("btcd-vault:1:1", intent.payload)


async def ended(
    world: World, intents: Intents, state: IntentState, status: int | None = None
) -> None:
    """The newest intent ends; with `status` it was mined, and that is what its receipt says."""
    effect = PostingEffect(world.store, intents, world.alerts)
    world.clock.advance(60)
    async with world.store.begin() as tx:
        newest = (await intents.listed(tx, kind=KIND, limit=1))[0]
        where = intent_table.c.id == newest.id
        await tx.execute(update(intent_table).where(where).values(state=state.value))
        newest = await intents.get(tx, newest.id)
        if status is None:
            await effect.release(tx, newest, "the contract refuses it: epoch")
        else:
            mined = msgspec.structs.replace(receipt(status), tx_hash=f"0x{newest.id * 2}")
            await effect.settle(tx, newest, mined)


async def posted_by_newest(world: World, intents: Intents, root: str) -> None:
    """The indexer comes to the event of the newest intent."""
    async with world.store.begin() as tx:
        newest = (await intents.listed(tx, kind=KIND, limit=1))[0]
        details = {"epoch": newest.payload["number"], "root": root}
        tx_hash = f"0x{newest.id * 2}"
        await world.event(tx, 1, EventKind.EPOCH_POSTED, "", 0, details=details, tx_hash=tx_hash)


async def test_what_a_receipt_says_was_posted_is_not_posted_again_while_the_indexer_lags(
    world: World,
):
    intents, post = posting(world)
    await world.mark(3600)
    (epoch,) = await world.close_all()
    await ended(world, intents, IntentState.SETTLED, 1)
    async with world.store.begin() as tx:
        assert await post.post_missing(tx, world.pool) == 0
    # The owner took it back; it is posted once more, and the indexer lags again.
    await posted_by_newest(world, intents, epoch.root)
    async with world.store.begin() as tx:
        details = {"epoch": 1, "root": epoch.root}
        await world.event(tx, 2, EventKind.EPOCH_REVOKED, "", 0, details=details)
        assert await post.post_missing(tx, world.pool) == 1
    await ended(world, intents, IntentState.SETTLED, 1)
    async with world.store.begin() as tx:
        assert await post.post_missing(tx, world.pool) == 0
    await posted_by_newest(world, intents, epoch.root)
    async with world.store.begin() as tx:
        assert await post.post_missing(tx, world.pool) == 0
        assert [each.key for each in await intents.listed(tx, kind=KIND)] == [
            "btcd-vault:1:1",
            "btcd-vault:1",
        ]


async def test_a_posting_that_was_reverted_is_written_anew(world: World):
    intents, post = posting(world)
    await world.mark(3600)
    await world.close_all()
    await ended(world, intents, IntentState.SETTLED, 0)
    async with world.store.begin() as tx:
        assert await post.post_missing(tx, world.pool) == 1


async def test_the_alert_about_an_epoch_ends_when_the_chain_shows_it(world: World):
    intents, post = posting(world)
    await world.mark(2 * 3600)
    first, _ = await world.close_all()
    async with world.store.begin() as tx:
        effect = PostingEffect(world.store, intents, world.alerts)
        for intent in await intents.listed(tx, kind=KIND):
            await effect.release(tx, intent, "the contract refuses it: epoch")
        details = {"epoch": 1, "root": first.root}
        await world.event(tx, 3700, EventKind.EPOCH_POSTED, "", 0, details=details)
        await post.post_missing(tx, world.pool)
        open_ = {alert.subject for alert in await world.alerts.open(tx, kinds={NOT_POSTED})}
    assert open_ == {"epoch:btcd-vault:2"}


async def test_an_epoch_that_is_on_chain_is_not_posted_again(world: World):
    posting(world, signer=False)
    await world.mark(3600)
    (epoch,) = await world.close_all()
    _, post = posting(world)
    async with world.store.begin() as tx:
        details = {"epoch": 1, "root": epoch.root}
        await world.event(tx, 3700, EventKind.EPOCH_POSTED, "", 0, details=details)
        assert await post.post_missing(tx, world.pool) == 0


async def test_an_epoch_that_the_owner_took_back_is_posted_again_and_proves_nothing(world: World):
    posting(world, signer=False)
    await world.mark(3 * 3600)
    first, second, third = await world.close_all()
    intents, post = posting(world)

    async def on_chain(kind: EventKind, epoch: int, root: str) -> None:
        async with world.store.begin() as tx:
            await world.event(tx, 2 * 3600, kind, "", 0, details={"epoch": epoch, "root": root})

    await on_chain(EventKind.EPOCH_POSTED, 1, first.root)
    await on_chain(EventKind.EPOCH_POSTED, 2, second.root)
    await on_chain(EventKind.EPOCH_POSTED, 3, third.root)
    await on_chain(EventKind.EPOCH_REVOKED, 3, third.root)
    async with world.store.begin() as tx:
        assert (await proof(tx, world.pool.pool_id, ALICE)).root == second.root
        assert await post.post_missing(tx, world.pool) == 1
        (intent,) = await intents.listed(tx, kind=KIND)
    assert intent.payload["number"] == 3
    await on_chain(EventKind.EPOCH_POSTED, 3, third.root)
    async with world.store.begin() as tx:
        assert (await proof(tx, world.pool.pool_id, ALICE)).root == third.root
        assert await post.post_missing(tx, world.pool) == 0


async def test_a_root_on_chain_that_is_not_of_the_books_alerts_and_is_proven_by_nothing(
    world: World,
):
    posting(world, signer=False)
    await world.mark(3600)
    (epoch,) = await world.close_all()
    _, post = posting(world)
    forged = {"epoch": 1, "root": "0x" + "66" * 32}
    async with world.store.begin() as tx:
        await world.event(tx, 3700, EventKind.EPOCH_POSTED, "", 0, details=forged)
        await post.post_missing(tx, world.pool)
        alert = await world.alerts.find_open(tx, FOREIGN_ROOT, "pool:btcd-vault")
        assert alert is not None
        assert alert.details["ours"] == epoch.root
        with pytest.raises(ForeignRootError):
            await proof(tx, world.pool.pool_id, ALICE)
        await world.event(tx, 3701, EventKind.EPOCH_REVOKED, "", 0, details=forged)
        assert await post.post_missing(tx, world.pool) == 1
        assert await world.alerts.find_open(tx, FOREIGN_ROOT, "pool:btcd-vault") is None


async def test_an_epoch_that_somebody_else_posted_does_not_hold_up_the_next(world: World):
    posting(world, signer=False)
    await world.mark(3600)
    (first,) = await world.close_all()
    intents, post = posting(world)
    async with world.store.begin() as tx:
        details = {"epoch": 1, "root": first.root}
        await world.event(tx, 3700, EventKind.EPOCH_POSTED, "", 0, details=details)
    await world.mark(2 * 3600)
    (second,) = await world.close_all()
    async with world.store.begin() as tx:
        assert await post.post_missing(tx, world.pool) == 0
        intent = await intents.get(tx, second.intent_id)
    call = await PostingEffect(world.store, intents, world.alerts).call(intent)
    assert call.to == world.pool.rewards_contract
