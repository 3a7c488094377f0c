"""Who may do what: driven by the ABIs, so that no function can be forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.chain import Deployed
from tests.contracts.worlds import DAY, NOBODY, World, batch, refused

OWNER, OPERATOR, GUARDIAN = "not owner", "not operator", "not guardian"
PENDING = "not pending owner"
ENGINE = "not risk engine"
ANYBODY = ""

_HANDOVER = {
    "transfer_ownership": OWNER,
    "accept_ownership": PENDING,
    "set_operator": OWNER,
    "set_guardian": OWNER,
}
_ROLES = _HANDOVER | {"pause": GUARDIAN, "unpause": OWNER}
_SHARES = {"transfer": ANYBODY, "transferFrom": ANYBODY, "approve": ANYBODY, "permit": ANYBODY}

# Every function that changes something, and the refusal that a stranger gets.
RULES: dict[str, dict[str, str]] = {
    "BTCD": _SHARES | {"mint": OWNER},
    "StakingPool": _ROLES
    | {
        "deposit": ANYBODY,
        "deposit_for": ANYBODY,
        "deposit_with_permit": ANYBODY,
        "withdraw": ANYBODY,
        "pay_withdrawals": OPERATOR,
        "rescue": OWNER,
    },
    "BatchPayout": _ROLES
    | {
        "fund": ANYBODY,
        "pay": OPERATOR,
        "claim": ANYBODY,
        "defund": OWNER,
        "rescue": OWNER,
    },
    "RewardDistributor": _ROLES
    | {
        "fund": ANYBODY,
        "defund": OWNER,
        "post_epoch": OPERATOR,
        "revoke_epoch": OWNER,
        "set_delay": OWNER,
        "claim": ANYBODY,
        "rescue": OWNER,
    },
    "RiskEngine": _HANDOVER
    | {"set_limits": OWNER, "tighten": GUARDIAN, "record_withdrawal": ANYBODY},
    "PoolConfig": _HANDOVER | {"set_pool": OWNER, "set_active": OWNER, "set_setting": OPERATOR},
    "OracleAdapter": _ROLES | {"submit": OPERATOR, "force": OWNER, "set_rules": OWNER},
    "Vault": _ROLES
    | _SHARES
    | {
        "deposit": ANYBODY,
        "mint": ANYBODY,
        "withdraw": ANYBODY,
        "redeem": ANYBODY,
        "request_redeem": ANYBODY,
        "process_queue": OPERATOR,
        "claim_queued": ANYBODY,
        "report_loss": OWNER,
        "deploy_funds": OPERATOR,
        "return_funds": ANYBODY,
        "set_deployment": OWNER,
        "set_min_request": OWNER,
        "set_limited": ENGINE,
        "rescue": OWNER,
    },
}

MAKERS: dict[str, Callable[[World], Deployed]] = {
    "BTCD": lambda world: world.token,
    "StakingPool": World.pool,
    "BatchPayout": World.payout,
    "RewardDistributor": World.distributor,
    "RiskEngine": World.risk,
    "PoolConfig": World.config,
    "OracleAdapter": World.oracle,
    "Vault": World.vault,
}

WITH_ROLES = sorted(set(MAKERS) - {"BTCD"})
WITH_PAUSES = sorted(name for name in WITH_ROLES if "pause" in RULES[name])


def _changing(contract: Deployed) -> list[dict[str, Any]]:
    return [
        entry
        for entry in contract.abi
        if entry["type"] == "function" and entry["stateMutability"] not in {"view", "pure"}
    ]


def _filler(parameter: dict[str, Any]) -> Any:
    kind = parameter["type"]
    if kind == "tuple":
        return tuple(_filler(part) for part in parameter["components"])
    if kind.endswith("[]"):
        return []
    plain = {"address": NOBODY, "bool": True, "string": "x", "bytes32": bytes(32)}
    return plain.get(kind, 1)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_each_function_has_a_rule(name: str, world: World) -> None:
    contract = MAKERS[name](world)
    assert {entry["name"] for entry in _changing(contract)} == set(RULES[name])


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_each_restricted_function_refuses_everybody_else(name: str, world: World) -> None:
    contract = MAKERS[name](world)
    allowed = {
        OWNER: {world.owner},
        OPERATOR: {world.operator, world.owner},
        GUARDIAN: {world.guardian, world.operator, world.owner},
        PENDING: set(),
        ENGINE: set(),
    }
    # Where the owner or the operator is no exception, the owner and the operator are tried too.
    strict = {"pay_withdrawals", "pay", "post_epoch", "submit", "process_queue", "deploy_funds"}
    for entry in _changing(contract):
        rule = RULES[name][entry["name"]]
        if rule == ANYBODY:
            continue
        outsiders = {world.mallory, world.operator, world.guardian, world.owner} - allowed[rule]
        if entry["name"] in strict:
            outsiders.add(world.owner)
        if entry["name"] == "pause":
            outsiders.add(world.operator)
        if entry["name"] == "set_active":
            outsiders.discard(world.guardian)
        for outsider in outsiders:
            with refused(rule):
                contract.send(outsider, entry["name"], *map(_filler, entry["inputs"]))


@pytest.mark.parametrize("name", WITH_ROLES)
def test_ownership_changes_hands_in_two_steps(name: str, world: World) -> None:
    contract = MAKERS[name](world)
    (offered,) = contract.send(world.owner, "transfer_ownership", world.alice).events
    assert (offered["owner"], offered["to"]) == (world.owner, world.alice)
    assert contract.call("owner") == world.owner
    assert contract.call("pending_owner") == world.alice
    with refused(PENDING):
        contract.send(world.bob, "accept_ownership")
    (taken,) = contract.send(world.alice, "accept_ownership").events
    assert (taken["before"], taken["owner"]) == (world.owner, world.alice)
    assert contract.call("owner") == world.alice
    assert contract.call("pending_owner") == NOBODY
    with refused(PENDING):
        contract.send(world.alice, "accept_ownership")
    with refused(OWNER):
        contract.send(world.owner, "set_operator", world.owner)


def test_an_offer_of_ownership_can_be_taken_back(world: World) -> None:
    pool = world.pool()
    pool.send(world.owner, "transfer_ownership", world.alice)
    pool.send(world.owner, "transfer_ownership", NOBODY)
    with refused(PENDING):
        pool.send(world.alice, "accept_ownership")


@pytest.mark.parametrize("name", WITH_ROLES)
def test_operator_and_guardian_are_named_by_the_owner(name: str, world: World) -> None:
    contract = MAKERS[name](world)
    assert contract.call("operator") == world.operator
    assert contract.call("guardian") == world.guardian
    (changed,) = contract.send(world.owner, "set_operator", world.alice).events
    assert (changed["before"], changed["operator"]) == (world.operator, world.alice)
    (changed,) = contract.send(world.owner, "set_guardian", world.bob).events
    assert (changed["before"], changed["guardian"]) == (world.guardian, world.bob)
    assert (contract.call("operator"), contract.call("guardian")) == (world.alice, world.bob)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_contract_without_owner_is_not_made(name: str, world: World) -> None:
    world.owner = NOBODY
    with refused("zero address"):
        if name == "BTCD":
            world.chain.deploy("BTCD", NOBODY)
        else:
            MAKERS[name](world)


# Pauses. A single pool stands for what the shared module does; below, what each bit shuts.


def test_the_guardian_pauses_and_cannot_unpause(world: World) -> None:
    pool = world.pool()
    (event,) = pool.send(world.guardian, "pause", 1, 0).events
    assert (event.name, event["flags"], event["until"]) == ("Paused", 1, 2**256 - 1)
    assert event["by"] == world.guardian
    assert pool.call("paused", 1) is True
    assert pool.call("paused", 2) is False
    assert pool.call("paused_until", 1) == 2**256 - 1
    with refused(OWNER):
        pool.send(world.guardian, "unpause", 1)
    (event,) = pool.send(world.owner, "unpause", 1).events
    assert (event.name, event["flags"], event["by"]) == ("Unpaused", 1, world.owner)
    assert pool.call("paused", 1) is False
    assert pool.call("paused_until", 1) == 0


def test_a_pause_expires_by_itself_to_the_second(world: World) -> None:
    pool = world.pool()
    pool.send(world.guardian, "pause", 1, world.chain.timestamp + 100)
    world.chain.travel(99)
    assert pool.call("paused", 1) is True
    world.chain.travel(1)
    assert pool.call("paused", 1) is False
    assert pool.call("paused_until", 1) == 0


def test_pausing_again_never_shortens_a_pause(world: World) -> None:
    pool = world.pool()
    now = world.chain.timestamp
    pool.send(world.owner, "pause", 3, now + 1000)
    pool.send(world.guardian, "pause", 3, now + 10)
    assert pool.call("paused_until", 1) == now + 1000
    pool.send(world.guardian, "pause", 3, now + 2000)
    assert pool.call("paused_until", 2) == now + 2000


def test_unpausing_one_function_leaves_the_others_paused(world: World) -> None:
    pool = world.pool()
    pool.send(world.owner, "pause", 7, 0)
    pool.send(world.owner, "unpause", 2)
    assert [pool.call("paused", bit) for bit in (1, 2, 4)] == [True, False, True]


def test_a_pause_taken_back_does_not_come_again_with_a_shorter_one(world: World) -> None:
    pool = world.pool()
    now = world.chain.timestamp
    pool.send(world.owner, "pause", 1, 0)
    pool.send(world.owner, "unpause", 1)
    pool.send(world.guardian, "pause", 1, now + 10)
    assert pool.call("paused_until", 1) == now + 10


def test_the_guardian_shuts_exits_for_a_week_at_most(world: World) -> None:
    pool = world.pool()
    now = world.chain.timestamp
    for until in (0, now + 7 * DAY + 1):
        with refused("too long"):
            pool.send(world.guardian, "pause", 2, until)
        with refused("too long"):
            pool.send(world.guardian, "pause", 3, until)
    pool.send(world.guardian, "pause", 2, now + 7 * DAY)
    pool.send(world.guardian, "pause", 5, 0)
    pool.send(world.owner, "pause", 2, 0)
    assert pool.call("paused_until", 2) == 2**256 - 1


def test_exits_stay_open_for_a_week_of_every_two_whatever_the_guardian_wants(
    world: World,
) -> None:
    pool = world.pool()
    world.give(world.alice, 200, pool)
    pool.send(world.alice, "deposit", 100)
    first = world.chain.timestamp
    pool.send(world.guardian, "pause", 2, first + DAY)
    # Longer, and again once it ran out, within the week that began with the first.
    pool.send(world.guardian, "pause", 2, first + 2 * DAY)
    world.chain.travel(3 * DAY)
    pool.send(world.guardian, "pause", 2, first + 7 * DAY)
    # What the owner opens stays within that week too.
    pool.send(world.owner, "unpause", 2)
    with refused("too long"):
        pool.send(world.guardian, "pause", 2, first + 7 * DAY + 1)
    pool.send(world.guardian, "pause", 2, first + 7 * DAY)
    # Other exits have weeks of their own, and what comes in has none.
    pool.send(world.guardian, "pause", 5, 0)
    world.chain.travel(first + 7 * DAY - world.chain.timestamp)
    for _ in range(6):
        with refused("too long"):
            pool.send(world.guardian, "pause", 2, world.chain.timestamp + 10)
        pool.send(world.alice, "withdraw", 10)
        world.chain.travel(DAY)
    world.chain.travel(first + 14 * DAY - world.chain.timestamp)
    pool.send(world.guardian, "pause", 2, first + 21 * DAY)
    with refused("paused"):
        pool.send(world.alice, "withdraw", 10)


def test_the_owner_shuts_exits_for_as_long_as_it_takes(world: World) -> None:
    pool = world.pool()
    for week in (1, 2, 3):
        pool.send(world.owner, "pause", 2, world.chain.timestamp + week * 7 * DAY)
        world.chain.travel(7 * DAY)
    assert pool.call("paused", 2)


def test_senseless_pauses_are_refused(world: World) -> None:
    pool = world.pool()
    for flags in (0, 8, 9, 2**255):
        with refused("flags"):
            pool.send(world.owner, "pause", flags, 0)
        with refused("flags"):
            pool.send(world.owner, "unpause", flags)
    with refused("expired"):
        pool.send(world.owner, "pause", 1, world.chain.timestamp)
    pool.send(world.owner, "pause", 1, world.chain.timestamp + 1)


# By contract: which bit shuts which functions, called with arguments that get that far.
SHUTS: dict[str, dict[int, list[str]]] = {
    "StakingPool": {
        1: ["deposit", "deposit_for", "deposit_with_permit"],
        2: ["withdraw"],
        4: ["pay_withdrawals"],
    },
    "BatchPayout": {1: ["fund"], 2: ["claim"], 4: ["pay"]},
    "RewardDistributor": {1: ["fund"], 2: ["claim"], 4: ["post_epoch"]},
    "OracleAdapter": {1: ["submit"], 2: ["latestRoundData", "getRoundData", "price_e18"]},
    "Vault": {
        1: ["deposit", "mint"],
        2: ["withdraw", "redeem"],
        4: ["request_redeem"],
        8: ["process_queue", "claim_queued"],
    },
}
EXITS = {
    "StakingPool": 2,
    "BatchPayout": 2,
    "RewardDistributor": 2,
    "OracleAdapter": 0,
    "Vault": 14,
}


@pytest.mark.parametrize("name", WITH_PAUSES)
def test_each_bit_shuts_its_functions_and_no_others(name: str, world: World) -> None:
    contract = MAKERS[name](world)
    bits = SHUTS[name]
    assert contract.call("pause_flags") == sum(bits)
    if name == "OracleAdapter":
        contract.send(world.operator, "submit", 10**8, world.chain.timestamp)
    everything = [function for functions in bits.values() for function in functions]
    for bit, functions in bits.items():
        contract.send(world.owner, "pause", bit, 0)
        for function in everything:
            outcome = _reason(contract, function, world)
            assert (outcome == "paused") == (function in functions), (bit, function, outcome)
        contract.send(world.owner, "unpause", bit)


def _reason(contract: Deployed, function: str, world: World) -> str:
    from tests.contracts.chain import RevertedError

    entry = next(e for e in contract.abi if e.get("name") == function and e["type"] == "function")
    args = [_filler(part) for part in entry["inputs"]]
    if function == "deposit_for":
        args[0] = world.alice
    try:
        contract.call(function, *args, sender=world.operator)
    except RevertedError as error:
        return error.reason
    return "done"


@pytest.mark.parametrize("name", WITH_PAUSES)
def test_exits_are_known_as_exits(name: str, world: World) -> None:
    contract = MAKERS[name](world)
    for bit in SHUTS[name]:
        if bit & EXITS[name]:
            with refused("too long"):
                contract.send(world.guardian, "pause", bit, 0)
        else:
            contract.send(world.guardian, "pause", bit, 0)


def test_pausing_the_vault_does_not_touch_its_books(world: World) -> None:
    vault = world.vault()
    world.give(world.alice, 5, vault)
    vault.send(world.alice, "deposit", 5, world.alice)
    vault.send(world.owner, "pause", 15, 0)
    assert (vault.call("totalAssets"), vault.call("totalSupply")) == (5, 5 * 10**6)
    vault.send(world.owner, "unpause", 15)
    assert (vault.call("totalAssets"), vault.call("totalSupply")) == (5, 5 * 10**6)


def test_books_do_not_touch_pauses(world: World) -> None:
    vault = world.vault()
    world.give(world.alice, 5, vault)
    vault.send(world.owner, "pause", 10, 0)
    vault.send(world.alice, "deposit", 5, world.alice)
    assert [vault.call("paused", bit) for bit in (1, 2, 4, 8)] == [False, True, False, True]


def test_a_batch_waits_for_the_end_of_a_pause_and_keeps_its_id(world: World) -> None:
    pool = world.pool()
    world.give(world.alice, 5, pool)
    pool.send(world.alice, "deposit", 5)
    pool.send(world.guardian, "pause", 4, world.chain.timestamp + 60)
    with refused("paused"):
        pool.send(world.operator, "pay_withdrawals", batch(1), [world.alice], [5])
    world.chain.travel(60)
    pool.send(world.operator, "pay_withdrawals", batch(1), [world.alice], [5])
    assert world.balance(world.alice) == 5
