"""Rewards on chain: distributed never exceeds funded, and nobody takes more than their leaf."""

from __future__ import annotations

import pytest

from tests.contracts.chain import Deployed
from tests.contracts.merkle import leaf, tree
from tests.contracts.worlds import DAY, World, odd, refused

HASH = b"\x77" * 32


@pytest.fixture
def distributor(odd_world: World) -> Deployed:
    """Funded with 1000."""
    deployed = odd_world.distributor()
    odd_world.give(odd_world.mallory, 1000, deployed)
    deployed.send(odd_world.mallory, "fund", 1000)
    return deployed


def _post(world: World, distributor: Deployed, epoch: int, entries: dict[str, int], total: int):
    root, proofs = tree(entries)
    receipt = distributor.send(world.operator, "post_epoch", epoch, root, total, HASH)
    return receipt, root, proofs


def test_it_knows_its_token_and_source(odd_world: World) -> None:
    world = odd_world
    pool = world.pool()
    distributor = world.distributor(pool)
    assert distributor.call("token") == world.token.address
    assert distributor.call("source") == pool.address
    for token, source in ((world.alice, pool), (world.token, world.alice)):
        with refused("not a contract"):
            world.chain.deploy("RewardDistributor", token, source, *world.roles)


def test_funding_credits_what_arrived(distributor: Deployed, odd_world: World) -> None:
    odd_world.give(odd_world.alice, 100, distributor)
    odd_world.token.send(odd_world.owner, "set_rates", 1000, 0, 0)
    (told,) = distributor.send(odd_world.alice, "fund", 100).named("Funded")
    assert (told["sender"], told["amount"]) == (odd_world.alice, 90)
    assert distributor.call("funded") == 1090


def test_an_epoch_is_posted_and_told(distributor: Deployed, odd_world: World) -> None:
    receipt, root, _ = _post(odd_world, distributor, 1, {odd_world.alice: 5, odd_world.bob: 7}, 12)
    (told,) = receipt.named("EpochPosted")
    assert (told["epoch"], told["root"], told["total"]) == (1, root, 12)
    assert told["statement_hash"] == HASH
    assert distributor.call("root") == root
    assert distributor.call("next_root") == (root, odd_world.chain.timestamp)
    assert (distributor.call("last_epoch"), distributor.call("distributed")) == (1, 12)


def test_epochs_come_once_and_in_order(distributor: Deployed, odd_world: World) -> None:
    for wrong in (0, 2):
        with refused("epoch"):
            _post(odd_world, distributor, wrong, {odd_world.alice: 5}, 5)
    _post(odd_world, distributor, 1, {odd_world.alice: 5}, 5)
    with refused("epoch"):
        _post(odd_world, distributor, 1, {odd_world.alice: 5}, 5)
    _post(odd_world, distributor, 2, {odd_world.alice: 6}, 1)


def test_no_epoch_distributes_more_than_was_funded(distributor: Deployed, odd_world: World) -> None:
    with refused("funds"):
        _post(odd_world, distributor, 1, {odd_world.alice: 1001}, 1001)
    _post(odd_world, distributor, 1, {odd_world.alice: 600}, 600)
    with refused("funds"):
        _post(odd_world, distributor, 2, {odd_world.alice: 1001}, 401)
    _post(odd_world, distributor, 2, {odd_world.alice: 1000}, 400)
    assert distributor.call("distributed") == distributor.call("funded") == 1000


def test_an_empty_epoch_needs_no_root_until_there_was_one(
    distributor: Deployed, odd_world: World
) -> None:
    empty = bytes(32)
    operator = odd_world.operator
    with refused("root"):
        distributor.send(operator, "post_epoch", 1, empty, 1, HASH)
    distributor.send(operator, "post_epoch", 1, empty, 0, HASH)
    _, root, _ = _post(odd_world, distributor, 2, {odd_world.alice: 5}, 5)
    with refused("root"):
        distributor.send(operator, "post_epoch", 3, empty, 0, HASH)
    distributor.send(operator, "post_epoch", 3, root, 0, HASH)


