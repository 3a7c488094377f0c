"""The test double of a Safe: hashes as the real one, thresholds kept."""

from __future__ import annotations

from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct

from tests.contracts.chain import CHAIN_ID, Deployed
from tests.contracts.worlds import NOBODY, TOKEN, World, refused

_FIELDS = (
    ("to", "address"),
    ("value", "uint256"),
    ("data", "bytes"),
    ("operation", "uint8"),
    ("safeTxGas", "uint256"),
    ("baseGas", "uint256"),
    ("gasPrice", "uint256"),
    ("gasToken", "address"),
    ("refundReceiver", "address"),
    ("nonce", "uint256"),
)


def _sign(world: World, safe: Deployed, signer: str, call: tuple[Any, ...], nonce: int) -> bytes:
    signed = Account.sign_typed_data(
        world.key(signer).key,
        domain_data={"chainId": CHAIN_ID, "verifyingContract": safe.address},
        message_types={"SafeTx": [{"name": name, "type": kind} for name, kind in _FIELDS]},
        message_data=dict(zip([name for name, _ in _FIELDS], (*call, nonce), strict=True)),
    )
    return bytes(signed.signature)


def _owned(world: World) -> tuple[Deployed, list[str], tuple[Any, ...]]:
    owners = sorted((world.alice, world.bob, world.carol), key=str.lower)
    safe = world.chain.deploy("TestSafe", owners, 2)
    token = world.chain.deploy("BTCD", safe)
    data = token.data("mint", world.mallory, TOKEN)
    return safe, owners, (token.address, 0, data, 0, 0, 0, 0, NOBODY, NOBODY)


def test_two_of_three_owners_execute_once(world: World) -> None:
    safe, owners, call = _owned(world)
    both = b"".join(_sign(world, safe, owner, call, 0) for owner in owners[1:])
    receipt = safe.send(world.mallory, "execTransaction", *call, both)
    assert receipt.value is True
    (done,) = receipt.named("ExecutionSuccess")
    assert done["txHash"] == safe.call("getTransactionHash", *call, 0)
    assert safe.call("nonce") == 1
    with refused("GS026"):
        safe.send(world.mallory, "execTransaction", *call, both)


def test_too_few_unordered_or_foreign_signatures_are_refused(world: World) -> None:
    safe, owners, call = _owned(world)
    first, second = (_sign(world, safe, owner, call, 0) for owner in owners[:2])
    with refused("GS020"):
        safe.send(world.alice, "execTransaction", *call, first)
    for wrong in (second + first, first + first):
        with refused("GS026"):
            safe.send(world.alice, "execTransaction", *call, wrong)
    strangers = sorted((world.mallory, world.operator), key=str.lower)
    with refused("GS026"):
        foreign = b"".join(_sign(world, safe, signer, call, 0) for signer in strangers)
        safe.send(world.alice, "execTransaction", *call, foreign)


def test_an_owner_may_approve_on_chain_or_sign_as_a_message(world: World) -> None:
    safe, owners, call = _owned(world)
    digest = safe.call("getTransactionHash", *call, 0)
    with refused("GS030"):
        safe.send(world.mallory, "approveHash", digest)
    approved = bytes(12) + bytes.fromhex(owners[0][2:]) + bytes(32) + b"\x01"
    message = bytearray(
        Account.sign_message(encode_defunct(primitive=digest), world.key(owners[1]).key).signature
    )
    message[64] += 4
    with refused("GS025"):
        safe.send(world.mallory, "execTransaction", *call, approved + bytes(message))
    safe.send(owners[0], "approveHash", digest)
    assert safe.send(world.mallory, "execTransaction", *call, approved + bytes(message)).value


def test_a_failing_call_fails_the_transaction(world: World) -> None:
    safe, owners, call = _owned(world)
    failing = (world.token.address, 0, world.token.data("mint", world.alice, 1), *call[3:])
    signatures = b"".join(_sign(world, safe, owner, failing, 0) for owner in owners[:2])
    with refused("GS013"):
        safe.send(world.alice, "execTransaction", *failing, signatures)
