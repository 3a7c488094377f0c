"""Closed epochs, claims and what wallets have, as values."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class EpochState(StrEnum):
    """Whether an epoch still stands on the chain that it was closed on.

    `DISPUTED`: the chain changed below it, deeper than its confirmations; nothing is
    rewritten, and no epoch is closed behind it until a person has looked.
    `ACCEPTED`: a person looked and let it stand as it was paid.
    """

    CLOSED = "closed"
    DISPUTED = "disputed"
    ACCEPTED = "accepted"


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """A closed epoch; amounts in base units. See `statement.Statement` for the figures.

    Attributes:
        pool_id: The pool.
        epoch: Its number, counted from the pool's `epoch_zero_s`.
        number: Its number counted from the first that was closed, 1; the number on chain.
        start_s: First second.
        end_s: First second behind it.
        state: Whether it stands.
        note: Why it is disputed or was accepted; empty otherwise.
        reward_per_minute: Rate in force.
        weight_ppm: Weight in force.
        fundings: What was funded in it, as the statement lists it.
        funded: Ever funded by its end.
        staked_s: Seconds in which a stake counted.
        weight: Base units times seconds.
        wanted: What the terms gave.
        pot: What was given.
        emitted: Pots of all epochs so far.
        carry: Fraction of the emission carried, in 1/60,000,000 of a base unit.
        distributed: Credited in it.
        cumulative: Credited in all so far.
        accounts: Lines of its statement.
        changes: Position changes in it.
        changes_sha256: Their digest.
        root: Merkle root, 0x-hex.
        previous: Hash of the statement before.
        statement_hash: Hash of its own.
        intent_id: What posts its root on chain, if anything does.
        closed_ms: When it was closed.
    """

    pool_id: str
    epoch: int
    number: int
    start_s: int
    end_s: int
    state: EpochState
    note: str
    reward_per_minute: int
    weight_ppm: int
    fundings: list[dict[str, Any]]
    funded: int
    staked_s: int
    weight: int
    wanted: int
    pot: int
    emitted: int
    carry: int
    distributed: int
    cumulative: int
    accounts: int
    changes: int
    changes_sha256: str
    root: str
    previous: str
    statement_hash: str
    intent_id: str | None
    closed_ms: int

    @property
    def shortfall(self) -> int:
        """What the terms gave and the funds did not hold."""
        return self.wanted - self.pot


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One wallet's line of an epoch; see `statement.AccountPart`."""

    pool_id: str
    epoch: int
    wallet: str
    weight: int
    earned: int
    cumulative: int
    fraction: int


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a wallet needs to take its rewards on chain.

    Attributes:
        pool_id: The pool.
        epoch: Whose statement it is from.
        number: That epoch's number on chain.
        wallet: Whose.
        cumulative: Base units of all epochs, the leaf's amount.
        root: The Merkle root.
        proof: Siblings from the leaf up, 0x-hex.
        statement_hash: The statement's name.
    """

    pool_id: str
    epoch: int
    number: int
    wallet: str
    cumulative: int
    root: str
    proof: list[str]
    statement_hash: str
