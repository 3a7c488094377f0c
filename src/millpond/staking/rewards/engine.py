"""What an epoch pays to whom, exactly. Pure: whole numbers in, whole numbers out.

Both kinds of pool share this: a `direct` pool has short epochs (five minutes)
and a `vault` long ones, of shares instead of tokens. A holding counts with the
least balance that the wallet held since the epoch began, second by second: what
arrived counts from the next epoch, what left counts for the time it was there,
and what came and went in one epoch counts for nothing.

Amounts are base units; times are whole seconds of the chain's block timestamps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

FRACTION_BITS = 64
"""Binary places of what is carried for each wallet."""

WEIGHT_ONE = 1_000_000
"""A pool's weight of one: all of an emission."""

CARRY_UNITS = 60 * WEIGHT_ONE
"""Denominator of the fraction that a pool carries: seconds a minute times the weight's one."""

_MASK = (1 << FRACTION_BITS) - 1


@dataclass(frozen=True, slots=True)
class Change:
    """A wallet's holding from a moment on.

    Attributes:
        at_s: Timestamp of the block.
        wallet: Whose.
        balance: Base units (or shares) held after it.
    """

    at_s: int
    wallet: str
    balance: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a pool emits.

    Attributes:
        reward_per_minute: Base units of the whole emission in a minute.
        weight: The pool's part of it in units of 1/`WEIGHT_ONE`, 0 to `WEIGHT_ONE`.
    """

    reward_per_minute: int
    weight: int = WEIGHT_ONE

    def __post_init__(self) -> None:
        assert self.reward_per_minute >= 0, "an emission gives"
        assert 0 <= self.weight <= WEIGHT_ONE, "a weight lies from nothing to all"


@dataclass(frozen=True, slots=True)
class Earned:
    """What a wallet has from a pool.

    Attributes:
        cumulative: Base units credited in all epochs.
        fraction: What it has besides, in units of 2**-64 of a base unit; below one.
    """

    cumulative: int = 0
    fraction: int = 0


@dataclass(frozen=True, slots=True)
class Carried:
    """Where an epoch left off and the next goes on.

    Attributes:
        emitted: Base units taken out of the funds by all epochs.
        carry: Fraction of the emission not yet a base unit, in units of 1/`CARRY_UNITS`.
        accounts: Every wallet that ever earned.
    """

    emitted: int = 0
    carry: int = 0
    accounts: Mapping[str, Earned] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """What counts in an epoch.

    Attributes:
        weights: Base units times seconds, of each wallet that has any.
        staked_s: Seconds in which at least one wallet counted.
    """

    weights: dict[str, int]
    staked_s: int

    @property
    def total(self) -> int:
        """Sum of the weights."""
        return sum(self.weights.values())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an epoch does.

    Attributes:
        held: What counted.
        wanted: Base units that the terms would give.
        pot: Base units given: what was wanted, or what was there.
        earned: Whole base units credited to each wallet, without zeros.
        after: Where the next epoch goes on.
    """

    held: Held
    wanted: int
    pot: int
    earned: dict[str, int]
    after: Carried

    @property
    def shortfall(self) -> int:
        """What the terms would have given and the funds did not hold; owed to nobody."""
        return self.wanted - self.pot

    @property
    def distributed(self) -> int:
        """Base units credited; the rest of the pot is fractions that wallets carry."""
        return sum(self.earned.values())