def test_one_claim_takes_everything_so_far_and_no_more(
    distributor: Deployed, odd_world: World
) -> None:
    alice, bob, carol = odd_world.users
    _post(odd_world, distributor, 1, {alice: 5, bob: 7}, 12)
    _, _, proofs = _post(odd_world, distributor, 2, {alice: 15, bob: 7, carol: 3}, 13)
    assert distributor.call("claimable", alice, 15, proofs[alice]) == 15
    receipt = distributor.send(odd_world.mallory, "claim", alice, 15, proofs[alice])
    (told,) = receipt.named("Claimed")
    assert (told["account"], told["amount"], told["cumulative"]) == (alice, 15, 15)
    assert receipt.value == 15
    assert odd_world.balance(alice) == 15
    assert distributor.call("claimable", alice, 15, proofs[alice]) == 0
    with refused("nothing to claim"):
        distributor.send(alice, "claim", alice, 15, proofs[alice])
    _, _, proofs = _post(odd_world, distributor, 3, {alice: 18, bob: 7, carol: 3}, 3)
    distributor.send(alice, "claim", alice, 18, proofs[alice])
    for account, amount in ((bob, 7), (carol, 3)):
        distributor.send(account, "claim", account, amount, proofs[account])
    assert [odd_world.balance(user) for user in (alice, bob, carol)] == [18, 7, 3]
    assert distributor.call("claimed_total") == distributor.call("distributed") == 28
    assert [distributor.call("claimed", user) for user in (alice, bob, carol)] == [18, 7, 3]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33])
def test_every_leaf_of_a_tree_of_any_size_proves_itself(
    count: int, distributor: Deployed, odd_world: World
) -> None:
    entries = {"0x" + (2**80 + n).to_bytes(20).hex(): n + 1 for n in range(count)}
    total = sum(entries.values())
    _, _, proofs = _post(odd_world, distributor, 1, entries, total)
    for account, amount in entries.items():
        assert distributor.send(odd_world.bob, "claim", account, amount, proofs[account]).value
    assert distributor.call("claimed_total") == total


def test_wrong_proofs_are_refused(distributor: Deployed, odd_world: World) -> None:
    alice, bob, carol = odd_world.users
    _, root, proofs = _post(odd_world, distributor, 1, {alice: 5, bob: 7, carol: 9}, 21)
    for account, amount, proof in (
        (alice, 6, proofs[alice]),
        (bob, 5, proofs[alice]),
        (alice, 5, proofs[bob]),
        (alice, 5, []),
        (alice, 5, [*proofs[alice], root]),
    ):
        assert distributor.call("claimable", account, amount, proof) == 0
        with refused("proof"):
            distributor.send(alice, "claim", account, amount, proof)
    with refused(""):
        distributor.send(alice, "claim", alice, 5, [root] * 41)


def test_an_inner_node_is_no_leaf(distributor: Deployed, odd_world: World) -> None:
    """The leaf is hashed twice: 64 bytes that make an inner node make no leaf."""
    alice, bob, _ = odd_world.users
    root, proofs = tree({alice: 5, bob: 7})
    assert proofs[alice] == [leaf(bob, 7)]
    assert root not in (leaf(alice, 5), leaf(bob, 7))
    distributor.send(odd_world.operator, "post_epoch", 1, root, 12, HASH)
    with refused("proof"):
        distributor.send(alice, "claim", alice, 12, [])


def test_a_root_that_promises_too_much_takes_no_more_than_was_distributed(
    distributor: Deployed, odd_world: World
) -> None:
    alice, bob, _ = odd_world.users
    _, _, proofs = _post(odd_world, distributor, 1, {alice: 5, bob: 700}, 12)
    with refused("distributed"):
        distributor.send(bob, "claim", bob, 700, proofs[bob])
    distributor.send(alice, "claim", alice, 5, proofs[alice])
    assert odd_world.balance(distributor) == 995


def test_with_a_delay_the_root_before_counts_until_it_is_over(
    distributor: Deployed, odd_world: World
) -> None:
    alice, bob, _ = odd_world.users
    (told,) = distributor.send(odd_world.owner, "set_delay", 100).events
    assert told["delay"] == distributor.call("delay") == 100
    _, first, early = _post(odd_world, distributor, 1, {alice: 5, bob: 5}, 10)
    assert distributor.call("root") == bytes(32)
    with refused("proof"):
        distributor.send(alice, "claim", alice, 5, early[alice])
    odd_world.chain.travel(99)
    with refused("too soon"):
        _post(odd_world, distributor, 2, {alice: 50, bob: 50}, 90)
    odd_world.chain.travel(1)
    assert distributor.call("root") == first
    _, second, late = _post(odd_world, distributor, 2, {alice: 50, bob: 50}, 90)
    assert distributor.call("root") == first
    assert distributor.call("next_root") == (second, odd_world.chain.timestamp + 100)
    distributor.send(alice, "claim", alice, 5, early[alice])
    odd_world.chain.travel(100)
    with refused("proof"):
        distributor.send(bob, "claim", bob, 5, early[bob])
    distributor.send(alice, "claim", alice, 50, late[alice])
    distributor.send(bob, "claim", bob, 50, late[bob])


