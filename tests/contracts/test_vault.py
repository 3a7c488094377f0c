"""The vault: ERC-4626 to the letter, a queue in order, and books that only owners of shares share."""

from __future__ import annotations

import pytest

from tests.contracts.chain import Deployed
from tests.contracts.worlds import DAY, NOBODY, World, odd, refused

SHARE = 10**6  # shares of one base unit at the start


@pytest.fixture
def vault(odd_world: World) -> Deployed:
    deployed = odd_world.vault()
    for user in odd_world.users:
        odd_world.give(user, 10_000, deployed)
    odd_world.give(odd_world.mallory, 10**30, deployed)
    return deployed


def _owes(vault: Deployed) -> tuple[int, int, int, int]:
    return tuple(
        vault.call(name)
        for name in ("totalAssets", "queued_assets", "unclaimed_assets", "deployed_assets")
    )


def _lend(world: World, vault: Deployed, amount: int) -> None:
    vault.send(world.owner, "set_deployment", world.others[0], 10**40)
    vault.send(world.operator, "deploy_funds", amount)


def _lose(world: World, vault: Deployed, amount: int) -> None:
    """A loss that happened: a rate that is no round number."""
    world.token.send(world.owner, "seize", vault, amount)
    vault.send(world.owner, "report_loss", amount)


def test_it_tells_what_it_is(odd_world: World) -> None:
    risk = odd_world.risk()
    vault = odd_world.vault(risk)
    assert [vault.call(name) for name in ("name", "symbol", "decimals", "asset", "risk")] == [
        "Staked BTCD",
        "sBTCD",
        24,
        odd_world.token.address,
        risk.address,
    ]
    assert (vault.call("queue_head"), vault.call("queue_tail")) == (1, 1)
    for token, engine in ((odd_world.alice, risk), (odd_world.token, odd_world.alice)):
        with refused("not a contract"):
            odd_world.chain.deploy("Vault", token, "n", "s", engine, *odd_world.roles)


# In and out


