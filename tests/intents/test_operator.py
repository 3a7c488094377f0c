"""A person may stop, release, retry and give up, with a name, a reason and the proof."""

import pytest
from sqlalchemy import select

from millpond.errors import InvalidInputError
from millpond.intents import Conflicted, IntentState, NotFound, NotReadyError, Unknown
from millpond.intents.errors import (
    IntentBusyError,
    IntentMayBeEffectiveError,
    IntentNotFoundError,
    IntentStateError,
)
from millpond.intents.tables import intent_superseded_table
from millpond.store import Store
from tests.intents.scripted import Scene

ANNA = {"actor": "anna", "reason": "looked at it"}


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


async def test_a_frozen_one_rests_until_it_is_released_where_it_was(scene: Scene):
    intent = await scene.create()
    await scene.drain()
    await scene.operator.freeze(intent.id, **ANNA)
    await scene.drain(60)
    assert (await scene.get(intent)).state is IntentState.FROZEN
    await scene.operator.release(intent.id, **ANNA)
    assert (await scene.get(intent)).state is IntentState.SENT
    await scene.drain()
    assert (await scene.get(intent)).state is IntentState.SETTLED
    async with scene.store.read() as tx:
        events = await scene.intents.events(tx, intent.id)
    assert [e.reason for e in events if e.actor == "anna"] == ["looked at it"] * 2


async def test_freezing_under_a_worker_s_hands_throws_its_result_away(scene: Scene):
    intent = await scene.create()

    async def meanwhile(_: object) -> None:
        await scene.operator.freeze(intent.id, **ANNA)

    scene.handler.during = meanwhile
    await scene.drain()
    frozen = await scene.get(intent)
    assert (frozen.state, frozen.body, scene.handler.sent) == (IntentState.FROZEN, None, [])


async def test_what_was_never_sent_is_abandoned_and_the_money_returns(scene: Scene):
    intent = await scene.create()
    done = await scene.operator.abandon(intent.id, **ANNA)
    assert done.state is IntentState.ABANDONED
    assert "never signed" in done.reason
    with pytest.raises(IntentStateError):
        await scene.operator.abandon(intent.id, **ANNA)


async def test_what_may_be_effective_is_abandoned_only_with_its_identity(scene: Scene):
    intent = await scene.create()
    scene.handler.sends.append(Unknown("?"))
    scene.handler.looks.extend([NotFound()] * 9)
    await scene.drain()
    for confirm in (None, "another"):
        with pytest.raises(IntentMayBeEffectiveError):
            await scene.operator.abandon(intent.id, **ANNA, confirm=confirm)
    done = await scene.operator.abandon(intent.id, **ANNA, confirm="k-1")
    assert done.state is IntentState.ABANDONED
    assert "forced" in done.reason


async def test_what_has_happened_cannot_be_abandoned(scene: Scene):
    from millpond.intents import Confirmed

    intent = await scene.create()
    scene.handler.looks.append(Confirmed(1))
    await scene.drain()
    await scene.drain(1)
    assert (await scene.get(intent)).state is IntentState.CONFIRMED
    with pytest.raises(IntentStateError):
        await scene.operator.abandon(intent.id, **ANNA, confirm="k-1")


async def test_a_conflicting_one_is_prepared_anew_only_with_proof_and_the_old_body_is_kept(
    scene: Scene,
):
    intent = await scene.create()
    await scene.drain()
    scene.handler.looks.append(Conflicted("spent elsewhere"))
    await scene.drain(1)
    with pytest.raises(IntentMayBeEffectiveError):
        await scene.operator.retry(intent.id, **ANNA)
    scene.handler.dead = "an input is gone for good"
    again = await scene.operator.retry(intent.id, **ANNA)
    assert (again.state, again.body, again.sends) == (IntentState.CREATED, None, 0)
    await scene.drain()
    assert scene.handler.sent == [b"body-1", b"body-2"]
    async with scene.store.read() as tx:
        (kept,) = (await tx.execute(select(intent_superseded_table))).mappings().all()
    assert (kept["body"], kept["identity"], kept["sends"]) == (b"body-1", "k-1", 1)


async def test_one_that_waits_is_tried_at_once(scene: Scene):
    intent = await scene.create()
    scene.handler.prepares.append(NotReadyError("empty"))
    await scene.drain()
    await scene.operator.retry(intent.id, **ANNA)
    await scene.drain()
    assert (await scene.get(intent)).state is IntentState.SENT


async def test_nobody_acts_behind_a_worker_s_back_or_without_a_name(scene: Scene):
    intent = await scene.create()
    seen = []

    async def meanwhile(_: object) -> None:
        for act in (scene.operator.abandon, scene.operator.retry):
            with pytest.raises(IntentBusyError):
                await act(intent.id, **ANNA)
            seen.append(act)

    scene.handler.during = meanwhile
    await scene.drain()
    assert len(seen) == 2
    with pytest.raises(InvalidInputError):
        await scene.operator.freeze(intent.id, actor=" ", reason="x")
    with pytest.raises(IntentNotFoundError):
        await scene.operator.freeze("none", **ANNA)
