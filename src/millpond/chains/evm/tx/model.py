"""Nonces and attempts as values. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from millpond.chains.evm.signers import Unsigned
from millpond.chains.evm.tx.fees import Fees


class NonceState(StrEnum):
    """What has become of a nonce.

    `FREE` belongs to nobody and the next intent gets it. `RESERVED` belongs to
    an intent that has signed nothing with it. `USED` has signed transactions,
    and belongs to its intent for ever. `FILLING` is to be used up without
    effect, because its intent ended without one. `DONE` and `FOREIGN` are
    final: used up by a transaction of ours, or by somebody else's.
    """

    FREE = "free"
    RESERVED = "reserved"
    USED = "used"
    FILLING = "filling"
    DONE = "done"
    FOREIGN = "foreign"


class AttemptState(StrEnum):
    """What has become of one signed transaction.

    `STORED` was never sent; `SENT` may be anywhere; `MINED` was in a block as
    deep as the confirmations; `DEAD` can never be, because another
    transaction has its nonce.
    """

    STORED = "stored"
    SENT = "sent"
    MINED = "mined"
    DEAD = "dead"


class Nonce(msgspec.Struct, frozen=True, kw_only=True):
    """One nonce of one signer."""

    chain_id: int
    signer: str
    nonce: int
    intent_id: str | None
    state: NonceState
    note: str
    created_ms: int
    changed_ms: int


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One signed transaction; all attempts of a nonce exclude each other.

    Attributes:
        id: Identifier.
        chain_id: The chain.
        signer: Whose nonce it uses.
        nonce: Which.
        attempt: 1 for the first of the nonce, and so on.
        intent_id: What it is for; None for one that only uses the nonce up.
        tx_hash: The name by which chains know it.
        raw: The bytes.
        to_address: As signed.
        value: As signed, wei.
        data: As signed.
        gas: As signed.
        max_fee: As signed, wei.
        max_priority_fee: As signed, wei.
        state: See `AttemptState`.
        sends: How often sending it was begun; written before each time.
        answer: What nodes said last.
        created_ms: When it was stored.
        sent_ms: When it was sent last.
    """

    id: str
    chain_id: int
    signer: str
    nonce: int
    attempt: int
    intent_id: str | None
    tx_hash: str
    raw: bytes
    to_address: str | None
    value: int
    data: bytes
    gas: int
    max_fee: int
    max_priority_fee: int
    state: AttemptState
    sends: int
    answer: str
    created_ms: int
    sent_ms: int | None

    @property
    def fees(self) -> Fees:
        """Its offer."""
        return Fees(self.max_fee, self.max_priority_fee)

    @property
    def cost(self) -> int:
        """Wei that it can cost at most."""
        return self.gas * self.max_fee + self.value

    def again(self, fees: Fees) -> Unsigned:
        """The same transaction with another offer."""
        return Unsigned(
            chain_id=self.chain_id,
            nonce=self.nonce,
            to=self.to_address,
            value=self.value,
            data=self.data,
            gas=self.gas,
            max_fee=fees.max_fee,
            max_priority_fee=fees.max_priority_fee,
        )


def lanes_of_chain(chain_id: int) -> str:
    """How the lanes of a chain's signers begin; for a `Runner` of that chain alone."""
    return f"evm:{chain_id}:"


def lane_of(chain_id: int, signer: str) -> str:
    """The lane of all intents that one signer signs."""
    return f"{lanes_of_chain(chain_id)}{signer}"


def signer_of(lane: str, chain_id: int) -> str:
    """Whose lane it is.

    Raises:
        ValueError: It is no lane of that chain.
    """
    prefix = f"evm:{chain_id}:"
    if not lane.startswith(prefix):
        raise ValueError(f"{lane} is no lane of chain {chain_id}")
    return lane.removeprefix(prefix)


def identity_of(chain_id: int, signer: str, nonce: int) -> str:
    """The name of an effect: whatever is mined with that nonce."""
    return f"evm:{chain_id}:{signer}:{nonce}"
