"""The direct pool: what was staked goes back to who staked it, and nowhere else."""

from __future__ import annotations

import pytest

from tests.contracts.chain import Deployed
from tests.contracts.worlds import NOBODY, World, batch, odd, refused

NO_BATCH = bytes(32)


@pytest.fixture
def pool(world: World) -> Deployed:
    deployed = world.pool()
    for user in world.users:
        world.give(user, 1000, deployed)
    return deployed


@pytest.fixture
def odd_pool(odd_world: World) -> Deployed:
    deployed = odd_world.pool()
    for user in odd_world.users:
        odd_world.give(user, 1000, deployed)
    return deployed


def _books(pool: Deployed, *users: str) -> list[int]:
    return [pool.call("balance_of", user) for user in users] + [pool.call("total_staked")]


def test_a_user_whose_payment_burns_gas_burns_no_more_than_one_payment_may(
    odd_pool: Deployed, odd_world: World
) -> None:
    world = odd_world
    for user in world.users:
        odd_pool.send(user, "deposit", 100)
    odd(world, world.alice, hungry=True)
    args = (batch(1), list(world.users), [60, 60, 60])
    receipt = odd_pool.send(world.operator, "pay_withdrawals", *args, gas=3_000_000)
    assert [event["user"] for event in receipt.named("WithdrawalSkipped")] == [world.alice]
    assert [event["user"] for event in receipt.named("Withdrawn")] == [world.bob, world.carol]
    assert receipt.gas_used < 400_000


def test_it_knows_its_asset_and_takes_only_a_contract(pool: Deployed, world: World) -> None:
    assert pool.call("asset") == world.token.address
    with refused("not a contract"):
        world.chain.deploy("StakingPool", world.alice, *world.roles)


def test_a_deposit_is_credited_and_told(pool: Deployed, world: World) -> None:
    pool.send(world.alice, "deposit", 100)
    receipt = pool.send(world.alice, "deposit", 50)
    (told,) = receipt.named("Deposited")
    assert (told["user"], told["amount"], told["balance"]) == (world.alice, 50, 150)
    assert _books(pool, world.alice) == [150, 150]
    assert world.balance(pool) == 150


def test_a_deposit_for_somebody_is_theirs(pool: Deployed, world: World) -> None:
    (told,) = pool.send(world.alice, "deposit_for", world.bob, 70).named("Deposited")
    assert (told["user"], told["balance"]) == (world.bob, 70)
    assert _books(pool, world.alice, world.bob) == [0, 70, 70]
    assert world.balance(world.alice) == 930
    with refused("zero address"):
        pool.send(world.alice, "deposit_for", NOBODY, 1)


def test_a_deposit_of_nothing_is_refused(pool: Deployed, world: World) -> None:
    with refused("zero amount"):
        pool.send(world.alice, "deposit", 0)


def test_a_deposit_needs_balance_and_allowance(pool: Deployed, world: World) -> None:
    with refused("balance"):
        pool.send(world.alice, "deposit", 1001)
    world.token.send(world.alice, "approve", pool, 5)
    with refused("allowance"):
        pool.send(world.alice, "deposit", 6)


def test_a_deposit_with_permit_needs_no_approval(pool: Deployed, world: World) -> None:
    world.token.send(world.alice, "approve", pool, 0)
    signature = world.permit(world.token, world.alice, pool, 60)
    pool.send(world.alice, "deposit_with_permit", 60, *signature)
    assert _books(pool, world.alice) == [60, 60]


def test_a_permit_that_somebody_sent_first_does_no_harm(pool: Deployed, world: World) -> None:
    world.token.send(world.alice, "approve", pool, 0)
    signature = world.permit(world.token, world.alice, pool, 60)
    world.token.send(world.mallory, "permit", world.alice, pool, 60, *signature)
    pool.send(world.alice, "deposit_with_permit", 60, *signature)
    assert _books(pool, world.alice) == [60, 60]
    with refused("allowance"):
        pool.send(world.alice, "deposit_with_permit", 60, *signature)


