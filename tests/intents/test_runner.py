"""An intent takes effect once: stored before it is sent, looked up before it is sent again."""

import pytest
from sqlalchemy import update

from millpond.errors import UnavailableError
from millpond.intents import (
    Confirmed,
    Conflicted,
    FreezeError,
    Intent,
    IntentState,
    NotFound,
    NotReadyError,
    Pending,
    Policy,
    RefusedError,
    Rejected,
    Runner,
    Unknown,
)
from millpond.intents.errors import IntentConflictError, IntentMayBeEffectiveError
from millpond.intents.latency import stage_latencies
from millpond.intents.tables import intent_table
from millpond.store import Store, Tx
from millpond.store.events import read_events
from tests.intents.scripted import Scene


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


async def money(scene: Scene) -> list[dict[str, str]]:
    async with scene.store.read() as tx:
        return [e.payload for e in await read_events(tx, after=0, topics=["money"])]


async def test_the_good_way_is_signed_stored_sent_followed_and_settled(scene: Scene):
    intent = await scene.create()
    scene.handler.looks.extend([Pending(), Confirmed(1), Confirmed(2)])
    await scene.drain()
    sent = await scene.get(intent)
    assert (sent.state, sent.body, sent.identity) == (IntentState.SENT, b"body-1", "k-1")
    for _ in range(3):
        await scene.drain(1)
    assert await scene.path(intent) == [
        "created",
        "signed",
        "sending",
        "sent",
        "confirmed",
        "settled",
    ]
    assert await money(scene) == [{"settled": "k"}]
    assert scene.handler.sent == [b"body-1"]


