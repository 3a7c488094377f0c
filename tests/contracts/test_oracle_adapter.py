"""The price feed: what it cannot tell it does not say."""

from __future__ import annotations

import pytest

from tests.contracts.chain import Deployed
from tests.contracts.worlds import DAY, World, refused

DOLLAR = 10**8


@pytest.fixture
def oracle(world: World) -> Deployed:
    """Bounds of 1 and 1,000,000 dollars, 8 decimals, 10 %, a minute, an hour."""
    return world.oracle()


def _submit(world: World, oracle: Deployed, answer: int, age: int = 0):
    return oracle.send(world.operator, "submit", answer, world.chain.timestamp - age)


def test_it_reads_like_an_aggregator(oracle: Deployed, world: World) -> None:
    assert [oracle.call(name) for name in ("decimals", "description", "version")] == [
        8,
        "BTCD / USD",
        1,
    ]
    now = world.chain.timestamp
    (told,) = _submit(world, oracle, 100 * DOLLAR, age=5).named("AnswerUpdated")
    assert (told["current"], told["roundId"], told["updatedAt"]) == (100 * DOLLAR, 1, now - 5)
    assert oracle.call("latestRoundData") == (1, 100 * DOLLAR, now, now - 5, 1)
    world.chain.travel(60)
    _submit(world, oracle, 105 * DOLLAR)
    assert oracle.call("latestRoundData") == (2, 105 * DOLLAR, now + 60, now + 60, 2)
    assert oracle.call("getRoundData", 1) == (1, 100 * DOLLAR, now, now - 5, 1)


def test_without_answers_there_is_no_data(oracle: Deployed, world: World) -> None:
    for call in (("latestRoundData",), ("price_e18",), ("getRoundData", 1)):
        with refused("no data"):
            oracle.call(*call)
    _submit(world, oracle, DOLLAR)
    for unknown in (0, 2, 2**80 - 1):
        with refused("no data"):
            oracle.call("getRoundData", unknown)


def test_answers_out_of_bounds_are_refused_and_not_clamped(oracle: Deployed, world: World) -> None:
    for answer in (0, -1, DOLLAR - 1, 10**14 + 1, 2**255 - 1, -(2**255)):
        with refused("bounds"):
            _submit(world, oracle, answer)
        with refused("bounds"):
            oracle.send(world.owner, "force", answer, world.chain.timestamp)
    for answer in (DOLLAR, 10**14):
        oracle.send(world.owner, "force", answer, world.chain.timestamp)


def test_a_jump_is_refused_in_both_directions(oracle: Deployed, world: World) -> None:
    _submit(world, oracle, 100 * DOLLAR)
    world.chain.travel(60)
    for answer in (110 * DOLLAR + 1, 90 * DOLLAR - 1):
        with refused("deviation"):
            _submit(world, oracle, answer)
    _submit(world, oracle, 110 * DOLLAR)
    world.chain.travel(60)
    _submit(world, oracle, 99 * DOLLAR)
    world.chain.travel(60)
    (forced,) = oracle.send(world.owner, "force", 500 * DOLLAR, world.chain.timestamp).events
    assert forced["current"] == 500 * DOLLAR


def test_small_steps_do_not_add_up_at_once(oracle: Deployed, world: World) -> None:
    _submit(world, oracle, 100 * DOLLAR, age=10)
    world.chain.travel(59)
    with refused("too soon"):
        _submit(world, oracle, 105 * DOLLAR)
    world.chain.travel(1)
    _submit(world, oracle, 105 * DOLLAR)


def test_answers_old_in_the_future_or_out_of_order_are_refused(
    oracle: Deployed, world: World
) -> None:
    with refused("future"):
        _submit(world, oracle, 100 * DOLLAR, age=-1)
    with refused("stale"):
        _submit(world, oracle, 100 * DOLLAR, age=3601)
    _submit(world, oracle, 100 * DOLLAR, age=3600)
    world.chain.travel(60)
    _submit(world, oracle, 100 * DOLLAR)
    world.chain.travel(60)
    with refused("old"):
        _submit(world, oracle, 100 * DOLLAR, age=60)
    _submit(world, oracle, 100 * DOLLAR, age=59)


def test_the_price_with_18_decimals_is_never_stale(oracle: Deployed, world: World) -> None:
    _submit(world, oracle, 250 * DOLLAR, age=600)
    assert oracle.call("price_e18") == 250 * 10**18
    world.chain.travel(3000)
    assert oracle.call("price_e18") == 250 * 10**18
    world.chain.travel(1)
    with refused("stale"):
        oracle.call("price_e18")
    assert oracle.call("latestRoundData")[1] == 250 * DOLLAR


@pytest.mark.parametrize("decimals", [0, 6, 18])
def test_decimals_other_than_eight_are_normalised(decimals: int, world: World) -> None:
    oracle = world.oracle(decimals, low=1, high=10**27)
    _submit(world, oracle, 3 * 10**decimals)
    assert oracle.call("price_e18") == 3 * 10**18


def test_rules_are_set_and_told(oracle: Deployed, world: World) -> None:
    rules = (5, 2**127 - 1, 10_000, 0, 30 * DAY)
    (told,) = oracle.send(world.owner, "set_rules", *rules).events
    names = ("min_answer", "max_answer", "max_deviation_bps", "min_interval", "heartbeat")
    assert tuple(told[name] for name in names) == rules
    assert tuple(oracle.call(name) for name in names) == rules
    _submit(world, oracle, 2**127 - 1, age=10)
    _submit(world, oracle, 5)
    world.chain.travel(1)
    with refused("deviation"):
        _submit(world, oracle, 11)
    _submit(world, oracle, 10)


def test_senseless_rules_are_refused(oracle: Deployed, world: World) -> None:
    for reason, *rules in (
        ("bounds", 0, 10, 1, 0, 1),
        ("bounds", -5, 10, 1, 0, 1),
        ("bounds", 10, 10, 1, 0, 1),
        ("bounds", 1, 2**127, 1, 0, 1),
        ("deviation", 1, 2, 0, 0, 1),
        ("deviation", 1, 2, 10_001, 0, 1),
        ("heartbeat", 1, 2, 1, 0, 0),
        ("heartbeat", 1, 2, 1, 0, 30 * DAY + 1),
    ):
        with refused(reason):
            oracle.send(world.owner, "set_rules", *rules)
    with refused("decimals"):
        world.oracle(19)
    with refused("bounds"):
        world.oracle(8, low=0)
