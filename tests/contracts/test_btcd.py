"""The test token, and with it the ERC-20 module that the vault's shares use too."""

from __future__ import annotations

import pytest
from eth_utils.crypto import keccak

from tests.contracts.chain import Deployed
from tests.contracts.worlds import MAX, NOBODY, TOKEN, World, refused

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture(params=["token", "shares"])
def coin(request: pytest.FixtureRequest, world: World) -> Deployed:
    """BTCD, or shares of the vault: Alice has 100, of which no one else may spend."""
    if request.param == "token":
        world.give(world.alice, 100)
        return world.token
    vault = world.vault()
    world.give(world.bob, 100, vault)
    vault.send(world.bob, "mint", 100, world.alice)
    return vault


def test_it_tells_what_it_is(world: World) -> None:
    assert [world.token.call(name) for name in ("name", "symbol", "decimals")] == [
        "BTCD",
        "BTCD",
        18,
    ]


def test_minting_makes_supply(world: World) -> None:
    (made,) = world.token.send(world.owner, "mint", world.alice, TOKEN).events
    assert (made["sender"], made["receiver"], made["amount"]) == (NOBODY, world.alice, TOKEN)
    assert (world.token.call("totalSupply"), world.balance(world.alice)) == (TOKEN, TOKEN)
    with refused("zero address"):
        world.token.send(world.owner, "mint", NOBODY, 1)


def test_a_transfer_moves_and_never_makes(coin: Deployed, world: World) -> None:
    supply = coin.call("totalSupply")
    receipt = coin.send(world.alice, "transfer", world.carol, 30)
    (moved,) = receipt.events
    assert receipt.value is True
    assert (moved["sender"], moved["receiver"], moved["amount"]) == (world.alice, world.carol, 30)
    assert (coin.call("balanceOf", world.alice), coin.call("balanceOf", world.carol)) == (70, 30)
    coin.send(world.alice, "transfer", world.alice, 70)
    assert coin.call("balanceOf", world.alice) == 70
    assert coin.call("totalSupply") == supply
    with refused("balance"):
        coin.send(world.alice, "transfer", world.carol, 71)
    for nowhere in (NOBODY, coin.address):
        with refused("receiver"):
            coin.send(world.alice, "transfer", nowhere, 1)


def test_an_allowance_is_used_up_unless_it_is_endless(coin: Deployed, world: World) -> None:
    receipt = coin.send(world.alice, "approve", world.mallory, 40)
    (approved,) = receipt.events
    assert (approved["owner"], approved["spender"]) == (world.alice, world.mallory)
    assert (approved["amount"], receipt.value) == (40, True)
    moved = coin.send(world.mallory, "transferFrom", world.alice, world.carol, 30)
    assert moved.value is True
    assert coin.call("allowance", world.alice, world.mallory) == 10
    assert coin.call("balanceOf", world.carol) == 30
    with refused("allowance"):
        coin.send(world.mallory, "transferFrom", world.alice, world.carol, 11)
    coin.send(world.alice, "approve", world.mallory, MAX)
    coin.send(world.mallory, "transferFrom", world.alice, world.carol, 70)
    assert coin.call("allowance", world.alice, world.mallory) == MAX
    with refused("balance"):
        coin.send(world.mallory, "transferFrom", world.alice, world.carol, 1)


def test_a_permit_sets_an_allowance_once(coin: Deployed, world: World) -> None:
    name = coin.call("name")
    until, v, r, s = world.permit(coin, world.alice, world.mallory, 40, name=name)
    args = (world.alice, world.mallory, 40, until, v, r, s)
    (approved,) = coin.send(world.carol, "permit", *args).events
    assert approved["amount"] == coin.call("allowance", world.alice, world.mallory) == 40
    assert coin.call("nonces", world.alice) == 1
    with refused("signature"):
        coin.send(world.carol, "permit", *args)


def test_wrong_permits_are_refused(coin: Deployed, world: World) -> None:
    name = coin.call("name")
    now = world.chain.timestamp

    def use(signature: tuple[int, int, bytes, bytes], holder: str = world.alice) -> None:
        coin.send(world.carol, "permit", holder, world.mallory, 40, *signature)

    with refused("expired"):
        use(world.permit(coin, world.alice, world.mallory, 40, deadline=now - 1, name=name))
    use(world.permit(coin, world.alice, world.mallory, 40, deadline=now, name=name))
    with refused("signature"):
        use(world.permit(coin, world.alice, world.mallory, 41, name=name))
    with refused("signature"):
        use(world.permit(coin, world.bob, world.mallory, 40, holder=world.alice, name=name))
    with refused("signature"):
        use(world.permit(coin, world.alice, world.mallory, 40, name="other"))
    with refused("signature"):
        use(world.permit(coin, world.alice, world.mallory, 40, nonce=7, name=name))
    until, v, r, s = world.permit(coin, world.alice, world.mallory, 40, name=name)
    with refused("signature"):
        use((until, v ^ 7, r, (ORDER - int.from_bytes(s)).to_bytes(32)))
    with refused("signature"):
        use((until, 99, r, s))
    with refused("signature"):
        use((until, 99, r, s), holder=NOBODY)
    use((until, v, r, s))


def test_the_mirror_of_a_signature_is_refused_though_it_recovers(world: World) -> None:
    coin = world.token
    until, v, r, s = world.permit(coin, world.alice, world.mallory, 40)
    mirror = (ORDER - int.from_bytes(s)).to_bytes(32)
    with refused("signature"):
        coin.send(world.carol, "permit", world.alice, world.mallory, 40, until, 55 - v, r, mirror)


def test_the_domain_is_of_this_chain_and_contract(coin: Deployed) -> None:
    kind = keccak(
        text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    )
    whole = keccak(
        kind
        + keccak(text=coin.call("name"))
        + keccak(b"1")
        + (31337).to_bytes(32)
        + bytes(12)
        + bytes.fromhex(coin.address[2:])
    )
    assert coin.call("DOMAIN_SEPARATOR") == whole
