"""The register of pools."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.chain import Deployed
from tests.contracts.worlds import NOBODY, World, refused

POOL = "btcd-main-pool"


@pytest.fixture
def config(world: World) -> Deployed:
    return world.config()


def _entry(world: World, **changes: Any) -> tuple[Any, ...]:
    entry = {
        "kind": 1,
        "asset": world.token.address,
        "pool": world.token.address,
        "distributor": world.alice,
        "payout": world.bob,
        "oracle": world.carol,
        "risk": world.mallory,
        "active": True,
    }
    return tuple((entry | changes).values())


def test_a_pool_is_entered_and_found(config: Deployed, world: World) -> None:
    receipt = config.send(world.owner, "set_pool", POOL, _entry(world))
    (told,) = receipt.named("PoolSet")
    assert (told["pool_id"], tuple(told["pool"].values())) == (POOL, _entry(world))
    assert tuple(config.call("pool", POOL).values()) == _entry(world)
    assert (config.call("count"), config.call("pool_ids", 0)) == (1, POOL)


def test_an_entry_is_changed_in_its_place(config: Deployed, world: World) -> None:
    config.send(world.owner, "set_pool", POOL, _entry(world))
    config.send(world.owner, "set_pool", "other", _entry(world, kind=2))
    config.send(world.owner, "set_pool", POOL, _entry(world, oracle=NOBODY))
    assert config.call("pool", POOL)["oracle"] == NOBODY
    assert config.call("pool", "other")["kind"] == 2
    assert config.call("count") == 2


def test_senseless_entries_are_refused(config: Deployed, world: World) -> None:
    for reason, pool_id, changes in (
        ("pool id", "", {}),
        ("kind", POOL, {"kind": 0}),
        ("kind", POOL, {"kind": 3}),
        ("not a contract", POOL, {"asset": world.alice}),
        ("not a contract", POOL, {"pool": world.alice}),
    ):
        with refused(reason):
            config.send(world.owner, "set_pool", pool_id, _entry(world, **changes))


def test_an_unknown_pool_is_said_to_be_unknown(config: Deployed, world: World) -> None:
    for call in (("pool", "none"), ("setting", "none", "x")):
        with refused("no such pool"):
            config.call(*call)
    with refused("no such pool"):
        config.send(world.owner, "set_active", "none", True)
    with refused("no such pool"):
        config.send(world.owner, "set_setting", "none", "x", 1)


def test_the_guardian_closes_and_does_not_open(config: Deployed, world: World) -> None:
    config.send(world.owner, "set_pool", POOL, _entry(world))
    (told,) = config.send(world.guardian, "set_active", POOL, False).events
    assert (told["active"], told["by"]) == (False, world.guardian)
    assert config.call("pool", POOL)["active"] is False
    with refused("not owner"):
        config.send(world.guardian, "set_active", POOL, True)
    config.send(world.owner, "set_active", POOL, True)
    assert config.call("pool", POOL)["active"] is True


def test_settings_are_kept_by_name(config: Deployed, world: World) -> None:
    config.send(world.owner, "set_pool", POOL, _entry(world))
    config.send(world.owner, "set_pool", "other", _entry(world))
    receipt = config.send(world.operator, "set_setting", POOL, "min_withdrawal", 5)
    (told,) = receipt.events
    assert (told["setting"], told["amount"]) == ("min_withdrawal", 5)
    config.send(world.owner, "set_setting", POOL, "weight", 7)
    assert config.call("setting", POOL, "min_withdrawal") == 5
    assert config.call("setting", POOL, "weight") == 7
    assert config.call("setting", "other", "weight") == 0
