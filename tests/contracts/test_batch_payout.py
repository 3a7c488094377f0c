"""Batch payouts: one bad payee stops nobody, and no batch is paid twice."""

from __future__ import annotations

import pytest

from tests.contracts.chain import Deployed
from tests.contracts.worlds import NOBODY, World, batch, odd, refused


@pytest.fixture
def payout(odd_world: World) -> Deployed:
    """Funded with 1000 by Mallory, who has nothing else."""
    deployed = odd_world.payout()
    odd_world.give(odd_world.mallory, 1000, deployed)
    deployed.send(odd_world.mallory, "fund", 1000)
    return deployed


def _books(payout: Deployed) -> tuple[int, int]:
    return payout.call("available"), payout.call("owed")


def test_it_knows_its_token_and_takes_only_a_contract(world: World) -> None:
    assert world.payout().call("token") == world.token.address
    with refused("not a contract"):
        world.chain.deploy("BatchPayout", world.alice, *world.roles)


def test_funding_credits_what_arrived(payout: Deployed, odd_world: World) -> None:
    odd_world.give(odd_world.alice, 1000, payout)
    (told,) = payout.send(odd_world.alice, "fund", 100).named("Funded")
    assert (told["sender"], told["amount"]) == (odd_world.alice, 100)
    odd_world.token.send(odd_world.owner, "set_rates", 1000, 0, 0)
    (told,) = payout.send(odd_world.alice, "fund", 100).named("Funded")
    assert told["amount"] == 90
    assert _books(payout) == (1190, 0)


def test_a_batch_pays_everybody(payout: Deployed, odd_world: World) -> None:
    world = odd_world
    receipt = payout.send(world.operator, "pay", batch(1), list(world.users), [10, 20, 30])
    assert [(event["payee"], event["amount"]) for event in receipt.named("Paid")] == list(
        zip(world.users, [10, 20, 30], strict=True)
    )
    assert {event["batch_id"] for event in receipt.named("Paid")} == {batch(1)}
    (done,) = receipt.named("BatchDone")
    assert (done["batch_id"], done["count"], done["total"]) == (batch(1), 3, 60)
    assert [world.balance(user) for user in world.users] == [10, 20, 30]
    assert _books(payout) == (940, 0)
    assert payout.call("batch_done", batch(1)) is True


def test_a_batch_id_works_once(payout: Deployed, odd_world: World) -> None:
    args = (batch(1), [odd_world.alice], [10])
    payout.send(odd_world.operator, "pay", *args)
    with refused("batch done"):
        payout.send(odd_world.operator, "pay", *args)
    assert odd_world.balance(odd_world.alice) == 10


def test_senseless_batches_are_refused(payout: Deployed, odd_world: World) -> None:
    alice = odd_world.alice
    for reason, batch_id, payees, amounts in (
        ("batch id", bytes(32), [alice], [1]),
        ("length", batch(1), [], []),
        ("length", batch(1), [alice], []),
        ("length", batch(1), [alice], [1, 1]),
        ("zero amount", batch(1), [alice, alice], [1, 0]),
        ("payee", batch(1), [NOBODY], [1]),
        ("payee", batch(1), [payout.address], [1]),
        ("funds", batch(1), [alice, alice], [1000, 1]),
        ("", batch(1), [alice] * 501, [1] * 501),
    ):
        with refused(reason):
            payout.send(odd_world.operator, "pay", batch_id, payees, amounts)
    assert _books(payout) == (1000, 0)
    payout.send(odd_world.operator, "pay", batch(1), [alice], [1000])


