"""The mathematics of epochs against rational numbers."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.staking.rewards.engine import (
    FRACTION_BITS,
    WEIGHT_ONE,
    Carried,
    Change,
    Earned,
    Terms,
    emission,
    held_in,
    settle,
    share_out,
)
from tests.staking.rewards.reference import exact_emission, exact_parts, staked_seconds

E18 = 10**18
LENGTH = 12
PLENTY = 10**40


def _epochs(draw, count: int):
    """Changes of `count` epochs of twelve seconds, in order, of four wallets."""
    amounts = st.one_of(st.integers(0, 5), st.integers(0, 10**27))
    change = st.tuples(st.integers(0, count * LENGTH - 1), st.sampled_from("abcd"), amounts)
    drawn = draw(st.lists(change, max_size=6 * count))
    return [Change(*one) for one in sorted(drawn, key=lambda one: one[0])]


@st.composite
def histories(draw):
    """Epochs with changes, terms and fundings."""
    count = draw(st.integers(1, 6))
    terms = st.builds(Terms, st.integers(0, 10**21), st.integers(0, WEIGHT_ONE))
    return (
        _epochs(draw, count),
        draw(st.lists(terms, min_size=count, max_size=count)),
        draw(st.lists(st.integers(0, 10**21), min_size=count, max_size=count)),
    )


@given(histories())
def test_over_any_epochs_everyone_gets_the_exact_time_weighted_part_to_less_than_a_unit(history):
    changes, terms, fundings = history
    balances: dict[str, int] = {}
    state = Carried()
    exact: dict[str, Fraction] = {}
    funded = 0
    emitted = Fraction(0)
    for epoch, (term, funding) in enumerate(zip(terms, fundings, strict=True)):
        start, end = epoch * LENGTH, (epoch + 1) * LENGTH
        within = [change for change in changes if start <= change.at_s < end]
        funded += funding
        held = held_in(balances, within, start, end)
        outcome = settle(held, term, funded, state)

        assert held.staked_s == staked_seconds(balances, within, start, end)
        parts = exact_parts(balances, within, start, end, Fraction(outcome.pot))
        for wallet, part in parts.items():
            exact[wallet] = exact.get(wallet, Fraction(0)) + part
            # In one epoch: never more than the exact part and one unit.
            assert outcome.earned.get(wallet, 0) < part + 1 + Fraction(1, 1 << FRACTION_BITS)
        assert set(outcome.earned) <= set(parts)
        emitted += exact_emission(term, held.staked_s)
        assert outcome.pot <= outcome.wanted
        assert outcome.after.emitted <= funded
        state = outcome.after
        balances |= {change.wallet: change.balance for change in within}

    error = 1 + Fraction(len(terms), 1 << FRACTION_BITS)
    for wallet, part in exact.items():
        got = state.accounts[wallet].cumulative if wallet in state.accounts else 0
        assert abs(got - part) < error
    # What was taken out of the funds is what was credited and the fractions carried.
    whole = sum(earned.cumulative for earned in state.accounts.values())
    carried = sum(earned.fraction for earned in state.accounts.values())
    assert (whole << FRACTION_BITS) + carried == state.emitted << FRACTION_BITS
    assert state.emitted <= emitted


@given(histories())
def test_a_funded_pool_emits_its_rate_to_less_than_a_unit_over_any_epochs(history):
    changes, terms, _ = history
    balances: dict[str, int] = {}
    state = Carried()
    exact = Fraction(0)
    for epoch, term in enumerate(terms):
        start, end = epoch * LENGTH, (epoch + 1) * LENGTH
        within = [change for change in changes if start <= change.at_s < end]
        held = held_in(balances, within, start, end)
        state = settle(held, term, PLENTY, state).after
        exact += exact_emission(term, held.staked_s)
        balances |= {change.wallet: change.balance for change in within}
    assert exact - 1 < state.emitted <= exact


@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 10**60)), st.integers(0, 10**30)
)
def test_a_pot_is_given_whole_whatever_the_weights(weights, pot):
    if not weights:
        assert share_out(0, weights, {}) == {}
        return
    after = share_out(pot, weights, {})
    parts = sum((state.cumulative << FRACTION_BITS) + state.fraction for state in after.values())
    assert parts == pot << FRACTION_BITS


def test_nothing_is_truncated_away_when_the_pot_is_smaller_than_the_stakers():
    # Three wallets share one unit an epoch: an engine that rounds down would never pay.
    state = Carried()
    held = held_in({"a": 1, "b": 1, "c": 1}, [], 0, 60)
    for _ in range(300):
        state = settle(held, Terms(1), PLENTY, state).after
    assert state.emitted == 300
    assert sorted(one.cumulative for one in state.accounts.values()) == [99, 99, 100]


def test_the_simple_formula_is_stake_by_total_stake_times_rate_times_minutes():
    held = held_in({"a": 300 * E18, "b": 100 * E18}, [], 0, 300)
    outcome = settle(held, Terms(7 * E18), PLENTY, Carried())
    assert outcome.earned == {"a": 7 * E18 * 5 * 3 // 4, "b": 7 * E18 * 5 // 4}


def test_rewards_are_not_compounded():
    held = held_in({"a": E18, "b": 3 * E18}, [], 0, 300)
    state = Carried()
    first = settle(held, Terms(E18), PLENTY, state)
    second = settle(held, Terms(E18), PLENTY, first.after)
    assert first.earned == second.earned


def test_a_flash_stake_before_the_end_earns_nothing():
    opening = {"a": E18}
    flash = [Change(299, "thief", 10**30), Change(299, "thief", 0)]
    late = [Change(299, "thief", 10**30)]
    for changes in (flash, late):
        outcome = settle(held_in(opening, changes, 0, 300), Terms(E18), PLENTY, Carried())
        assert outcome.earned == {"a": 5 * E18}


def test_a_stake_that_spans_the_boundary_earns_for_the_seconds_it_was_held():
    changes = [Change(301, "thief", 0)]
    held = held_in({"a": E18, "thief": E18}, changes, 300, 600)
    assert held.weights == {"a": 300 * E18, "thief": E18}


def test_what_leaves_is_taken_from_what_came_last():
    changes = [Change(10, "a", 150), Change(20, "a", 70), Change(30, "a", 500)]
    assert held_in({"a": 100}, changes, 0, 100).weights == {"a": 100 * 20 + 70 * 80}


def test_taking_out_and_putting_back_is_an_interruption():
    changes = [Change(10, "a", 0), Change(10, "a", 100)]
    assert held_in({"a": 100}, changes, 0, 100).weights == {"a": 1000}


def test_reward_of_the_time_in_which_nobody_stakes_stays_in_the_reserve():
    held = held_in({"a": E18}, [Change(60, "a", 0)], 0, 300)
    outcome = settle(held, Terms(E18), PLENTY, Carried())
    assert (outcome.wanted, outcome.earned) == (E18, {"a": E18})
    nobody = settle(held_in({}, [Change(60, "a", 9)], 0, 300), Terms(E18), PLENTY, Carried())
    assert (nobody.wanted, nobody.pot, nobody.after.emitted) == (0, 0, 0)


def test_an_underfunded_pool_pays_what_is_there_by_weight_and_owes_nothing():
    held = held_in({"a": 3, "b": 1}, [], 0, 60)
    poor = settle(held, Terms(100), 60, Carried())
    assert (poor.wanted, poor.pot, poor.shortfall) == (100, 60, 40)
    assert poor.earned == {"a": 45, "b": 15}
    empty = settle(held, Terms(100), 60, poor.after)
    assert (empty.pot, empty.shortfall, empty.earned) == (0, 100, {})
    # Money that comes later pays the epochs from then on, at their rate.
    rich = settle(held, Terms(100), 1060, empty.after)
    assert (rich.pot, rich.shortfall) == (100, 0)


def test_pools_share_an_emission_by_weight():
    third = Terms(90, WEIGHT_ONE // 3)
    rest = Terms(90, WEIGHT_ONE - WEIGHT_ONE // 3)
    carry_one = carry_other = one = other = 0
    for _ in range(100):
        more, carry_one = emission(third, 60, carry_one)
        one += more
        more, carry_other = emission(rest, 60, carry_other)
        other += more
    assert one + other in {90 * 100, 90 * 100 - 1}
    assert one in {2999, 3000}


def test_a_change_outside_of_the_epoch_is_not_taken():
    with pytest.raises(AssertionError, match="of this epoch"):
        held_in({}, [Change(60, "a", 1)], 0, 60)


def test_wallets_without_weight_keep_what_they_carry():
    before = Carried(10, 0, {"gone": Earned(9, 1 << 63), "a": Earned(0, 1 << 63)})
    after = settle(held_in({"a": 1}, [], 0, 60), Terms(1), 11, before).after
    assert after.accounts == {"gone": Earned(9, 1 << 63), "a": Earned(1, 1 << 63)}