def held_in(
    opening: Mapping[str, int], changes: Iterable[Change], start_s: int, end_s: int
) -> Held:
    """Weigh holdings over the epoch from `start_s` up to, not including, `end_s`.

    Args:
        opening: Balances behind the last block before `start_s`.
        changes: Balances from the blocks of the epoch, in the chain's order.
        start_s: First second of the epoch.
        end_s: First second behind it.
    """
    assert start_s < end_s, "an epoch lasts"
    counted = {wallet: balance for wallet, balance in opening.items() if balance > 0}
    weights: dict[str, int] = {}
    since: dict[str, int] = {}
    last_s = at_s = start_s
    for change in changes:
        assert at_s <= change.at_s < end_s, "changes are of this epoch and in order"
        assert change.balance >= 0, "nobody holds less than nothing"
        at_s = change.at_s
        before = counted.get(change.wallet, 0)
        if change.balance >= before:
            continue  # What arrives counts from the next epoch.
        weight = before * (at_s - since.get(change.wallet, start_s))
        weights[change.wallet] = weights.get(change.wallet, 0) + weight
        since[change.wallet] = last_s = at_s
        counted[change.wallet] = change.balance
    for wallet, balance in counted.items():
        if balance:
            last_s = end_s
            weight = balance * (end_s - since.get(wallet, start_s))
            weights[wallet] = weights.get(wallet, 0) + weight
    # Within an epoch what counts only falls, so that somebody counted up to the last fall.
    return Held({wallet: weight for wallet, weight in weights.items() if weight}, last_s - start_s)


def emission(terms: Terms, staked_s: int, carry: int) -> tuple[int, int]:
    """Base units that `terms` give in `staked_s` seconds, and the fraction to carry."""
    assert 0 <= carry < CARRY_UNITS, "less than a unit is carried"
    return divmod(terms.reward_per_minute * terms.weight * staked_s + carry, CARRY_UNITS)


def share_out(
    pot: int, weights: Mapping[str, int], accounts: Mapping[str, Earned]
) -> dict[str, Earned]:
    """Give `pot` base units by weight; the whole of it, to the fraction.

    Each wallet gets its part in units of 2**-64 of a base unit, rounded down;
    the units left over (fewer than wallets) go to the largest remainders, equal
    ones in the order of the wallets. Whole base units are credited, the rest is
    carried. So in one epoch a wallet is within 2**-64 of its exact part, and over
    n epochs what it was credited is within 1 + n * 2**-64 of it.

    Returns:
        The new state of the wallets that have weight.
    """
    total = sum(weights.values())
    assert pot >= 0, "nothing is taken back"
    assert total > 0 or pot == 0, "a pot has takers"
    if not pot:
        return {}
    parts = pot << FRACTION_BITS
    order = sorted(weights)
    got: dict[str, int] = {}
    remainders: list[tuple[int, str]] = []
    for wallet in order:
        got[wallet], remainder = divmod(parts * weights[wallet], total)
        remainders.append((-remainder, wallet))
    left = parts - sum(got.values())
    assert 0 <= left < len(order), "fewer parts are left than there are wallets"
    remainders.sort()
    for _, wallet in remainders[:left]:
        got[wallet] += 1
    nothing = Earned()
    result: dict[str, Earned] = {}
    for wallet, part in got.items():
        before = accounts.get(wallet, nothing)
        held = before.fraction + part
        result[wallet] = Earned(before.cumulative + (held >> FRACTION_BITS), held & _MASK)
    return result


def settle(held: Held, terms: Terms, funded: int, before: Carried) -> Outcome:
    """Decide an epoch.

    Args:
        held: What counted in it.
        terms: In force when it began.
        funded: Base units funded by its end, ever.
        before: Where the epoch before left off.
    """
    available = funded - before.emitted
    wanted, carry = emission(terms, held.staked_s, before.carry)
    if not held.weights:
        wanted, carry = 0, before.carry
    pot = max(0, min(wanted, available))
    changed = share_out(pot, held.weights, before.accounts)
    accounts = {**before.accounts, **changed}
    nothing = Earned()
    earned = {
        wallet: more
        for wallet, state in changed.items()
        if (more := state.cumulative - before.accounts.get(wallet, nothing).cumulative)
    }
    outcome = Outcome(held, wanted, pot, earned, Carried(before.emitted + pot, carry, accounts))
    _check(outcome, before)
    return outcome


def _check(outcome: Outcome, before: Carried) -> None:
    """Nothing is lost or made: the pot is what was credited and what fractions grew by."""
    grown = sum(
        outcome.after.accounts[wallet].fraction - before.accounts.get(wallet, Earned()).fraction
        for wallet in outcome.held.weights
        if outcome.pot
    )
    whole = outcome.distributed << FRACTION_BITS
    assert whole + grown == outcome.pot << FRACTION_BITS, "no part of the pot is lost or made"
