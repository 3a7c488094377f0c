"""The statement of an epoch: everything that was decided, for anybody to check.

A statement is JSON, canonical: UTF-8, keys sorted, no white space, amounts as
decimal text. Its hash is the SHA-256 of those bytes, so that `sha256sum` of the
exported file is the hash that the chain and the next statement name. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec

from millpond.errors import InvalidInputError
from millpond.staking.rewards.engine import Change, Earned, Terms
from millpond.staking.rewards.merkle import MerkleTree

FORMAT = "millpond-epoch/1"
"""Name and version of the format; another version is another format."""

Units = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,77})$")]
"""A whole number of base units, not negative, as decimal text."""

Hash = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{64}$")]
Address = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{40}$")]

NO_HASH = "0x" + "00" * 32
"""What the first statement names as the one before it."""


class InvalidStatementError(InvalidInputError):
    """A text is no epoch statement."""

    code = "invalid_statement"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of a statement; knows its fields and no others."""


class PoolPart(_Part, frozen=True, kw_only=True):
    """Which pool, and where its events come from.

    Attributes:
        pool_id: The pool.
        kind: `direct` or `vault`.
        chain_id: EIP-155 chain id.
        asset: The ledger's code of the token in which rewards are paid.
        decimals: Decimal places of one whole token.
        contract: The pool's or vault's contract, whose events move positions.
        rewards_contract: Holds the reward funds.
        start_block: First block whose events count.
        epoch_zero_s: Unix seconds at which epoch 0 begins.
        epoch_s: Length of an epoch in seconds.
        first_epoch: The epoch in which the first position moved; there is none before.
    """

    pool_id: str
    kind: str
    chain_id: int
    asset: str
    decimals: int
    contract: Address
    rewards_contract: Address
    start_block: int
    epoch_zero_s: int
    epoch_s: Annotated[int, msgspec.Meta(gt=0)]
    first_epoch: int


class TermsPart(_Part, frozen=True, kw_only=True):
    """What the pool emits from an epoch on, until the next entry."""

    from_epoch: int
    reward_per_minute: Units
    weight_ppm: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]

    @property
    def terms(self) -> Terms:
        """As the engine takes them."""
        return Terms(int(self.reward_per_minute), self.weight_ppm)


class Funding(_Part, frozen=True, kw_only=True):
    """Reward funds that came in (or were taken back by the owner) in the epoch.

    Attributes:
        at_s: Timestamp of the block.
        amount: Base units; with a minus if they were taken back.
        tx_hash: The transaction.
        log_index: Index of the log in the block.
    """

    at_s: int
    amount: Annotated[str, msgspec.Meta(pattern=r"^-?(0|[1-9][0-9]{0,77})$")]
    tx_hash: Hash
    log_index: int


class FundsPart(_Part, frozen=True, kw_only=True):
    """What there was to give.

    Attributes:
        fundings: Of this epoch, in the chain's order.
        funded: Ever, by the epoch's end, less what was taken back.
        available: Of it, not yet emitted by the epochs before.
    """

    fundings: list[Funding]
    funded: Annotated[str, msgspec.Meta(pattern=r"^-?(0|[1-9][0-9]{0,77})$")]
    available: Units


class EmissionPart(_Part, frozen=True, kw_only=True):
    """What the terms asked for and what was given.

    Attributes:
        staked_s: Seconds of the epoch in which anybody's stake counted.
        weight: Sum of the weights, base units times seconds.
        wanted: What the terms give for that time, whole base units.
        pot: What was given: `wanted`, or what was available.
        shortfall: `wanted` less `pot`; owed to nobody.
        emitted: Pots of all epochs.
        carry: What the terms gave beyond whole units, in units of 1/60,000,000.
        distributed: Whole base units credited in this epoch.
        cumulative: Whole base units credited in all epochs.
    """

    staked_s: int
    weight: Units
    wanted: Units
    pot: Units
    shortfall: Units
    emitted: Units
    carry: Units
    distributed: Units
    cumulative: Units


class AccountPart(_Part, frozen=True, kw_only=True):
    """One wallet.

    Attributes:
        wallet: EIP-55 checksummed.
        weight: Base units times seconds in this epoch.
        earned: Whole base units of this epoch.
        cumulative: Of all epochs; what the Merkle leaf says.
        fraction: What is carried besides, in units of 2**-64 of a base unit.
    """

    wallet: Address
    weight: Units
    earned: Units
    cumulative: Units
    fraction: Units


