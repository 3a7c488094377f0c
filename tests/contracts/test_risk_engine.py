"""Limits on chain: what may come in, and what may go out in a rolling day."""

from __future__ import annotations

import pytest

from tests.contracts.chain import Deployed
from tests.contracts.worlds import DAY, MAX, World, refused

HOUR = 3600
NAMES = ("tvl_cap", "deposit_cap", "user_cap", "withdraw_limit", "user_withdraw_limit")


@pytest.fixture
def risk(world: World) -> Deployed:
    return world.risk()


def _set(world: World, risk: Deployed, *limits: int) -> str:
    """Limits for Mallory, who stands for a vault."""
    risk.send(world.owner, "set_limits", world.mallory, limits)
    return str(world.mallory)


def test_without_limits_everything_goes(risk: Deployed, world: World) -> None:
    vault = world.mallory
    assert risk.call("check_deposit", 2**200, 2**200, 2**200, sender=vault) is True
    risk.send(vault, "record_withdrawal", world.alice, 2**200)
    assert risk.call("deposit_room", vault, 0, 0) == MAX
    assert risk.call("withdraw_room", vault, world.alice) == MAX
    assert risk.call("limited", vault) is False


def test_limits_are_set_and_told(risk: Deployed, world: World) -> None:
    receipt = risk.send(world.owner, "set_limits", world.mallory, (1, 2, 3, 4, 5))
    (told,) = receipt.named("LimitsSet")
    assert [told[name] for name in NAMES] == [1, 2, 3, 4, 5]
    assert (told["vault"], told["by"]) == (world.mallory, world.owner)
    assert list(risk.call("limits", world.mallory).values()) == [1, 2, 3, 4, 5]
    assert list(risk.call("limits", world.alice).values()) == [0] * 5
    assert risk.call("limited", world.mallory) is True
    for limits in ((2**112, 0, 0, 0, 0), (0, 2**112, 0, 0, 0)):
        with refused("too large"):
            risk.send(world.owner, "set_limits", world.mallory, limits)
    risk.send(world.owner, "set_limits", world.mallory, (2**112 - 1, 2**112 - 1, MAX, MAX, MAX))
    assert list(risk.call("limits", world.mallory).values()) == [2**112 - 1] * 2 + [MAX] * 3


