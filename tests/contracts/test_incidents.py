"""What went wrong elsewhere, done to these contracts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.chain import Deployed
from tests.contracts.merkle import tree
from tests.contracts.worlds import DAY, TOKEN, World, batch, odd, refused


@pytest.mark.parametrize("donated", [1, TOKEN, 10_000 * TOKEN])
def test_the_first_depositor_gains_nothing_by_a_donation(donated: int, world: World) -> None:
    """Inflation: one share, a large donation, and the victim's deposit rounds to no share."""
    vault = world.vault()
    world.give(world.mallory, 1 + donated, vault)
    world.give(world.alice, 1000 * TOKEN, vault)
    vault.send(world.mallory, "deposit", 1, world.mallory)
    world.token.send(world.mallory, "transfer", vault, donated)
    vault.send(world.alice, "deposit", 1000 * TOKEN, world.alice)
    shares = vault.call("balanceOf", world.alice)
    assert shares == 1000 * TOKEN * 10**6
    assert vault.call("previewRedeem", shares) == 1000 * TOKEN
    out = vault.call("maxWithdraw", world.mallory)
    assert out <= 1


def test_a_donation_changes_no_share_and_is_no_ones(world: World) -> None:
    vault = world.vault()
    for user in (world.alice, world.bob):
        world.give(user, 100 * TOKEN, vault)
        vault.send(user, "deposit", 100 * TOKEN, user)
    before = [vault.call("previewRedeem", vault.call("balanceOf", user)) for user in world.users]
    world.give(vault, 1000 * TOKEN)
    assert vault.call("totalAssets") == 200 * TOKEN
    after = [vault.call("previewRedeem", vault.call("balanceOf", user)) for user in world.users]
    assert before == after


def test_a_flash_stake_leaves_with_what_it_brought(world: World) -> None:
    """In and out of one transaction: no gain on chain, and times that show it was never held."""
    flash = world.chain.deploy("Caller")
    vault = world.vault()
    world.give(world.alice, 100 * TOKEN, vault)
    vault.send(world.alice, "deposit", 100 * TOKEN, world.alice)
    world.give(flash, 10_000 * TOKEN)
    approve = world.token.data("approve", vault, 10_000 * TOKEN)
    flash.send(world.mallory, "run", world.token, approve)
    shares = vault.call("previewDeposit", 10_000 * TOKEN)
    flash.send(
        world.mallory,
        "run_twice",
        vault,
        vault.data("deposit", 10_000 * TOKEN, flash),
        vault.data("redeem", shares, flash, flash),
    )
    assert world.balance(flash) == 10_000 * TOKEN
    assert vault.call("balanceOf", flash) == 0
    assert vault.call("previewRedeem", vault.call("balanceOf", world.alice)) == 100 * TOKEN


def test_a_loan_of_a_moment_uses_up_nobodys_day(world: World) -> None:
    risk = world.risk()
    vault = world.vault(risk)
    risk.send(world.owner, "set_limits", vault, (0, 0, 0, 1000, 1000))
    world.give(world.alice, 500, vault)
    vault.send(world.alice, "deposit", 500, world.alice)
    flash = world.chain.deploy("Caller")
    world.give(flash, 3000)
    approve = world.token.data("approve", vault, 10**9)
    flash.send(world.mallory, "run", world.token, approve)
    enter, leave = vault.data("deposit", 1000, flash), vault.data("withdraw", 1000, flash, flash)
    for _ in range(3):
        flash.send(world.mallory, "run_twice", vault, enter, leave)
    assert world.balance(flash) == 3000
    assert risk.call("withdrawn_today", vault, vault) == 0
    assert vault.call("maxWithdraw", world.alice) == 500
    # More than it brought is counted, and so is what an earlier transaction brought.
    flash.send(world.mallory, "run", vault, enter)
    more = vault.data("withdraw", 1300, flash, flash)
    flash.send(world.mallory, "run_twice", vault, enter, more)
    assert risk.call("withdrawn_today", vault, vault) == 300
    part = vault.data("withdraw", 350, flash, flash)
    flash.send(world.mallory, "run_twice", vault, part, part)
    assert risk.call("withdrawn_today", vault, flash) == 1000
    with refused("withdraw limit"):
        vault.send(world.alice, "withdraw", 1, world.alice, world.alice)
    little, back = vault.data("deposit", 10, flash), vault.data("withdraw", 10, flash, flash)
    flash.send(world.mallory, "run", vault, little)
    flash.send(world.mallory, "run_twice", vault, little, back)
    with refused("withdraw limit"):
        flash.send(world.mallory, "run_twice", vault, back, little)
    # What was brought is taken again once, not as often as one likes.
    both, again = flash.data("run_twice", vault, little, back), flash.data("run", vault, back)
    with refused("withdraw limit"):
        flash.send(world.mallory, "run_twice", flash, both, again)