async def test_what_a_handler_notes_when_it_settles_stays_with_what_it_noted_before(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    async def settle(tx: Tx, intent: Intent, outcome: Confirmed) -> None:
        await scene.intents.note(tx, intent, seen_at=outcome.depth)

    monkeypatch.setattr(scene.handler, "settle", settle)
    intent = await scene.create()
    scene.handler.looks.append(Confirmed(2))
    await scene.drain()
    await scene.drain(1)
    settled = await scene.get(intent)
    assert (settled.state, settled.details) == (IntentState.SETTLED, {"n": 1, "seen_at": 2})


@pytest.mark.parametrize("state", [IntentState.CREATED, IntentState.SENT])
async def test_a_clock_that_was_hours_ahead_holds_nothing_up(scene: Scene, state: IntentState):
    intent = await scene.create()
    if state is IntentState.SENT:
        scene.handler.looks.append(Pending())
        await scene.drain()
    assert (await scene.get(intent)).state is state
    later = scene.clock.now_ms() + 6 * 3_600_000
    astray = {
        "due_ms": later,
        "locked_by": "w-2",
        "locked_ms": later,
        "lease_until_ms": later + 60_000,
    }
    async with scene.store.begin() as tx:
        await tx.execute(
            update(intent_table).where(intent_table.c.id == intent.id).values(**astray)
        )
    assert not (await scene.get(intent)).leased(scene.clock.now_ms())
    scene.handler.looks.extend([Confirmed(2), Confirmed(2)])
    for _ in range(4):
        await scene.drain(1)
    assert (await scene.get(intent)).state is IntentState.SETTLED
    assert scene.handler.sent == [b"body-1"]


async def test_the_same_key_is_the_same_intent_and_another_body_is_an_error(scene: Scene):
    first = await scene.create("a")
    assert (await scene.create("a")).id == first.id
    with pytest.raises(IntentConflictError):
        async with scene.store.begin() as tx:
            await scene.intents.create(tx, "gift", "a", {"to": "other"})


async def test_an_unknown_outcome_is_looked_up_and_the_same_bytes_go_again_after_patience(
    scene: Scene,
):
    intent = await scene.create()
    scene.handler.sends.append(Unknown("no answer"))
    scene.handler.looks.extend([NotFound()] * 3)
    await scene.drain()
    await scene.drain(1)
    await scene.drain(1)
    assert (await scene.get(intent)).state is IntentState.SENDING
    assert scene.handler.sent == [b"body-1"]
    await scene.drain(5)
    await scene.drain(5)
    assert scene.handler.sent == [b"body-1", b"body-1"]
    assert scene.handler.made == 1
    await scene.drain(5)
    assert (await scene.get(intent)).state is IntentState.SETTLED


async def test_an_answer_lost_after_acceptance_is_found_and_nothing_is_sent_again(scene: Scene):
    intent = await scene.create()
    scene.handler.sends.append(UnavailableError("connection lost"))
    await scene.drain()
    await scene.drain(2)
    assert (await scene.get(intent)).state is IntentState.SETTLED
    assert len(scene.handler.sent) == 1


async def test_a_refusal_is_held_against_look_ups_and_then_waits_for_a_person(scene: Scene):
    """What was signed and sent stays valid: whoever has the bytes may still bring them in."""
    intent = await scene.create(lane="wallet")
    second = await scene.create("second", lane="wallet")
    scene.handler.sends.append(Rejected("no"))
    scene.handler.looks.extend([NotFound()] * 2)
    await scene.drain()
    assert (await scene.get(intent)).state is IntentState.SENDING
    assert (await scene.get(second)).state is IntentState.CREATED
    await scene.drain(5)
    await scene.drain(1)
    frozen = await scene.get(intent)
    assert (frozen.state, frozen.reason) == (IntentState.FROZEN, "refused: no")
    assert await money(scene) == [{"settled": "second"}]
    with pytest.raises(IntentMayBeEffectiveError):
        await scene.operator.retry(intent.id, actor="anna", reason="again")
    with pytest.raises(IntentMayBeEffectiveError):
        await scene.operator.abandon(intent.id, actor="anna", reason="refused")
    # It comes in after all, and is booked as what it is.
    await scene.operator.release(intent.id, actor="anna", reason="it is in a block")
    await scene.drain(5)
    assert (await scene.get(intent)).state is IntentState.SETTLED
    assert await money(scene) == [{"settled": "second"}, {"settled": "k"}]


async def test_a_wrong_refusal_does_not_return_the_money(scene: Scene):
    intent = await scene.create()
    scene.handler.sends.append(Rejected("no"))
    await scene.drain()
    assert (await scene.get(intent)).state is IntentState.SETTLED
    assert await money(scene) == [{"settled": "k"}]


async def test_what_was_sent_twice_is_never_given_up_by_a_machine(store: Store):
    scene = Scene(store, Policy(patience_ms=100, backoff_ms=100, max_tries=4))
    intent = await scene.create()
    scene.handler.sends.extend([Unknown("?"), *[Rejected("no")] * 50])
    scene.handler.looks.extend([NotFound()] * 100)
    for _ in range(40):
        await scene.drain(1)
    frozen = await scene.get(intent)
    assert frozen.state is IntentState.FROZEN
    assert frozen.frozen_from is IntentState.SENDING
    assert await money(scene) == []


async def test_what_falls_out_is_sent_again_and_a_reorganisation_is_followed(scene: Scene):
    intent = await scene.create()
    await scene.drain()
    scene.handler.looks.extend([Confirmed(1), Pending(), NotFound(), NotFound()])
    for _ in range(4):
        await scene.drain(1)
    await scene.drain(5)
    assert scene.handler.sent == [b"body-1", b"body-1"]
    await scene.drain(5)
    assert (await scene.path(intent))[3:] == [
        "sent",
        "confirmed",
        "sent",
        "sending",
        "sent",
        "settled",
    ]


async def test_a_conflict_waits_for_a_person(scene: Scene):
    intent = await scene.create()
    await scene.drain()
    scene.handler.looks.append(Conflicted("spent elsewhere"))
    await scene.drain(1)
    frozen = await scene.get(intent)
    assert (frozen.state, frozen.reason) == (IntentState.FROZEN, "spent elsewhere")


async def test_what_can_never_be_prepared_fails_and_returns_the_money(scene: Scene):
    intent = await scene.create()
    scene.handler.prepares.append(RefusedError("never"))
    await scene.drain()
    assert (await scene.get(intent)).state is IntentState.FAILED
    assert await money(scene) == [{"released": "k"}]


async def test_what_cannot_be_prepared_now_waits_for_ever_without_counting_tries(scene: Scene):
    intent = await scene.create()
    scene.handler.prepares.extend([NotReadyError("wallet is empty")] * 40)
    for _ in range(40):
        await scene.drain(1)
    waiting = await scene.get(intent)
    assert (waiting.state, waiting.reason) == (IntentState.CREATED, "wallet is empty")
    await scene.drain(1)
    assert (await scene.get(intent)).state is IntentState.SENT


async def test_failures_back_off_and_end_in_front_of_a_person(store: Store):
    scene = Scene(store, Policy(backoff_ms=1000, backoff_max_ms=8000, max_tries=5))
    intent = await scene.create()
    scene.handler.prepares.extend([UnavailableError("down")] * 50)
    waits = []
    for _ in range(5):
        await scene.drain()
        waiting = await scene.get(intent)
        waits.append(waiting.due_ms - scene.clock.now_ms())
        scene.clock.advance(waits[-1] / 1000)
    assert [500 * 2**i <= wait <= 1000 * 2**i for i, wait in enumerate(waits[:4])] == [True] * 4
    assert waits[4] <= 8000
    await scene.drain()
    assert (await scene.get(intent)).state is IntentState.FROZEN


async def test_a_handler_that_sees_something_wrong_stops_everything(scene: Scene):
    intent = await scene.create()
    scene.handler.prepares.append(FreezeError("the daemon lies"))
    await scene.drain()
    assert (await scene.get(intent)).state is IntentState.FROZEN
    assert scene.handler.sent == []


async def test_a_stale_one_that_was_never_sent_expires(scene: Scene):
    intent = await scene.create(expires_ms=scene.clock.now_ms() + 1000)
    await scene.drain(2)
    assert (await scene.get(intent)).state is IntentState.FAILED
    assert scene.handler.made == 0
    assert await money(scene) == [{"released": "k"}]


async def test_only_one_of_a_lane_is_between_prepare_and_sent(scene: Scene):
    first = await scene.create("a", lane="wallet")
    second = await scene.create("b", lane="wallet")
    other = await scene.create("c", lane="another")
    scene.handler.sends.append(Unknown("?"))
    scene.handler.looks.append(NotFound())
    await scene.drain()
    assert (await scene.get(first)).state is IntentState.SENDING
    assert (await scene.get(second)).state is IntentState.CREATED
    assert (await scene.get(other)).state is IntentState.SENT
    await scene.drain(2)
    await scene.drain(5)
    assert (await scene.get(second)).state is not IntentState.CREATED


async def test_a_worker_whose_lease_was_taken_over_writes_nothing(scene: Scene):
    intent = await scene.create()
    second = scene.worker("w2")

    async def be_slow(_: object) -> None:
        scene.handler.during = None
        scene.clock.advance(scene.handler.policy.lease_ms / 1000 + 1)
        assert await second.run_once()

    scene.handler.during = be_slow
    assert await scene.runner.run_once()
    after = await scene.get(intent)
    assert scene.handler.made == 2
    assert scene.handler.sent == [b"body-2"]
    assert (after.state, after.body) == (IntentState.SENT, b"body-2")


async def test_a_live_lease_keeps_others_away(scene: Scene):
    await scene.create()
    second = scene.worker("w2")

    async def look_away(_: object) -> None:
        assert not await second.run_once()

    scene.handler.during = look_away
    assert await scene.runner.run_once()
    assert scene.handler.made == 1


async def test_latencies_of_every_stage_come_from_the_events(scene: Scene):
    for key in "abc":
        await scene.create(key)
    await scene.drain(2)
    await scene.drain(3)
    async with scene.store.read() as tx:
        found = {row.stage: row for row in await stage_latencies(tx)}
    created = found["created→signed"]
    assert (created.count, created.p50_ms, created.max_ms) == (3, 2001, 2002)
    assert found["sent→settled"].p99_ms == 3000


async def test_a_runner_of_some_lanes_leaves_the_others_to_others(scene: Scene):
    other = await scene.create("a", lane="evm:1:x")
    mine = await scene.create("b", lane="evm:2_:y")
    runner = Runner(scene.intents, [scene.handler], "w-lanes", lanes="evm:2_:")
    assert await runner.run_once()
    assert not await runner.run_once()
    assert (await scene.get(mine)).state is IntentState.SENT
    assert (await scene.get(other)).state is IntentState.CREATED