def test_a_withdrawal_goes_to_its_user(pool: Deployed, world: World) -> None:
    pool.send(world.alice, "deposit", 100)
    pool.send(world.bob, "deposit", 100)
    (told,) = pool.send(world.alice, "withdraw", 40).named("Withdrawn")
    assert (told["user"], told["amount"], told["balance"]) == (world.alice, 40, 60)
    assert told["batch_id"] == NO_BATCH
    assert _books(pool, world.alice, world.bob) == [60, 100, 160]
    assert world.balance(world.alice) == 940
    with refused("balance"):
        pool.send(world.alice, "withdraw", 61)
    with refused("zero amount"):
        pool.send(world.alice, "withdraw", 0)
    pool.send(world.alice, "withdraw", 60)
    assert _books(pool, world.alice, world.bob) == [0, 100, 100]


def test_a_batch_pays_each_from_their_own(pool: Deployed, world: World) -> None:
    pool.send(world.alice, "deposit", 100)
    pool.send(world.bob, "deposit", 100)
    receipt = pool.send(
        world.operator, "pay_withdrawals", batch(1), [world.alice, world.bob], [100, 30]
    )
    told = receipt.named("Withdrawn")
    assert [(event["user"], event["amount"], event["balance"]) for event in told] == [
        (world.alice, 100, 0),
        (world.bob, 30, 70),
    ]
    assert {event["batch_id"] for event in told} == {batch(1)}
    assert _books(pool, world.alice, world.bob) == [0, 70, 70]
    assert (world.balance(world.alice), world.balance(world.bob)) == (1000, 930)
    assert pool.call("batch_done", batch(1)) is True
    assert pool.call("batch_done", batch(2)) is False


def test_a_batch_id_works_once(pool: Deployed, world: World) -> None:
    pool.send(world.alice, "deposit", 100)
    args = (batch(1), [world.alice], [10])
    pool.send(world.operator, "pay_withdrawals", *args)
    with refused("batch done"):
        pool.send(world.operator, "pay_withdrawals", *args)
    assert _books(pool, world.alice) == [90, 90]


def test_senseless_batches_are_refused(pool: Deployed, world: World) -> None:
    with refused("batch id"):
        pool.send(world.operator, "pay_withdrawals", NO_BATCH, [world.alice], [1])
    for users, amounts in (([], []), ([world.alice], []), ([world.alice], [1, 2])):
        with refused("length"):
            pool.send(world.operator, "pay_withdrawals", batch(1), users, amounts)
    with refused(""):
        pool.send(world.operator, "pay_withdrawals", batch(1), [world.alice] * 501, [1] * 501)
    assert pool.call("batch_done", batch(1)) is False


def test_who_is_short_is_skipped_and_the_rest_is_paid(pool: Deployed, world: World) -> None:
    for user in (world.alice, world.bob):
        pool.send(user, "deposit", 100)
    users = [world.alice, world.carol, world.bob, world.alice, world.bob]
    amounts = [60, 5, 101, 60, 0]
    receipt = pool.send(world.operator, "pay_withdrawals", batch(1), users, amounts)
    skipped = receipt.named("WithdrawalSkipped")
    assert [(event["user"], event["amount"], event["reason"]) for event in skipped] == [
        (world.carol, 5, 1),
        (world.bob, 101, 1),
        (world.alice, 60, 1),
        (world.bob, 0, 1),
    ]
    assert {event["batch_id"] for event in skipped} == {batch(1)}
    assert [event["amount"] for event in receipt.named("Withdrawn")] == [60]
    assert _books(pool, world.alice, world.bob, world.carol) == [40, 100, 0, 140]


@pytest.mark.parametrize("way", ["refuses", "lies", "hungry"])
def test_a_failing_transfer_is_skipped_and_keeps_the_balance(
    way: str, odd_pool: Deployed, odd_world: World
) -> None:
    world = odd_world
    for user in world.users:
        odd_pool.send(user, "deposit", 100)
    odd(world, world.bob, **{way: True})
    receipt = odd_pool.send(
        world.operator, "pay_withdrawals", batch(1), list(world.users), [100, 100, 100]
    )
    (skipped,) = receipt.named("WithdrawalSkipped")
    assert (skipped["user"], skipped["amount"], skipped["reason"]) == (world.bob, 100, 2)
    assert _books(odd_pool, *world.users) == [0, 100, 0, 100]
    assert [world.balance(user) for user in world.users] == [1000, 900, 1000]
    odd(world, world.bob)
    odd_pool.send(world.bob, "withdraw", 100)
    assert world.balance(world.bob) == 1000