class Statement(_Part, frozen=True, kw_only=True):
    """An epoch as it was closed.

    Attributes:
        format: `FORMAT`.
        pool: Which pool.
        epoch: Its number, counted from `epoch_zero_s`.
        number: Its number counted from the first closed, 1; the number on chain.
        start_s: First second.
        end_s: First second behind it.
        terms: All terms that were ever in force, up to this epoch.
        funds: What there was to give.
        emission: What was given.
        accounts: Every wallet that ever earned or counted, by address.
        changes: How many position changes the epoch has.
        changes_sha256: Their digest, see `digest`.
        root: The Merkle root over the cumulative amounts.
        previous: Hash of the statement before; zeros for the first.
    """

    format: str
    pool: PoolPart
    epoch: int
    number: int
    start_s: int
    end_s: int
    terms: list[TermsPart]
    funds: FundsPart
    emission: EmissionPart
    accounts: list[AccountPart]
    changes: int
    changes_sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    root: Hash
    previous: Hash

    def amounts(self) -> dict[str, int]:
        """Cumulative base units by wallet."""
        return {account.wallet: int(account.cumulative) for account in self.accounts}

    def state(self) -> dict[str, Earned]:
        """What each wallet has, fractions and all."""
        return {
            account.wallet: Earned(int(account.cumulative), int(account.fraction))
            for account in self.accounts
        }

    def tree(self) -> MerkleTree:
        """The tree over the cumulative amounts."""
        return MerkleTree(self.amounts())

    def terms_of(self, epoch: int) -> Terms:
        """The terms that were in force when `epoch` began.

        Raises:
            InvalidStatementError: It names none.
        """
        return terms_of(self.terms, epoch)


def terms_of(history: Iterable[TermsPart], epoch: int) -> Terms:
    """The last of `history` that began with `epoch` or before.

    Raises:
        InvalidStatementError: There is none.
    """
    found = [part for part in history if part.from_epoch <= epoch]
    if not found:
        raise InvalidStatementError("no terms were in force", epoch=epoch)
    return max(found, key=lambda part: part.from_epoch).terms


def encode(statement: Statement) -> bytes:
    """The canonical bytes."""
    return msgspec.json.encode(statement, order="sorted")


def statement_hash(document: bytes) -> str:
    """The name of a statement: SHA-256 of its bytes, 0x-hex."""
    return "0x" + hashlib.sha256(document).hexdigest()


def decode(document: bytes) -> Statement:
    """Read a statement.

    Raises:
        InvalidStatementError: Not this format, or not written canonically.
    """
    try:
        statement = msgspec.json.decode(document, type=Statement)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidStatementError(f"that is no epoch statement: {error}"[:300]) from None
    if statement.format != FORMAT:
        raise InvalidStatementError(f"that is no {FORMAT} statement")
    if encode(statement) != document:
        raise InvalidStatementError("the statement is not written canonically")
    return statement


def digest(changes: Iterable[Change], fundings: Iterable[Funding]) -> str:
    """SHA-256 over what the epoch saw: a line a change, then a line a funding.

    The lines are `time wallet balance` and `time amount`, in the chain's order,
    each with a line feed. Blocks and transactions are not in it: a reorg that moves
    nothing that counts changes nothing here.
    """
    lines = [f"{change.at_s} {change.wallet} {change.balance}\n" for change in changes]
    lines += [f"{funding.at_s} {funding.amount}\n" for funding in fundings]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def account_parts(
    state: Mapping[str, Earned], weights: Mapping[str, int], earned: Mapping[str, int]
) -> list[AccountPart]:
    """Every wallet that has a weight, an amount or a fraction, by address."""
    nothing = Earned()
    parts = []
    for wallet in sorted(state.keys() | weights.keys()):
        held = state.get(wallet, nothing)
        weight = weights.get(wallet, 0)
        if weight or held != nothing:
            parts.append(
                AccountPart(
                    wallet=wallet,
                    weight=str(weight),
                    earned=str(earned.get(wallet, 0)),
                    cumulative=str(held.cumulative),
                    fraction=str(held.fraction),
                )
            )
    return parts