@pytest.mark.parametrize("way", ["refuses", "lies", "hungry"])
def test_what_a_payee_cannot_take_is_kept_for_them(
    way: str, payout: Deployed, odd_world: World
) -> None:
    world = odd_world
    odd(world, world.bob, **{way: True})
    receipt = payout.send(world.operator, "pay", batch(1), list(world.users), [10, 20, 30])
    (kept,) = receipt.named("Kept")
    assert (kept["batch_id"], kept["payee"], kept["amount"]) == (batch(1), world.bob, 20)
    assert receipt.named("BatchDone")[0]["total"] == 60
    assert _books(payout) == (940, 20)
    payout.send(world.operator, "pay", batch(2), [world.bob], [5])
    assert payout.call("claimable", world.bob) == 25
    assert [world.balance(user) for user in world.users] == [10, 0, 30]
    odd(world, world.bob)
    (claimed,) = payout.send(world.bob, "claim").named("Claimed")
    assert (claimed["payee"], claimed["amount"], claimed["receiver"]) == (world.bob, 25, world.bob)
    assert world.balance(world.bob) == 25
    assert _books(payout) == (935, 0)
    with refused("nothing to claim"):
        payout.send(world.bob, "claim")


def test_a_payee_whom_the_token_refuses_claims_to_another_address(
    payout: Deployed, odd_world: World
) -> None:
    world = odd_world
    odd(world, world.bob, refuses=True)
    payout.send(world.operator, "pay", batch(1), [world.bob], [20])
    with refused("refused"):
        payout.send(world.bob, "claim")
    payout.send(world.bob, "claim", world.carol)
    assert world.balance(world.carol) == 20
    with refused("nothing to claim"):
        payout.send(world.carol, "claim")


def test_a_token_that_moves_and_denies_it_stops_the_batch(
    payout: Deployed, odd_world: World
) -> None:
    odd(odd_world, odd_world.bob, moves_and_lies=True)
    with refused("token took more"):
        payout.send(odd_world.operator, "pay", batch(1), [odd_world.bob], [20])
    assert _books(payout) == (1000, 0)


def test_with_too_little_gas_nothing_is_paid_or_kept(payout: Deployed, odd_world: World) -> None:
    with refused("gas"):
        payout.send(
            odd_world.operator, "pay", batch(1), list(odd_world.users), [1] * 3, gas=250_000
        )


def test_funds_promised_to_nobody_go_back_to_the_owner(payout: Deployed, odd_world: World) -> None:
    world = odd_world
    odd(world, world.bob, refuses=True)
    payout.send(world.operator, "pay", batch(1), [world.bob], [400])
    with refused("funds"):
        payout.send(world.owner, "defund", 601, world.owner)
    with refused("zero amount"):
        payout.send(world.owner, "defund", 0, world.owner)
    (told,) = payout.send(world.owner, "defund", 600, world.carol).named("Defunded")
    assert (told["to"], told["amount"]) == (world.carol, 600)
    assert (world.balance(world.carol), _books(payout)) == (600, (0, 400))


def test_only_what_is_beyond_the_books_is_rescued(payout: Deployed, odd_world: World) -> None:
    world = odd_world
    odd(world, world.bob, refuses=True)
    payout.send(world.operator, "pay", batch(1), [world.bob], [400])
    world.token.send(world.owner, "mint", payout, 7)
    payout.send(world.owner, "rescue", world.token, world.carol)
    assert (world.balance(world.carol), world.balance(payout)) == (7, 1000)
    twin = world.chain.deploy("TwinToken", world.token)
    world.token.send(world.owner, "set_twin", twin)
    with refused("principal"):
        payout.send(world.owner, "rescue", twin, world.owner)
    other = world.chain.deploy("BTCD", world.owner)
    other.send(world.owner, "mint", payout, 9)
    payout.send(world.owner, "rescue", other, world.carol)
    assert other.call("balanceOf", world.carol) == 9


def test_a_token_without_return_value_is_paid_and_claimed(world: World) -> None:
    world.token = world.chain.deploy("NoReturnToken")
    payout = world.payout()
    pool = world.pool()
    world.give(world.alice, 100, payout, pool)
    payout.send(world.alice, "fund", 50)
    payout.send(world.operator, "pay", batch(1), [world.bob], [50])
    pool.send(world.alice, "deposit", 50)
    pool.send(world.operator, "pay_withdrawals", batch(1), [world.alice], [20])
    pool.send(world.alice, "withdraw", 30)
    assert (world.balance(world.bob), world.balance(world.alice)) == (50, 50)