def test_a_deposit_gives_shares(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    receipt = vault.send(world.alice, "deposit", 100, world.bob)
    (told,) = receipt.named("Deposit")
    assert (told["sender"], told["owner"]) == (world.alice, world.bob)
    assert (told["assets"], told["shares"], receipt.value) == (100, 100 * SHARE, 100 * SHARE)
    made = [event for event in receipt.named("Transfer") if event.address == vault.address]
    assert [(e["sender"], e["receiver"], e["amount"]) for e in made] == [
        (NOBODY, world.bob, 100 * SHARE)
    ]
    assert vault.call("balanceOf", world.bob) == vault.call("totalSupply") == 100 * SHARE
    assert (vault.call("totalAssets"), world.balance(vault)) == (100, 100)
    assert world.balance(world.alice) == 9_900


def test_minting_takes_assets(vault: Deployed, odd_world: World) -> None:
    receipt = vault.send(odd_world.alice, "mint", 3 * SHARE + 1, odd_world.alice)
    assert receipt.value == 4
    assert vault.call("balanceOf", odd_world.alice) == 3 * SHARE + 1
    assert vault.call("totalAssets") == odd_world.balance(vault) == 4


def test_withdrawing_burns_shares(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    vault.send(world.alice, "deposit", 100, world.alice)
    receipt = vault.send(world.alice, "withdraw", 30, world.bob, world.alice)
    (told,) = receipt.named("Withdraw")
    assert (told["sender"], told["receiver"], told["owner"]) == (
        world.alice,
        world.bob,
        world.alice,
    )
    assert (told["assets"], told["shares"], receipt.value) == (30, 30 * SHARE, 30 * SHARE)
    assert (world.balance(world.bob), world.balance(vault)) == (10_030, 70)
    assert (vault.call("totalAssets"), vault.call("totalSupply")) == (70, 70 * SHARE)
    receipt = vault.send(world.alice, "redeem", 70 * SHARE, world.alice, world.alice)
    assert receipt.value == 70
    assert (vault.call("totalAssets"), vault.call("totalSupply")) == (0, 0)
    vault.send(world.bob, "deposit", 100, world.bob)
    with refused("balance"):
        vault.send(world.alice, "redeem", SHARE, world.alice, world.alice)


def test_somebody_else_needs_an_allowance_of_shares(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    vault.send(world.alice, "deposit", 100, world.alice)
    for function, amount in (("withdraw", 10), ("redeem", 10 * SHARE)):
        with refused("allowance"):
            vault.send(world.mallory, function, amount, world.mallory, world.alice)
    with refused("allowance"):
        vault.send(world.mallory, "request_redeem", 10 * SHARE, world.mallory, world.alice)
    vault.send(world.alice, "approve", world.bob, 30 * SHARE)
    vault.send(world.bob, "withdraw", 10, world.bob, world.alice)
    vault.send(world.bob, "redeem", 10 * SHARE, world.bob, world.alice)
    vault.send(world.bob, "request_redeem", 10 * SHARE, world.bob, world.alice)
    assert vault.call("allowance", world.alice, world.bob) == 0
    assert vault.call("balanceOf", world.alice) == 70 * SHARE


def test_nothing_in_or_out_is_refused(vault: Deployed, odd_world: World) -> None:
    alice = odd_world.alice
    vault.send(alice, "deposit", 100, alice)
    with refused("zero shares"):
        vault.send(alice, "deposit", 0, alice)
    with refused("zero shares"):
        vault.send(alice, "mint", 0, alice)
    with refused("zero assets"):
        vault.send(alice, "withdraw", 0, alice, alice)
    with refused("zero assets"):
        vault.send(alice, "redeem", SHARE - 1, alice, alice)
    with refused("zero assets"):
        vault.send(alice, "request_redeem", SHARE - 1, alice, alice)
    with refused("zero address"):
        vault.send(alice, "deposit", 1, NOBODY)
    for nowhere in (NOBODY, vault.address):
        with refused("receiver"):
            vault.send(alice, "request_redeem", SHARE, nowhere, alice)


def test_amounts_beyond_the_books_are_refused(vault: Deployed, odd_world: World) -> None:
    mallory = odd_world.mallory
    odd_world.give(mallory, 2**120)
    most = vault.call("maxDeposit", mallory)
    with refused("too large"):
        vault.send(mallory, "deposit", 2**112, mallory)
    with refused("too large"):
        vault.send(mallory, "mint", 2**128, mallory)
    assert most >= 2**106
    vault.send(mallory, "deposit", most, mallory)


@pytest.mark.parametrize("lost", [0, 1, 333, 4_999])
def test_previews_are_exact_and_rounding_favours_the_vault(
    lost: int, vault: Deployed, odd_world: World
) -> None:
    world = odd_world
    alice = world.alice
    vault.send(alice, "deposit", 5_000, alice)
    if lost:
        _lose(world, vault, lost)
    rate = vault.call("totalAssets") + 1, vault.call("totalSupply") + SHARE
    for amount in (1, 7, 100):
        for function, preview, unit in (
            ("deposit", "previewDeposit", amount),
            ("mint", "previewMint", amount * SHARE + 3),
        ):
            expected = vault.call(preview, unit)
            assert vault.send(world.bob, function, unit, world.bob).value == expected
    for function, preview, unit in (
        ("withdraw", "previewWithdraw", 1),
        ("redeem", "previewRedeem", 7 * SHARE * SHARE + 5),
    ):
        part = min(unit, vault.call("balanceOf", world.bob) // 2)
        expected = vault.call(preview, part)
        receipt = vault.send(world.bob, function, part, world.bob, world.bob)
        assert receipt.value == expected
    after = vault.call("totalAssets") + 1, vault.call("totalSupply") + SHARE
    assert after[0] * rate[1] >= rate[0] * after[1]


def test_conversions_are_the_formula(vault: Deployed, odd_world: World) -> None:
    vault.send(odd_world.alice, "deposit", 5_000, odd_world.alice)
    _lose(odd_world, vault, 1_234)
    assets, supply = 5_000 - 1_234 + 1, 5_000 * SHARE + SHARE
    for amount in (0, 1, 999, 10**12, 10**21):
        shares, up = divmod(amount * supply, assets)
        assert vault.call("convertToShares", amount) == shares
        assert vault.call("previewDeposit", amount) == shares
        assert vault.call("previewWithdraw", amount) == shares + bool(up)
        out, up = divmod(amount * assets, supply)
        assert vault.call("convertToAssets", amount) == out
        assert vault.call("previewRedeem", amount) == out
        assert vault.call("previewMint", amount) == out + bool(up)


# What may be done now


def test_maxima_are_what_goes_through(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    alice = world.alice
    vault.send(alice, "deposit", 5_000, alice)
    _lose(world, vault, 7)
    _lend(world, vault, 3_000)
    most = vault.call("maxWithdraw", alice)
    assert most == vault.call("liquid_assets") == 1_993
    with refused("illiquid"):
        vault.send(alice, "withdraw", most + 1, alice, alice)
    shares = vault.call("maxRedeem", alice)
    assert vault.call("previewRedeem", shares) in (most, most - 1)
    vault.send(alice, "redeem", shares, alice, alice)
    vault.send(world.bob, "deposit", 10, world.bob)
    assert vault.call("maxWithdraw", world.bob) in (9, 10)
    assert vault.call("maxRedeem", world.bob) == vault.call("balanceOf", world.bob)


def test_maxima_are_nothing_while_paused(vault: Deployed, odd_world: World) -> None:
    alice = odd_world.alice
    vault.send(alice, "deposit", 5_000, alice)
    names = ("maxDeposit", "maxMint", "maxWithdraw", "maxRedeem")
    assert 0 not in [vault.call(name, alice) for name in names]
    vault.send(odd_world.owner, "pause", 1, 0)
    assert [bool(vault.call(name, alice)) for name in names] == [False, False, True, True]
    vault.send(odd_world.owner, "pause", 2, 0)
    assert [vault.call(name, alice) for name in names] == [0, 0, 0, 0]


def test_limits_of_the_risk_engine_hold_and_are_told(odd_world: World) -> None:
    world = odd_world
    alice, bob, _ = world.users
    risk = world.risk()
    vault = world.vault(risk)
    for user in world.users:
        world.give(user, 10_000, vault)
    risk.send(world.owner, "set_limits", vault, (1_000, 400, 700, 500, 300))
    assert vault.call("maxDeposit", alice) == 400
    assert vault.call("maxMint", alice) == 400 * SHARE
    with refused("deposit cap"):
        vault.send(alice, "deposit", 401, alice)
    vault.send(alice, "deposit", 400, alice)
    assert vault.call("maxDeposit", alice) == 300
    with refused("user cap"):
        vault.send(alice, "deposit", 301, alice)
    vault.send(alice, "mint", vault.call("maxMint", alice), alice)
    assert vault.call("maxDeposit", alice) == 0
    assert vault.call("maxDeposit", bob) == 300
    with refused("tvl cap"):
        vault.send(bob, "deposit", 301, bob)
    vault.send(bob, "deposit", 300, bob)
    assert vault.call("maxWithdraw", alice) == 300
    with refused("user withdraw limit"):
        vault.send(alice, "withdraw", 301, alice, alice)
    vault.send(alice, "redeem", vault.call("maxRedeem", alice), alice, alice)
    assert (vault.call("maxWithdraw", alice), vault.call("maxRedeem", alice)) == (0, 0)
    assert vault.call("maxWithdraw", bob) == 200
    with refused("withdraw limit"):
        vault.send(bob, "withdraw", 201, bob, bob)
    vault.send(bob, "withdraw", 200, bob, bob)


def test_what_is_paid_to_somebody_else_counts_for_whose_it_was(odd_world: World) -> None:
    world = odd_world
    alice, bob, _ = world.users
    risk = world.risk()
    vault = world.vault(risk)
    world.give(alice, 1_000, vault)
    risk.send(world.owner, "set_limits", vault, (0, 0, 0, 0, 300))
    vault.send(alice, "deposit", 1_000, alice)
    vault.send(alice, "withdraw", 200, bob, alice)
    assert risk.call("withdrawn_today", vault, alice) == 200
    assert risk.call("withdrawn_today", vault, bob) == 0
    with refused("user withdraw limit"):
        vault.send(alice, "withdraw", 101, bob, alice)


def test_limits_set_before_the_vault_was_made_hold(odd_world: World) -> None:
    world = odd_world
    risk = world.risk()
    start = world.chain.snapshot()
    address = world.vault(risk).address
    world.chain.revert(start)
    risk.send(world.owner, "set_limits", address, (100, 0, 0, 0, 0))
    # One transaction later the address would be another.
    world.chain.forget(world.owner)
    vault = world.vault(risk)
    assert vault.address == address
    world.give(world.alice, 1_000, vault)
    with refused("tvl cap"):
        vault.send(world.alice, "deposit", 101, world.alice)


def test_limits_taken_back_are_not_asked_for(odd_world: World) -> None:
    world = odd_world
    risk = world.risk()
    vault = world.vault(risk)
    world.give(world.alice, 1_000, vault)
    risk.send(world.owner, "set_limits", vault, (100, 0, 0, 1, 0))
    with refused("tvl cap"):
        vault.send(world.alice, "deposit", 101, world.alice)
    risk.send(world.owner, "set_limits", vault, (0, 0, 0, 0, 0))
    vault.send(world.alice, "deposit", 101, world.alice)
    vault.send(world.alice, "withdraw", 101, world.alice, world.alice)
    assert (vault.call("totalAssets"), vault.call("totalSupply")) == (0, 0)


def test_a_risk_engine_that_says_no_is_obeyed(odd_world: World) -> None:
    vault = odd_world.vault(odd_world.chain.deploy("NoRisk"))
    odd_world.give(odd_world.alice, 1_000, vault)
    with refused("risk"):
        vault.send(odd_world.alice, "deposit", 1, odd_world.alice)


def test_the_day_limit_leaves_the_queue_open(odd_world: World) -> None:
    world = odd_world
    risk = world.risk()
    vault = world.vault(risk)
    world.give(world.alice, 1_000, vault)
    vault.send(world.alice, "deposit", 1_000, world.alice)
    risk.send(world.owner, "set_limits", vault, (0, 0, 0, 1, 0))
    vault.send(world.alice, "request_redeem", 1_000 * SHARE, world.alice, world.alice)
    vault.send(world.operator, "process_queue", 1)
    assert world.balance(world.alice) == 1_000


# The queue


def test_a_request_fixes_its_assets_and_leaves_the_shares(
    vault: Deployed, odd_world: World
) -> None:
    world = odd_world
    vault.send(world.alice, "deposit", 100, world.alice)
    receipt = vault.send(world.alice, "request_redeem", 60 * SHARE, world.bob, world.alice)
    (told,) = receipt.named("RedeemRequested")
    assert (told["id"], told["owner"], told["receiver"]) == (1, world.alice, world.bob)
    assert (told["shares"], told["assets"], receipt.value) == (60 * SHARE, 60, 1)
    assert _owes(vault) == (40, 60, 0, 0)
    assert vault.call("totalSupply") == vault.call("balanceOf", world.alice) == 40 * SHARE
    assert vault.call("requests", 1) == {
        "owner": world.alice,
        "receiver": world.bob,
        "assets": 60,
        "at": world.chain.timestamp,
        "state": 1,
    }
    _lose(world, vault, 40)
    receipt = vault.send(world.operator, "process_queue", 5)
    (paid,) = receipt.named("RedeemPaid")
    assert (paid["id"], paid["receiver"], paid["assets"], receipt.value) == (1, world.bob, 60, 1)
    assert world.balance(world.bob) == 10_060
    assert _owes(vault) == (0, 0, 0, 0)
    assert (vault.call("queue_head"), vault.call("queue_tail")) == (2, 2)
    assert vault.call("requests", 1)["state"] == 2


def test_the_queue_is_paid_in_order_as_far_as_it_goes(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    alice, _, _ = world.users
    for user in world.users:
        vault.send(user, "deposit", 100, user)
    _lend(world, vault, 150)
    for user in world.users:
        vault.send(user, "request_redeem", 100 * SHARE, user, user)
    assert vault.send(world.operator, "process_queue", 0).value == 0
    receipt = vault.send(world.operator, "process_queue", 200)
    assert [event["receiver"] for event in receipt.named("RedeemPaid")] == [alice]
    assert _owes(vault) == (0, 200, 0, 150)
    world.token.send(world.others[0], "approve", vault, 10**9)
    vault.send(world.others[0], "return_funds", 149)
    assert vault.send(world.operator, "process_queue", 200).value == 1
    vault.send(world.others[0], "return_funds", 1)
    assert vault.send(world.operator, "process_queue", 1).value == 1
    assert vault.send(world.operator, "process_queue", 1).value == 0
    assert [world.balance(user) for user in world.users] == [10_000] * 3
    with refused("too many"):
        vault.send(world.operator, "process_queue", 201)


def test_only_as_many_are_paid_as_were_asked_for(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    for user in world.users:
        vault.send(user, "deposit", 100, user)
        vault.send(user, "request_redeem", 100 * SHARE, user, user)
    assert vault.send(world.operator, "process_queue", 2).value == 2
    assert (vault.call("queue_head"), vault.call("queued_assets")) == (3, 100)


def test_what_the_queue_waits_for_is_not_for_others(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    alice, bob, _ = world.users
    vault.send(alice, "deposit", 100, alice)
    vault.send(bob, "deposit", 100, bob)
    _lend(world, vault, 80)
    vault.send(alice, "request_redeem", 100 * SHARE, alice, alice)
    assert vault.call("maxWithdraw", bob) == vault.call("liquid_assets") == 20
    with refused("illiquid"):
        vault.send(bob, "withdraw", 21, bob, bob)
    with refused("illiquid"):
        vault.send(world.operator, "deploy_funds", 21)
    vault.send(bob, "withdraw", 20, bob, bob)
    assert vault.send(world.operator, "process_queue", 1).value == 1


def test_anybody_processes_a_queue_that_waited_a_week(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    vault.send(world.alice, "deposit", 100, world.alice)
    vault.send(world.alice, "request_redeem", 50 * SHARE, world.alice, world.alice)
    world.chain.travel(7 * DAY - 1)
    with refused("not operator"):
        vault.send(world.mallory, "process_queue", 1)
    world.chain.travel(1)
    assert vault.send(world.mallory, "process_queue", 1).value == 1
    with refused("not operator"):
        vault.send(world.mallory, "process_queue", 1)
    vault.send(world.alice, "request_redeem", 50 * SHARE, world.alice, world.alice)
    with refused("not operator"):
        vault.send(world.mallory, "process_queue", 1)


@pytest.mark.parametrize("way", ["refuses", "lies", "hungry"])
def test_a_receiver_that_cannot_be_paid_holds_nobody_up(
    way: str, vault: Deployed, odd_world: World
) -> None:
    world = odd_world
    alice, bob, carol = world.users
    for user in (alice, bob, carol):
        vault.send(user, "deposit", 100, user)
        vault.send(user, "request_redeem", 100 * SHARE, user, user)
    odd(world, bob, **{way: True})
    receipt = vault.send(world.operator, "process_queue", 3)
    (kept,) = receipt.named("RedeemClaimable")
    assert (kept["id"], kept["receiver"], kept["assets"]) == (2, bob, 100)
    assert [event["receiver"] for event in receipt.named("RedeemPaid")] == [alice, carol]
    assert _owes(vault) == (0, 0, 100, 0)
    for receiver in (world.mallory, carol):
        with refused("not request owner"):
            vault.send(world.mallory, "claim_queued", 2, receiver)
    odd(world, bob)
    (paid,) = vault.send(world.mallory, "claim_queued", 2).named("RedeemPaid")
    assert (paid["id"], paid["receiver"], paid["assets"]) == (2, bob, 100)
    assert world.balance(bob) == 10_000
    assert _owes(vault) == (0, 0, 0, 0)
    with refused("not claimable"):
        vault.send(bob, "claim_queued", 2)


def test_the_owner_of_a_request_names_another_receiver(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    alice, bob, carol = world.users
    vault.send(alice, "deposit", 100, alice)
    vault.send(alice, "request_redeem", 100 * SHARE, bob, alice)
    for nothing in (0, 1, 2):
        with refused("not claimable"):
            vault.send(alice, "claim_queued", nothing)
    odd(world, bob, refuses=True)
    vault.send(world.operator, "process_queue", 1)
    with refused("refused"):
        vault.send(world.mallory, "claim_queued", 1, bob)
    with refused("not request owner"):
        vault.send(bob, "claim_queued", 1, carol)
    vault.send(alice, "claim_queued", 1, carol)
    assert world.balance(carol) == 10_100


def test_a_token_that_moves_and_denies_it_stops_the_queue(
    vault: Deployed, odd_world: World
) -> None:
    world = odd_world
    vault.send(world.alice, "deposit", 100, world.alice)
    vault.send(world.alice, "request_redeem", 100 * SHARE, world.bob, world.alice)
    odd(world, world.bob, moves_and_lies=True)
    with refused("token took more"):
        vault.send(world.operator, "process_queue", 1)


def test_with_too_little_gas_nobody_in_the_queue_loses_the_push(
    vault: Deployed, odd_world: World
) -> None:
    world = odd_world
    vault.send(world.alice, "deposit", 100, world.alice)
    vault.send(world.alice, "request_redeem", 100 * SHARE, world.alice, world.alice)
    with refused("gas"):
        vault.send(world.operator, "process_queue", 1, gas=250_000)


def test_tiny_requests_are_refused_unless_they_are_all(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    (told,) = vault.send(world.owner, "set_min_request", 50).named("MinRequestSet")
    assert told["assets"] == vault.call("min_request") == 50
    vault.send(world.alice, "deposit", 100, world.alice)
    vault.send(world.bob, "deposit", 10, world.bob)
    with refused("too small"):
        vault.send(world.alice, "request_redeem", 49 * SHARE, world.alice, world.alice)
    vault.send(world.alice, "request_redeem", 50 * SHARE, world.alice, world.alice)
    vault.send(world.bob, "request_redeem", 10 * SHARE, world.bob, world.bob)


# Losses and deployment


def test_a_loss_lowers_the_rate_for_shares_alone(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    vault.send(world.alice, "deposit", 100, world.alice)
    vault.send(world.alice, "request_redeem", 30 * SHARE, world.alice, world.alice)
    world.token.send(world.owner, "seize", vault, 35)
    (told,) = vault.send(world.owner, "report_loss", 35).named("LossDeclared")
    assert told["assets"] == 35
    assert _owes(vault) == (35, 30, 0, 0)
    assert vault.call("totalSupply") == 70 * SHARE


def test_only_what_can_be_lost_is_declared_lost(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    vault.send(world.alice, "deposit", 100, world.alice)
    with refused("zero amount"):
        vault.send(world.owner, "report_loss", 0)
    with refused("no such loss"):
        vault.send(world.owner, "report_loss", 1)
    _lend(world, vault, 40)
    world.token.send(world.owner, "seize", vault, 5)
    with refused("no such loss"):
        vault.send(world.owner, "report_loss", 46)
    with refused("more than assets"):
        vault.send(world.owner, "report_loss", 101)
    vault.send(world.owner, "report_loss", 45)
    assert _owes(vault) == (55, 0, 0, 0)
    assert world.balance(vault) == 55
    with refused("no such loss"):
        vault.send(world.owner, "report_loss", 1)


def test_a_donation_hides_no_loss_and_makes_none(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    vault.send(world.alice, "deposit", 100, world.alice)
    _lend(world, vault, 40)
    world.token.send(world.mallory, "transfer", vault, 1_000)
    with refused("no such loss"):
        vault.send(world.owner, "report_loss", 41)
    vault.send(world.owner, "report_loss", 40)
    assert _owes(vault) == (60, 0, 0, 0)


def test_deployment_is_off_until_the_owner_allows_it(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    vault.send(world.alice, "deposit", 100, world.alice)
    with refused("deployment cap"):
        vault.send(world.operator, "deploy_funds", 1)
    for nowhere in (NOBODY, vault.address):
        with refused("treasury"):
            vault.send(world.owner, "set_deployment", nowhere, 1)
    (told,) = vault.send(world.owner, "set_deployment", world.carol, 60).events
    assert (told["treasury"], told["cap"]) == (world.carol, 60)
    assert (vault.call("treasury"), vault.call("deployment_cap")) == (world.carol, 60)
    with refused("zero amount"):
        vault.send(world.operator, "deploy_funds", 0)
    (told,) = vault.send(world.operator, "deploy_funds", 50).named("FundsDeployed")
    assert (told["to"], told["assets"]) == (world.carol, 50)
    assert world.balance(world.carol) == 10_050
    with refused("deployment cap"):
        vault.send(world.operator, "deploy_funds", 11)
    assert _owes(vault) == (100, 0, 0, 50)
    with refused("more than deployed"):
        vault.send(world.carol, "return_funds", 51)
    (told,) = vault.send(world.carol, "return_funds", 20).named("FundsReturned")
    assert (told["sender"], told["assets"]) == (world.carol, 20)
    assert _owes(vault) == (100, 0, 0, 30)
    vault.send(world.owner, "set_deployment", NOBODY, 0)
    with refused("deployment cap"):
        vault.send(world.operator, "deploy_funds", 1)


def test_returned_funds_count_as_they_arrive(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    vault.send(world.alice, "deposit", 1_000, world.alice)
    _lend(world, vault, 500)
    world.token.send(world.owner, "set_rates", 1_000, 0, 0)
    vault.send(world.alice, "return_funds", 100)
    assert vault.call("deployed_assets") == 410
    world.token.send(world.owner, "set_rates", 0, 5, 0)
    with refused("token gave more"):
        vault.send(world.alice, "return_funds", 100)


def test_a_token_with_a_fee_is_refused(vault: Deployed, odd_world: World) -> None:
    odd_world.token.send(odd_world.owner, "set_rates", 1, 0, 0)
    with refused("fee token"):
        vault.send(odd_world.alice, "deposit", 10_000, odd_world.alice)
    with refused("fee token"):
        vault.send(odd_world.alice, "mint", 10_000 * SHARE, odd_world.alice)


def test_a_token_that_gives_more_gives_it_to_nobody(vault: Deployed, odd_world: World) -> None:
    odd_world.token.send(odd_world.owner, "set_rates", 0, 3, 0)
    vault.send(odd_world.alice, "deposit", 100, odd_world.alice)
    assert (vault.call("totalAssets"), odd_world.balance(vault)) == (100, 103)


def test_only_what_is_beyond_the_books_is_rescued(vault: Deployed, odd_world: World) -> None:
    world = odd_world
    alice, bob, _ = world.users
    vault.send(alice, "deposit", 100, alice)
    vault.send(alice, "request_redeem", 30 * SHARE, bob, alice)
    vault.send(alice, "request_redeem", 10 * SHARE, alice, alice)
    odd(world, bob, refuses=True)
    vault.send(world.operator, "process_queue", 1)
    _lend(world, vault, 20)
    assert _owes(vault) == (60, 10, 30, 20)
    world.token.send(world.mallory, "transfer", vault, 9)
    (told,) = vault.send(world.owner, "rescue", world.token, world.carol).named("Rescued")
    assert (told["token"], told["to"], told["amount"]) == (world.token.address, world.carol, 9)
    assert world.balance(vault) == 80
    twin = world.chain.deploy("TwinToken", world.token)
    world.token.send(world.owner, "set_twin", twin)
    with refused("principal"):
        vault.send(world.owner, "rescue", twin, world.owner)
    other = world.chain.deploy("BTCD", world.owner)
    other.send(world.owner, "mint", vault, 9)
    vault.send(world.owner, "rescue", other, world.carol)
    assert other.call("balanceOf", world.carol) == 9