def test_an_answer_that_is_not_true_counts_as_false(odd_pool: Deployed, odd_world: World) -> None:
    world = odd_world
    odd_pool.send(world.alice, "deposit", 100)
    odd(world, world.alice, silent=True)
    world.token.send(world.owner, "set_answer", world.alice, 2)
    receipt = odd_pool.send(world.operator, "pay_withdrawals", batch(1), [world.alice], [10])
    assert [event["reason"] for event in receipt.named("WithdrawalSkipped")] == [2]
    assert _books(odd_pool, world.alice) == [100, 100]


def test_a_token_that_moves_and_denies_it_stops_the_batch(
    odd_pool: Deployed, odd_world: World
) -> None:
    world = odd_world
    odd_pool.send(world.alice, "deposit", 100)
    odd(world, world.alice, moves_and_lies=True)
    with refused("token took more"):
        odd_pool.send(world.operator, "pay_withdrawals", batch(1), [world.alice], [10])
    with refused("transfer failed"):
        odd_pool.send(world.alice, "withdraw", 10)
    assert _books(odd_pool, world.alice) == [100, 100]


def test_a_token_that_takes_more_than_sent_is_refused(odd_pool: Deployed, odd_world: World) -> None:
    world = odd_world
    for user in (world.alice, world.bob):
        odd_pool.send(user, "deposit", 100)
    world.token.send(world.owner, "set_rates", 0, 0, 1)
    with refused("token took more"):
        odd_pool.send(world.alice, "withdraw", 10)
    with refused("token took more"):
        odd_pool.send(world.operator, "pay_withdrawals", batch(1), [world.alice], [10])


def test_a_transfer_in_that_says_false_is_refused(odd_pool: Deployed, odd_world: World) -> None:
    odd(odd_world, odd_pool, lies=True)
    with refused("transfer failed"):
        odd_pool.send(odd_world.alice, "deposit", 10)


def test_a_transfer_in_that_brings_nothing_is_refused(odd_pool: Deployed, odd_world: World) -> None:
    odd(odd_world, odd_pool, silent=True)
    with refused("nothing arrived"):
        odd_pool.send(odd_world.alice, "deposit", 10)


def test_a_batch_with_too_little_gas_fails_whole_and_skips_nobody(
    pool: Deployed, world: World
) -> None:
    for user in world.users:
        pool.send(user, "deposit", 100)
    args = (batch(1), list(world.users), [100] * 3)
    for gas in (150_000, 250_000, 300_000):
        with refused("gas"):
            pool.send(world.operator, "pay_withdrawals", *args, gas=gas)
    receipt = pool.send(world.operator, "pay_withdrawals", *args, gas=450_000)
    assert receipt.named("WithdrawalSkipped") == []
    assert _books(pool, *world.users) == [0, 0, 0, 0]


def test_tokens_sent_by_mistake_are_rescued_and_principal_is_not(
    pool: Deployed, world: World
) -> None:
    pool.send(world.alice, "deposit", 100)
    with refused("zero address"):
        world.token.send(world.owner, "mint", NOBODY, 1)
    world.token.send(world.bob, "transfer", pool, 7)
    other = world.chain.deploy("BTCD", world.owner)
    other.send(world.owner, "mint", pool, 9)
    (told,) = pool.send(world.owner, "rescue", world.token, world.bob).named("Rescued")
    assert (told["token"], told["to"], told["amount"]) == (world.token.address, world.bob, 7)
    pool.send(world.owner, "rescue", other, world.carol)
    assert other.call("balanceOf", world.carol) == 9
    assert (world.balance(world.bob), world.balance(pool)) == (1000, 100)
    assert _books(pool, world.alice) == [100, 100]


def test_a_second_address_of_the_token_rescues_no_principal(
    odd_pool: Deployed, odd_world: World
) -> None:
    world = odd_world
    odd_pool.send(world.alice, "deposit", 100)
    twin = world.chain.deploy("TwinToken", world.token)
    world.token.send(world.owner, "set_twin", twin)
    with refused("principal"):
        odd_pool.send(world.owner, "rescue", twin, world.owner)