@pytest.mark.parametrize(
    ("limits", "reason"),
    [((100, 0, 0), "tvl cap"), ((0, 100, 0), "deposit cap"), ((0, 0, 100), "user cap")],
)
def test_each_cap_holds_alone_to_the_unit(
    limits: tuple[int, ...], reason: str, risk: Deployed, world: World
) -> None:
    vault = _set(world, risk, *limits, 0, 0)
    before = {"tvl cap": (40, 7), "deposit cap": (10**9, 10**9), "user cap": (10**9, 40)}[reason]
    room = 100 if reason == "deposit cap" else 60
    assert risk.call("deposit_room", vault, *before) == room
    assert risk.call("check_deposit", *before, room, sender=vault) is True
    with refused(reason):
        risk.call("check_deposit", *before, room + 1, sender=vault)
    assert risk.call("check_deposit", *before, MAX // 4, sender=world.alice) is True


def test_a_cap_already_passed_leaves_no_room(risk: Deployed, world: World) -> None:
    vault = _set(world, risk, 100, 0, 50, 0, 0)
    assert risk.call("deposit_room", vault, 101, 0) == 0
    assert risk.call("deposit_room", vault, 0, 51) == 0
    assert risk.call("deposit_room", vault, 90, 45) == 5
    assert risk.call("deposit_room", vault, 97, 45) == 3


def test_the_rolling_day_is_never_shorter_than_a_day(risk: Deployed, world: World) -> None:
    vault = _set(world, risk, 0, 0, 0, 100, 0)
    risk.send(vault, "record_withdrawal", world.alice, 60)
    with refused("withdraw limit"):
        risk.send(vault, "record_withdrawal", world.bob, 41)
    assert risk.call("withdraw_room", vault, world.bob) == 40
    world.chain.travel(DAY)
    assert risk.call("withdraw_room", vault, world.bob) == 40
    with refused("withdraw limit"):
        risk.send(vault, "record_withdrawal", world.bob, 41)
    world.chain.travel(HOUR)
    assert risk.call("withdraw_room", vault, world.bob) == 100
    risk.send(vault, "record_withdrawal", world.bob, 100)
    with refused("withdraw limit"):
        risk.send(vault, "record_withdrawal", world.bob, 1)


def test_the_window_forgets_hour_by_hour(risk: Deployed, world: World) -> None:
    vault = _set(world, risk, 0, 0, 0, 1000, 0)
    for _ in range(30):
        risk.send(vault, "record_withdrawal", world.alice, 10)
        world.chain.travel(HOUR)
    # The hour that runs and the 24 before it: the last entry was an hour ago.
    assert risk.call("withdrawn_today", vault, vault) == 240
    world.chain.travel(10 * HOUR)
    assert risk.call("withdrawn_today", vault, vault) == 140
    risk.send(vault, "record_withdrawal", world.alice, 7)
    assert risk.call("withdrawn_today", vault, vault) == 147
    world.chain.travel(14 * HOUR)
    assert risk.call("withdrawn_today", vault, vault) == 7
    world.chain.travel(400 * DAY)
    assert risk.call("withdrawn_today", vault, vault) == 0
    risk.send(vault, "record_withdrawal", world.alice, 1000)
    assert risk.call("withdrawn_today", vault, vault) == 1000


def test_the_first_entry_of_a_user_is_cheap(risk: Deployed, world: World) -> None:
    vault = _set(world, risk, 0, 0, 0, 0, 100)
    assert risk.send(vault, "record_withdrawal", world.alice, 1).gas_used < 110_000


def test_each_user_has_a_limit_of_their_own(risk: Deployed, world: World) -> None:
    vault = _set(world, risk, 0, 0, 0, 150, 100)
    risk.send(vault, "record_withdrawal", world.alice, 100)
    with refused("user withdraw limit"):
        risk.send(vault, "record_withdrawal", world.alice, 1)
    assert risk.call("withdraw_room", vault, world.alice) == 0
    assert risk.call("withdraw_room", vault, world.bob) == 50
    assert risk.call("withdrawn_today", vault, world.alice) == 100
    with refused("withdraw limit"):
        risk.send(vault, "record_withdrawal", world.bob, 51)
    risk.send(vault, "record_withdrawal", world.bob, 50)


def test_a_limit_lowered_below_what_is_out_leaves_no_room(risk: Deployed, world: World) -> None:
    vault = _set(world, risk, 0, 0, 0, 100, 100)
    risk.send(vault, "record_withdrawal", world.alice, 80)
    _set(world, risk, 0, 0, 0, 50, 100)
    assert risk.call("withdraw_room", vault, world.alice) == 0
    _set(world, risk, 0, 0, 0, 0, 50)
    assert risk.call("withdraw_room", vault, world.alice) == 0


def test_nobody_uses_up_the_limits_of_another_vault(risk: Deployed, world: World) -> None:
    vault = _set(world, risk, 0, 0, 0, 100, 0)
    risk.send(world.bob, "record_withdrawal", world.alice, 100)
    assert risk.call("withdraw_room", vault, world.alice) == 100


def test_guardian_and_operator_only_tighten_what_comes_in(risk: Deployed, world: World) -> None:
    vault = _set(world, risk, 100, 0, 50, 7, 8)
    receipt = risk.send(world.guardian, "tighten", vault, 90, 30, 0)
    assert receipt.named("LimitsSet")[0]["by"] == world.guardian
    assert list(risk.call("limits", vault).values()) == [90, 30, 50, 7, 8]
    risk.send(world.operator, "tighten", vault, 90, 0, 49)
    for looser in ((91, 0, 0), (0, 31, 0), (0, 0, 50)):
        with refused("looser"):
            risk.send(world.guardian, "tighten", vault, *looser)
    assert list(risk.call("limits", vault).values()) == [90, 30, 49, 7, 8]
    risk.send(world.owner, "tighten", vault, 1, 1, 1)
