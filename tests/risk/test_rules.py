"""The decision itself, without a database: what it promises for any facts."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millpond.risk import PLATFORM, Function, Hold, HoldKind, Limits, Request, Role, Rule, Scope
from millpond.risk.errors import refused
from millpond.risk.model import EXITS, NOT_EXITS, LimitError, ScopeError
from millpond.risk.rules import Bound, Facts, Usage, decide
from millpond.risk.watches import jump_bps
from tests.risk.scene import BTCD

amounts = st.integers(0, 1000)
maybe = st.none() | amounts
scopes = st.sampled_from([PLATFORM, Scope.product("staking"), Scope.pool("p"), Scope.user("u")])
bounds = st.builds(
    Bound,
    scope=scopes,
    source=st.sampled_from(["platform", "chain"]),
    limits=st.builds(
        Limits,
        tvl_cap=maybe,
        deposit_cap=maybe,
        user_cap=maybe,
        withdrawal_cap=maybe,
        user_24h=maybe,
        total_24h=maybe,
        change_bps=maybe,
        outflow_cap=maybe,
    ),
    usage=st.builds(
        Usage,
        locked=maybe,
        user_locked=maybe,
        user_out_24h=amounts,
        total_out_24h=amounts,
        change_in=amounts,
        change_out=amounts,
        outflow=amounts,
    ),
)
functions = st.sampled_from(list(Function))


def hold_of(held: frozenset[Function], kind: HoldKind = HoldKind.PAUSE) -> Hold:
    return Hold(
        id="h",
        kind=kind,
        scope=PLATFORM,
        asset="",
        functions=held,
        reason="a leak",
        exits_because="",
        details={},
        actor="ann",
        reset_role=Role.ADMIN,
        count=1,
        since_ms=0,
        last_ms=0,
        until_ms=None,
    )


holds = st.frozensets(functions, min_size=1).map(hold_of)
facts = st.builds(
    Facts,
    bounds=st.lists(bounds, max_size=4).map(tuple),
    holds=st.lists(holds, max_size=2).map(tuple),
    counted=st.booleans(),
)


def request(function: Function, amount: int) -> Request:
    return Request(
        function=function, product="staking", pool_id="p", user="u", asset=BTCD, amount=amount
    )


@settings(max_examples=150, deadline=None)
@given(functions, amounts, facts)
def test_the_room_that_is_told_is_the_largest_amount_that_passes(
    function: Function, amount: int, known: Facts
):
    decision = decide(request(function, amount), known)
    if known.counted or any(function in hold.functions for hold in known.holds):
        return
    if decision.room is None:
        assert decision.allowed
        return
    measured = not any(refusal.rule is Rule.UNMEASURED for refusal in decision.refusals)
    full = any(
        refusal.used is not None and refusal.limit is not None and refusal.used > refusal.limit
        for refusal in decide(request(function, 0), known).refusals
    )
    if measured and not full:
        assert decision.allowed == (amount <= decision.room)
        assert decide(request(function, decision.room), known).allowed
        assert not decide(request(function, decision.room + 1), known).allowed


@settings(max_examples=80, deadline=None)
@given(functions, amounts, facts, bounds)
def test_another_limit_never_allows_what_was_refused(
    function: Function, amount: int, known: Facts, more: Bound
):
    """So the stricter of chain and platform holds, and of any two scopes."""
    wider = msgspec.structs.replace(known, bounds=(*known.bounds, more))
    if not decide(request(function, amount), known).allowed:
        assert not decide(request(function, amount), wider).allowed


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(EXITS)), amounts, facts)
def test_an_emergency_pause_never_refuses_an_exit(exit_: Function, amount: int, known: Facts):
    paused = msgspec.structs.replace(known, holds=(hold_of(NOT_EXITS), *known.holds))
    assert decide(request(exit_, amount), paused) == decide(request(exit_, amount), known)


@settings(max_examples=80, deadline=None)
@given(functions, amounts, facts)
def test_what_was_counted_before_is_stopped_by_holds_alone(
    function: Function, amount: int, known: Facts
):
    counted = msgspec.structs.replace(known, counted=True)
    held = any(function in hold.functions for hold in known.holds)
    assert decide(request(function, amount), counted).allowed is not held


def outflow_bound(cap: int, used: int) -> Bound:
    return Bound(
        scope=Scope.pool("p"),
        source="platform",
        limits=Limits(outflow_cap=cap),
        usage=Usage(outflow=used),
    )


@pytest.mark.parametrize(
    ("amount", "used", "allowed", "trips"),
    [
        (100, 0, True, False),
        (101, 0, False, False),
        (1, 100, False, True),
        (100, 1, False, True),
        (101, 1, False, False),
    ],
)
def test_the_outflow_breaker_trips_on_a_sum_and_not_on_one_that_asks_for_too_much(
    amount: int, used: int, allowed: bool, trips: bool
):
    decision = decide(request(Function.WITHDRAW, amount), Facts(bounds=(outflow_bound(100, used),)))
    assert (decision.allowed, bool(decision.trips)) == (allowed, trips)


def test_every_rule_has_an_error_with_its_own_code():
    for rule in Rule:
        hold = hold_of(frozenset(Function))
        decision = decide(request(Function.CLAIM, 1), Facts(holds=(hold,)))
        refusal = msgspec.structs.replace(decision.refusals[0], rule=rule)
        error = refused(msgspec.structs.replace(decision, refusals=(refusal,)))
        assert error.code == f"risk_{rule.value}"


@pytest.mark.parametrize(
    ("before", "after", "bps"),
    [
        (100, 100, 0),
        (100, 101, 100),
        (100, 99, 100),
        (3, 4, 3334),
        (0, 1, 10**8),
        (10**40, 0, 10**4),
    ],
)
def test_a_jump_is_measured_exactly_and_rounded_against_it(before: int, after: int, bps: int):
    assert jump_bps(before, after) == bps


def test_limits_survive_json_whatever_their_size_and_nonsense_is_refused():
    limits = Limits(tvl_cap=10**77, change_bps=5, outflow_window_s=60)
    assert Limits.from_json(limits.to_json()) == limits
    for document in (
        {"tvl": "1"},
        {"tvl_cap": "much"},
        {"tvl_cap": "-1"},
        {"change_window_s": "1"},
    ):
        with pytest.raises(LimitError):
            Limits.from_json(document)


def test_scopes_are_read_back_from_their_paths():
    for scope in (PLATFORM, Scope.product("mining"), Scope.pool("a:b"), Scope.user("0xA")):
        assert Scope.parse(scope.path) == scope
    for path in ("", "planet:x", "pool", "pool:", "platform:x", "user:" + "x" * 191):
        with pytest.raises(ScopeError):
            Scope.parse(path)