def test_a_flash_stake_in_the_direct_pool_leaves_with_what_it_brought(world: World) -> None:
    """In and out of one transaction: both events carry the same time, so nothing was earned."""
    flash = world.chain.deploy("Caller")
    pool = world.pool()
    world.give(world.alice, 100 * TOKEN, pool)
    pool.send(world.alice, "deposit", 100 * TOKEN)
    world.give(flash, 10_000 * TOKEN)
    flash.send(world.mallory, "run", world.token, world.token.data("approve", pool, 10_000 * TOKEN))
    calls = [pool.data(name, 10_000 * TOKEN) for name in ("deposit", "withdraw")]
    receipt = flash.send(world.mallory, "run_twice", pool, *calls)
    assert [event.name for event in receipt.events if event.address == pool.address] == [
        "Deposited",
        "Withdrawn",
    ]
    assert world.balance(flash) == 10_000 * TOKEN
    assert pool.call("total_staked") == pool.call("balance_of", world.alice) == 100 * TOKEN


@pytest.mark.parametrize("steps", [1, 60])
def test_rounding_repeated_pays_for_nobody(steps: int, world: World) -> None:
    """Stealth donation: a lone holder leaves units behind, one exit at a time, to lift the rate."""
    vault = world.vault()
    world.give(world.mallory, 1000, vault)
    world.give(world.alice, 1000, vault)
    vault.send(world.mallory, "mint", 3 * 10**6 // 2, world.mallory)
    for _ in range(steps):
        vault.send(world.mallory, "mint", 1, world.mallory)
        vault.send(world.mallory, "redeem", 10**6, world.mallory, world.mallory)
        vault.send(world.mallory, "mint", 10**6, world.mallory)
    vault.send(world.alice, "deposit", 1000, world.alice)
    assert vault.call("maxWithdraw", world.alice) >= 998
    left = vault.call("maxRedeem", world.mallory)
    vault.send(world.mallory, "redeem", left, world.mallory, world.mallory)
    assert world.balance(world.mallory) <= 1000


def test_rewards_smaller_than_the_number_of_stakers_are_not_lost(world: World) -> None:
    """Truncation: what an epoch cannot split is carried, and every unit is claimed in the end."""
    distributor = world.distributor()
    world.give(world.owner, 10, distributor)
    distributor.send(world.owner, "fund", 10)
    alice, bob, carol = world.users
    owed = {alice: 4, bob: 3, carol: 3}
    root, proofs = tree(owed)
    distributor.send(world.operator, "post_epoch", 1, root, 10, bytes(32))
    for user in (alice, bob, carol):
        distributor.send(user, "claim", user, owed[user], proofs[user])
    assert world.balance(distributor) == 0
    assert distributor.call("claimed_total") == distributor.call("funded") == 10


# Callbacks. The token calls its sender or receiver in the middle of a transfer.


def _hostile(world: World) -> Deployed:
    """A contract with tokens, called back on each of its transfers."""
    caller = world.chain.deploy("Caller")
    world.give(caller, 1000)
    world.token.send(world.owner, "set_hook", caller, caller)
    return caller


def _through(world: World, caller: Deployed, target: Deployed, name: str, *args: object) -> None:
    caller.send(world.mallory, "run", target, target.data(name, *args))


POOL_CALLS: dict[str, Callable[[World, Deployed], tuple[object, ...]]] = {
    "deposit": lambda w, c: (1,),
    "deposit_for": lambda w, c: (w.mallory, 1),
    "withdraw": lambda w, c: (1,),
    "pay_withdrawals": lambda w, c: (batch(9), [c.address], [1]),
    "rescue": lambda w, c: (w.token, c),
    "pause": lambda w, c: (1, 0),
    "balance_of": lambda w, c: (c,),
    "total_staked": lambda w, c: (),
}


@pytest.mark.parametrize("inner", sorted(POOL_CALLS))
@pytest.mark.parametrize("outer", ["deposit", "withdraw", "pay_withdrawals"])
def test_a_callback_cannot_enter_the_pool_again(outer: str, inner: str, odd_world: World) -> None:
    world = odd_world
    caller = _hostile(world)
    # Even with every role the caller finds the door shut.
    pool = world.chain.deploy("StakingPool", world.token, caller, caller, caller)
    _through(world, caller, world.token, "approve", pool, 1000)
    _through(world, caller, pool, "deposit", 100)
    caller.send(world.mallory, "arm", pool, pool.data(inner, *POOL_CALLS[inner](world, caller)))
    args = {
        "deposit": (50,),
        "withdraw": (50,),
        "pay_withdrawals": (batch(1), [caller.address], [50]),
    }[outer]
    _through(world, caller, pool, outer, *args)
    assert caller.call("armed") is False
    assert caller.call("succeeded") is False
    expected = 150 if outer == "deposit" else 50
    assert pool.call("balance_of", caller) == pool.call("total_staked") == expected
    assert world.balance(pool) == expected


VAULT_CALLS: dict[str, Callable[[World, Deployed], tuple[object, ...]]] = {
    "deposit": lambda w, c: (1, c),
    "mint": lambda w, c: (10**6, c),
    "withdraw": lambda w, c: (1, c, c),
    "redeem": lambda w, c: (10**6, c, c),
    "request_redeem": lambda w, c: (10**6, c, c),
    "process_queue": lambda w, c: (1,),
    "claim_queued": lambda w, c: (1,),
    "report_loss": lambda w, c: (1,),
    "return_funds": lambda w, c: (1,),
    "rescue": lambda w, c: (w.token, c),
    "convertToAssets": lambda w, c: (10**6,),
    "totalAssets": lambda w, c: (),
    "maxWithdraw": lambda w, c: (c,),
}


@pytest.mark.parametrize("inner", sorted(VAULT_CALLS))
@pytest.mark.parametrize("outer", ["deposit", "withdraw", "process_queue"])
def test_a_callback_cannot_enter_the_vault_again(outer: str, inner: str, odd_world: World) -> None:
    world = odd_world
    caller = _hostile(world)
    vault = world.chain.deploy("Vault", world.token, "v", "v", world.risk(), caller, caller, caller)
    _through(world, caller, world.token, "approve", vault, 1000)
    _through(world, caller, vault, "deposit", 100, caller)
    _through(world, caller, vault, "request_redeem", 10 * 10**6, caller, caller)
    caller.send(world.mallory, "arm", vault, vault.data(inner, *VAULT_CALLS[inner](world, caller)))
    args = {"deposit": (50, caller), "withdraw": (50, caller, caller), "process_queue": (1,)}
    _through(world, caller, vault, outer, *args[outer])
    assert caller.call("armed") is False
    assert caller.call("succeeded") is False
    total = {"deposit": 140, "withdraw": 40, "process_queue": 90}[outer]
    assert vault.call("totalAssets") == total
    assert vault.call("totalSupply") == total * 10**6
    assert world.balance(vault) == total + vault.call("queued_assets")


@pytest.mark.parametrize("inner", ["pay", "claim", "fund", "defund", "claimable", "available"])
def test_a_callback_cannot_enter_the_payout_again(inner: str, odd_world: World) -> None:
    world = odd_world
    caller = _hostile(world)
    payout = world.chain.deploy("BatchPayout", world.token, caller, caller, caller)
    _through(world, caller, world.token, "approve", payout, 1000)
    _through(world, caller, payout, "fund", 500)
    odd(world, caller, lies=True)
    _through(world, caller, payout, "pay", batch(1), [caller.address], [100])
    odd(world, caller)
    args = {
        "pay": (batch(3), [caller.address], [1]),
        "claim": (),
        "fund": (1,),
        "defund": (1, caller),
        "claimable": (caller,),
        "available": (),
    }
    for outer, outer_args in (("claim", ()), ("pay", (batch(2), [caller.address], [50]))):
        caller.send(world.mallory, "arm", payout, payout.data(inner, *args[inner]))
        _through(world, caller, payout, outer, *outer_args)
        assert caller.call("armed") is False
        assert caller.call("succeeded") is False
    assert (payout.call("available"), payout.call("owed")) == (350, 0)
    assert world.balance(payout) == 350


@pytest.mark.parametrize("inner", ["fund", "defund", "post_epoch", "claim", "funded", "root"])
def test_a_callback_cannot_enter_the_distributor_again(inner: str, odd_world: World) -> None:
    """Nested, each funding would also count what the other one brought."""
    world = odd_world
    caller = _hostile(world)
    made = world.chain.deploy("RewardDistributor", world.token, world.token, caller, caller, caller)
    _through(world, caller, world.token, "approve", made, 1000)
    root, proofs = tree({caller.address: 100, world.bob: 5})
    _through(world, caller, made, "fund", 200)
    _through(world, caller, made, "post_epoch", 1, root, 105, bytes(32))
    args = {
        "fund": (50,),
        "defund": (1, caller),
        "post_epoch": (2, root, 0, bytes(32)),
        "claim": (caller.address, 100, proofs[caller.address]),
    }
    caller.send(world.mallory, "arm", made, made.data(inner, *args.get(inner, ())))
    _through(world, caller, made, "fund", 100)
    assert caller.call("armed") is False
    assert caller.call("succeeded") is False
    assert made.call("funded") == world.balance(made) == 300


def test_a_callback_claims_no_reward_twice(odd_world: World) -> None:
    world = odd_world
    caller = _hostile(world)
    distributor = world.distributor()
    world.give(world.alice, 1000, distributor)
    distributor.send(world.alice, "fund", 1000)
    root, proofs = tree({caller.address: 100, world.bob: 5})
    distributor.send(world.operator, "post_epoch", 1, root, 105, bytes(32))
    proof = proofs[caller.address]
    caller.send(world.mallory, "arm", distributor, distributor.data("claim", caller, 100, proof))
    distributor.send(world.mallory, "claim", caller, 100, proof)
    assert caller.call("succeeded") is False
    assert world.balance(caller) == 1100


# Odd tokens


def test_a_token_with_a_fee_credits_what_arrived(odd_world: World) -> None:
    world = odd_world
    pool = world.pool()
    world.token.send(world.owner, "set_rates", 250, 0, 0)
    for user in (world.alice, world.bob):
        world.give(user, 1000, pool)
        (told,) = pool.send(user, "deposit", 1000).named("Deposited")
        assert told["amount"] == told["balance"] == 975
    assert pool.call("total_staked") == world.balance(pool) == 1950
    for user in (world.alice, world.bob):
        pool.send(user, "withdraw", 975)
    assert pool.call("total_staked") == world.balance(pool) == 0


def test_one_payee_that_reverts_costs_the_others_nothing(odd_world: World) -> None:
    world = odd_world
    payout = world.payout()
    world.give(world.owner, 1000, payout)
    payout.send(world.owner, "fund", 1000)
    caller = world.chain.deploy("Caller")
    world.token.send(world.owner, "set_hook", caller, world.token)  # has no on_transfer: reverts
    payees = [world.alice, caller.address, world.bob]
    receipt = payout.send(world.operator, "pay", batch(1), payees, [10, 20, 30])
    assert [event["payee"] for event in receipt.named("Paid")] == [world.alice, world.bob]
    assert [event["payee"] for event in receipt.named("Kept")] == [caller.address]
    assert world.balance(world.bob) == 30


# Prices


def test_a_stale_clamped_or_mis_scaled_price_is_not_told(world: World) -> None:
    oracle = world.oracle(8)
    now = world.chain.timestamp
    oracle.send(world.operator, "submit", 100 * 10**8, now)
    with refused("bounds"):  # 18 decimals into a feed of 8
        oracle.send(world.operator, "submit", 100 * 10**18, now)
    world.chain.travel(60)
    with refused("deviation"):  # 6 decimals into a feed of 8
        oracle.send(world.operator, "submit", 100 * 10**6, now + 60)
    with refused("bounds"):  # a crash below the floor is silence, not the floor
        oracle.send(world.operator, "submit", 10**7, now + 60)
    world.chain.travel(3541)
    with refused("stale"):
        oracle.call("price_e18")
    assert oracle.call("latestRoundData")[3] == now


# Roles and the queue


def test_a_stolen_guardian_key_traps_principal_for_a_week_at_most(world: World) -> None:
    pool, vault = world.pool(), world.vault()
    world.give(world.alice, 200, pool, vault)
    pool.send(world.alice, "deposit", 100)
    vault.send(world.alice, "deposit", 100, world.alice)
    until = world.chain.timestamp + 7 * DAY
    pool.send(world.guardian, "pause", 7 - 2, 0)
    pool.send(world.guardian, "pause", 2, until)
    vault.send(world.guardian, "pause", 14, until)
    with refused("paused"):
        pool.send(world.alice, "withdraw", 100)
    with refused("not owner"):
        pool.send(world.guardian, "unpause", 2)
    with refused("too long"):
        pool.send(world.guardian, "pause", 2, until + DAY)
    # Nobody else has to do anything for the exits to open.
    world.chain.travel(7 * DAY)
    for exits, contract in ((2, pool), (14, vault)):
        with refused("too long"):
            contract.send(world.guardian, "pause", exits, world.chain.timestamp + DAY)
    pool.send(world.alice, "withdraw", 100)
    vault.send(world.alice, "redeem", 100 * 10**6, world.alice, world.alice)
    assert world.balance(world.alice) == 200


def test_a_queue_flooded_with_requests_is_paid_in_bites(world: World) -> None:
    vault = world.vault()
    world.give(world.mallory, 1000, vault)
    world.give(world.alice, 1000, vault)
    vault.send(world.mallory, "deposit", 1000, world.mallory)
    vault.send(world.alice, "deposit", 1000, world.alice)
    for _ in range(60):
        vault.send(world.mallory, "request_redeem", 10**6, world.mallory, world.mallory)
    vault.send(world.alice, "request_redeem", 1000 * 10**6, world.alice, world.alice)
    vault.send(world.owner, "set_min_request", 100)
    with refused("too small"):
        vault.send(world.mallory, "request_redeem", 10**6, world.mallory, world.mallory)
    for _ in range(3):
        receipt = vault.send(world.operator, "process_queue", 25)
        assert receipt.gas_used < 25 * 60_000
    assert world.balance(world.alice) == 1000
