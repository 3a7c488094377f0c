"""Who speaks for an address is who holds its key; for the operator, who knows the key."""

import pytest

from millpond.clock import ManualClock, SeededEntropy
from millpond.errors import InvalidInputError
from millpond.identity import ActionProof, Identity, action_message
from millpond.identity.errors import ReplayError
from millpond.identity.service import CLOCK_SKEW_MS, operator_key_hash
from millpond.identity.tables import nonces
from millpond.store import Store

NONCE = "n" * 16


def make(clock: ManualClock, key: str | None = "the operator's key") -> Identity:
    digest = operator_key_hash(key) if key else None
    return Identity(clock, SeededEntropy(1), operator_key_sha256=digest)


def test_the_text_to_sign_is_fixed():
    text = action_message(
        pool_id="main",
        wallet="addr",
        action="POST payout",
        body=b"{}",
        timestamp_ms=1_700_000_000_000,
        nonce=NONCE,
    )
    assert text == (
        "Millpond request\n"
        "pool: main\n"
        "wallet: addr\n"
        "action: POST payout\n"
        "body-sha256: 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n"
        "timestamp: 1700000000000\n"
        "nonce: nnnnnnnnnnnnnnnn"
    )


def test_only_the_operators_key_is_the_operators():
    identity = make(ManualClock())
    assert identity.is_operator("the operator's key")
    assert not identity.is_operator("the operator's keY")
    assert not identity.is_operator("")
    assert not make(ManualClock(), None).is_operator("")


@pytest.mark.parametrize(
    ("nonce", "signature"),
    [("short", "x"), ("n" * 65, "x"), ("n" * 15 + "\n", "x"), (NONCE, ""), (NONCE, "x" * 2_049)],
)
def test_a_proof_has_a_form(nonce: str, signature: str):
    with pytest.raises(InvalidInputError):
        ActionProof(1, nonce, signature)


async def test_a_nonce_is_spent_once_for_each_wallet_and_forgotten_when_stale(store: Store):
    clock = ManualClock()
    identity = make(clock)
    proof = ActionProof(clock.now_ms(), NONCE, "x")
    async with store.begin() as tx:
        await identity.spend(tx, proof, wallet="a")
        await identity.spend(tx, proof, wallet="b")
    with pytest.raises(ReplayError):
        async with store.begin() as tx:
            await identity.spend(tx, proof, wallet="a")
    clock.advance(3 * CLOCK_SKEW_MS / 1000)
    async with store.begin() as tx:
        await identity.spend(tx, ActionProof(clock.now_ms(), NONCE + "2", "x"), wallet="a")
        left = (await tx.execute(nonces.select())).all()
    assert len(left) == 1, "what the timestamp refuses anyway need not be remembered"
