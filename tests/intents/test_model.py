"""The table of transitions, and everything that can happen to an intent, against it."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from millpond.errors import ConflictError, UnavailableError
from millpond.intents import (
    Accepted,
    Confirmed,
    Conflicted,
    Intent,
    IntentState,
    NotFound,
    NotReadyError,
    Pending,
    Policy,
    RefusedError,
    Rejected,
    Unknown,
)
from millpond.intents.model import FINAL, LIVE, TRANSITIONS, backoff_ms
from millpond.store import Store
from millpond.store.events import read_events
from tests.intents.scripted import Scene


def test_nothing_follows_a_final_state_and_every_other_can_end():
    assert all(not TRANSITIONS[state] for state in FINAL)
    for state in LIVE | {IntentState.FROZEN}:
        seen, edge = {state}, {state}
        while edge:
            edge = {after for before in edge for after in TRANSITIONS[before]} - seen
            seen |= edge
        assert seen >= FINAL


def test_what_was_sent_cannot_fail():
    for state in (IntentState.SENDING, IntentState.SENT, IntentState.CONFIRMED):
        assert IntentState.FAILED not in TRANSITIONS[state]
    assert IntentState.ABANDONED not in TRANSITIONS[IntentState.CONFIRMED]


@given(st.integers(1, 500), st.floats(0, 1, exclude_max=True))
def test_waits_are_bounded_and_spread_over_their_upper_half(tries: int, jitter: float):
    policy = Policy(backoff_ms=1000, backoff_max_ms=60_000)
    full = min(60_000, 1000 * 2 ** min(tries - 1, 40))
    assert full // 2 <= backoff_ms(policy, tries, jitter) <= full


ANSWERS = [Accepted(), Rejected("no"), Unknown("?"), UnavailableError("down")]
SIGHTS = [NotFound(), Pending(), Confirmed(1), Confirmed(9), Conflicted("x"), UnavailableError("x")]
MAKINGS = [None, NotReadyError("wait"), RefusedError("never"), UnavailableError("down")]


class Machine(RuleBasedStateMachine):
    """One intent, a world that says anything, and a person who does anything."""

    template: Path
    directory: Path

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        path = self.directory / "machine.db"
        for old in self.directory.glob("machine.db*"):
            old.unlink()
        shutil.copy(self.template, path)
        self.loop.run(self._open(f"sqlite:///{path}"))

    async def _open(self, url: str) -> None:
        self.store = await Store.open(url, pool_size=1)
        policy = Policy(settle_depth=2, poll_ms=1000, patience_ms=2000, max_tries=4, max_sends=5)
        self.scene = Scene(self.store, policy)
        self.intent: Intent = await self.scene.create("k", lane="lane")

    def teardown(self) -> None:
        self.loop.run(self.store.close())
        self.loop.close()

    @property
    def ended(self) -> bool:
        return self.now.state in FINAL

    @property
    def now(self) -> Intent:
        return self.loop.run(self.scene.get(self.intent))

    @precondition(lambda self: not self.ended)
    @rule(
        make=st.sampled_from(MAKINGS),
        answer=st.sampled_from(ANSWERS),
        sight=st.sampled_from(SIGHTS),
        seconds=st.sampled_from([0, 1, 3, 400]),
    )
    def work(self, make: Any, answer: Any, sight: Any, seconds: float) -> None:
        handler = self.scene.handler
        for queue, item in ((handler.prepares, make), (handler.sends, answer)):
            queue.clear()
            queue.extend([item] * 3 if item is not None else [])
        handler.looks.clear()
        handler.looks.extend([sight] * 3)
        self.scene.clock.advance(seconds)
        self.loop.run(self.scene.runner.run_once())

    @rule(
        act=st.sampled_from(["freeze", "release", "retry", "abandon"]),
        forced=st.booleans(),
        dead=st.booleans(),
    )
    def person(self, act: str, forced: bool, dead: bool) -> None:
        self.scene.handler.dead = "proof" if dead else None
        before = self.now
        options: dict[str, Any] = {"actor": "anna", "reason": "so"}
        if act == "abandon" and forced:
            options["confirm"] = before.identity
        try:
            self.loop.run(getattr(self.scene.operator, act)(before.id, **options))
        except ConflictError:
            assert self.now == before, "what is refused changes nothing"

    @invariant()
    def the_history_is_a_path_of_the_table(self) -> None:
        async def events() -> Any:
            async with self.store.read() as tx:
                return await self.scene.intents.events(tx, self.intent.id)

        found = self.loop.run(events())
        assert [event.seq for event in found] == list(range(len(found)))
        assert found[0].from_state is None
        for former, later in itertools.pairwise(found):
            assert later.from_state is former.to_state
            assert later.to_state in TRANSITIONS[former.to_state]
        now = self.now
        assert (found[-1].to_state, len(found) - 1) == (now.state, now.version)

    @invariant()
    def money_moves_once_and_with_the_state(self) -> None:
        async def moves() -> Any:
            async with self.store.read() as tx:
                return [e.payload for e in await read_events(tx, after=0, topics=["money"])]

        state = self.now.state
        expected = {
            IntentState.SETTLED: [{"settled": "k"}],
            IntentState.FAILED: [{"released": "k"}],
            IntentState.ABANDONED: [{"released": "k"}],
        }
        assert self.loop.run(moves()) == expected.get(state, [])

    @invariant()
    def nothing_is_sent_that_is_not_stored(self) -> None:
        now, sent = self.now, self.scene.handler.sent
        assert now.sends <= 5
        if now.was_sent:
            assert now.body is not None
            assert sent[-1:] in ([now.body], [])


@pytest.mark.slow
def test_whatever_happens_the_table_holds_and_money_moves_once(
    sqlite_template: Path, tmp_path: Path
):
    Machine.template, Machine.directory = sqlite_template, tmp_path
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