def test_what_a_waiting_root_adds_cannot_be_claimed_by_the_root_before(
    distributor: Deployed, odd_world: World
) -> None:
    alice, bob, _ = odd_world.users
    distributor.send(odd_world.owner, "set_delay", 100)
    _, _, proofs = _post(odd_world, distributor, 1, {alice: 500, bob: 5}, 10)
    odd_world.chain.travel(100)
    _post(odd_world, distributor, 2, {alice: 600, bob: 5}, 800)
    with refused("distributed"):
        distributor.send(alice, "claim", alice, 500, proofs[alice])
    odd_world.chain.travel(100)
    assert distributor.call("distributed") == 810


def test_a_wrong_epoch_is_revoked_while_its_delay_runs(
    distributor: Deployed, odd_world: World
) -> None:
    alice, bob, _ = odd_world.users
    distributor.send(odd_world.owner, "set_delay", 100)
    _, first, proofs = _post(odd_world, distributor, 1, {alice: 5, bob: 5}, 10)
    odd_world.chain.travel(100)
    with refused("too late"):
        distributor.send(odd_world.owner, "revoke_epoch")
    _, wrong, _ = _post(odd_world, distributor, 2, {odd_world.mallory: 900, bob: 5}, 900)
    (told,) = distributor.send(odd_world.owner, "revoke_epoch").named("EpochRevoked")
    assert (told["epoch"], told["root"], told["total"]) == (2, wrong, 900)
    assert (distributor.call("last_epoch"), distributor.call("distributed")) == (1, 10)
    assert distributor.call("root") == first
    with refused("too late"):
        distributor.send(odd_world.owner, "revoke_epoch")
    distributor.send(alice, "claim", alice, 5, proofs[alice])
    _post(odd_world, distributor, 2, {alice: 5, bob: 6}, 1)
    assert distributor.call("root") == first
    odd_world.chain.travel(100)
    assert distributor.call("distributed") == 11


def test_the_delay_is_a_week_at_most(distributor: Deployed, odd_world: World) -> None:
    with refused("too long"):
        distributor.send(odd_world.owner, "set_delay", 7 * DAY + 1)
    distributor.send(odd_world.owner, "set_delay", 7 * DAY)


def test_funds_are_taken_back_only_as_far_as_they_are_not_distributed(
    distributor: Deployed, odd_world: World
) -> None:
    _post(odd_world, distributor, 1, {odd_world.alice: 400}, 400)
    with refused("funds"):
        distributor.send(odd_world.owner, "defund", 601, odd_world.owner)
    with refused("zero amount"):
        distributor.send(odd_world.owner, "defund", 0, odd_world.owner)
    (told,) = distributor.send(odd_world.owner, "defund", 600, odd_world.carol).named("Defunded")
    assert (told["to"], told["amount"]) == (odd_world.carol, 600)
    assert distributor.call("funded") == distributor.call("distributed") == 400
    assert odd_world.balance(odd_world.carol) == 600


def test_only_what_is_beyond_the_books_is_rescued(distributor: Deployed, odd_world: World) -> None:
    world = odd_world
    _, _, proofs = _post(world, distributor, 1, {world.alice: 400, world.bob: 1}, 401)
    distributor.send(world.alice, "claim", world.alice, 400, proofs[world.alice])
    world.token.send(world.owner, "mint", distributor, 7)
    distributor.send(world.owner, "rescue", world.token, world.carol)
    assert (world.balance(world.carol), world.balance(distributor)) == (7, 600)
    twin = world.chain.deploy("TwinToken", world.token)
    world.token.send(world.owner, "set_twin", twin)
    with refused("principal"):
        distributor.send(world.owner, "rescue", twin, world.owner)


def test_a_claim_that_the_token_refuses_can_be_made_later(
    distributor: Deployed, odd_world: World
) -> None:
    alice, bob, _ = odd_world.users
    _, _, proofs = _post(odd_world, distributor, 1, {alice: 5, bob: 7}, 12)
    odd(odd_world, alice, refuses=True)
    with refused("refused"):
        distributor.send(alice, "claim", alice, 5, proofs[alice])
    odd(odd_world, alice)
    distributor.send(alice, "claim", alice, 5, proofs[alice])
    assert odd_world.balance(alice) == 5


def test_while_claims_are_paused_nothing_is_claimable(
    distributor: Deployed, odd_world: World
) -> None:
    alice, bob, _ = odd_world.users
    _, _, proofs = _post(odd_world, distributor, 1, {alice: 5, bob: 7}, 12)
    distributor.send(odd_world.owner, "pause", 2, 0)
    assert distributor.call("claimable", alice, 5, proofs[alice]) == 0
