"""From an epoch's events to its statement. Pure; the operator and the verifier share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from millpond.staking.rewards.engine import Carried, Change, Outcome, held_in, settle
from millpond.staking.rewards.merkle import MerkleTree
from millpond.staking.rewards.statement import (
    FORMAT,
    NO_HASH,
    EmissionPart,
    Funding,
    FundsPart,
    PoolPart,
    Statement,
    TermsPart,
    account_parts,
    digest,
    encode,
    statement_hash,
    terms_of,
)


@dataclass(frozen=True, slots=True)
class Prior:
    """What an epoch needs of those before it.

    Attributes:
        number: How many there were.
        funded: Base units funded by their end.
        cumulative: Base units credited by them.
        carried: Emission and accounts.
        previous: Hash of the last one's statement.
    """

    number: int = 0
    funded: int = 0
    cumulative: int = 0
    carried: Carried = field(default_factory=Carried)
    previous: str = NO_HASH


@dataclass(frozen=True, slots=True)
class Seen:
    """What the chain says about an epoch.

    Attributes:
        opening: Balances behind the last block before the epoch.
        changes: Of the epoch, in the chain's order.
        fundings: Of the epoch, in the chain's order; of the first, all before too.
    """

    opening: Mapping[str, int]
    changes: Sequence[Change]
    fundings: Sequence[Funding]


@dataclass(frozen=True, slots=True)
class Closing:
    """An epoch, decided.

    Attributes:
        statement: What is published.
        document: Its canonical bytes.
        hash: Its name.
        outcome: What is to be booked.
        prior: What the next epoch needs.
    """

    statement: Statement
    document: bytes
    hash: str
    outcome: Outcome
    prior: Prior


def epoch_of(pool: PoolPart, at_s: int) -> int:
    """The epoch that a second lies in."""
    return (at_s - pool.epoch_zero_s) // pool.epoch_s


def bounds_of(pool: PoolPart, epoch: int) -> tuple[int, int]:
    """First second of an epoch, and first second behind it."""
    start_s = pool.epoch_zero_s + epoch * pool.epoch_s
    return start_s, start_s + pool.epoch_s


def decide(
    pool: PoolPart, epoch: int, terms: Iterable[TermsPart], seen: Seen, prior: Prior
) -> Closing:
    """Decide an epoch.

    Args:
        pool: Which pool.
        epoch: Which epoch.
        terms: All terms ever set; those of later epochs are left out.
        seen: What the chain says about it.
        prior: What was before.
    """
    start_s, end_s = bounds_of(pool, epoch)
    known = sorted((t for t in terms if t.from_epoch <= epoch), key=lambda t: t.from_epoch)
    funded = prior.funded + sum(int(funding.amount) for funding in seen.fundings)
    held = held_in(seen.opening, seen.changes, start_s, end_s)
    outcome = settle(held, terms_of(known, epoch), funded, prior.carried)
    after = outcome.after
    accounts = account_parts(after.accounts, held.weights, outcome.earned)
    tree = MerkleTree({wallet: state.cumulative for wallet, state in after.accounts.items()})
    cumulative = prior.cumulative + outcome.distributed
    statement = Statement(
        format=FORMAT,
        pool=pool,
        epoch=epoch,
        number=prior.number + 1,
        start_s=start_s,
        end_s=end_s,
        terms=known,
        funds=FundsPart(
            fundings=list(seen.fundings),
            funded=str(funded),
            available=str(max(0, funded - prior.carried.emitted)),
        ),
        emission=EmissionPart(
            staked_s=held.staked_s,
            weight=str(held.total),
            wanted=str(outcome.wanted),
            pot=str(outcome.pot),
            shortfall=str(outcome.shortfall),
            emitted=str(after.emitted),
            carry=str(after.carry),
            distributed=str(outcome.distributed),
            cumulative=str(cumulative),
        ),
        accounts=accounts,
        changes=len(seen.changes),
        changes_sha256=digest(seen.changes, seen.fundings),
        root="0x" + tree.root.hex(),
        previous=prior.previous,
    )
    document = encode(statement)
    hashed = statement_hash(document)
    behind = Prior(statement.number, funded, cumulative, after, hashed)
    return Closing(statement, document, hashed, outcome, behind)


def prior_after(statement: Statement, document: bytes) -> Prior:
    """What the epoch behind `statement` needs, for one who trusts it."""
    emission = statement.emission
    return Prior(
        number=statement.number,
        funded=int(statement.funds.funded),
        cumulative=int(emission.cumulative),
        carried=Carried(int(emission.emitted), int(emission.carry), statement.state()),
        previous=statement_hash(document),
    )
