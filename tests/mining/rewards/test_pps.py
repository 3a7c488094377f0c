"""Under PPS a share is worth its difficulty's part of a block, to 2**-64 of a unit."""

from collections import defaultdict
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from millpond.mining.rewards import FeeRules
from millpond.mining.rewards.pps import FRACTION_BITS, whole_units, worth_of_group

shares_of_a_group = st.lists(
    st.tuples(
        st.sampled_from(["ann.1", "ann.2", "bob"]),
        st.integers(1, 1 << 40),
        st.sampled_from([1 << 50, 3 << 49]),
    ),
    max_size=50,
)


@given(shares_of_a_group, st.integers(1, 10**12), st.integers(0, 5_000), st.integers(0, 5_000))
def test_the_worth_is_the_exact_worth_rounded_down(shares, block_reward, fee_bp, donation_bp):
    fees = FeeRules(fee_bp=fee_bp, donation_bp=donation_bp, donation_wallet="good")
    exact: defaultdict[str, Fraction] = defaultdict(Fraction)
    for worker, difficulty, network in shares:
        gross = Fraction(difficulty * block_reward, network)
        exact[worker.split(".")[0]] += gross * (10_000 - fee_bp - donation_bp) / 10_000
        exact["good"] += gross * donation_bp / 10_000
    worth = worth_of_group(shares, block_reward, fees)
    for wallet in exact.keys() | worth.keys():
        missing = exact[wallet] * (1 << FRACTION_BITS) - worth.get(wallet, 0)
        # One rounding a worker and network difficulty.
        assert 0 <= missing < 6


@given(shares_of_a_group, st.randoms())
def test_the_order_within_a_group_changes_nothing(shares, random):
    shuffled = list(shares)
    random.shuffle(shuffled)
    assert worth_of_group(shares, 10**9, FeeRules()) == worth_of_group(shuffled, 10**9, FeeRules())


def test_a_share_as_hard_as_a_block_is_worth_a_block():
    worth = worth_of_group([("ann", 1 << 40, 1 << 40)], 5_000, FeeRules(fee_bp=200))
    assert whole_units(worth["ann"]) == (4_900, 0)


def test_less_than_a_unit_is_carried_until_it_makes_one():
    carried, paid = 0, 0
    for _ in range(10):
        worth = worth_of_group([("ann", 1, 10)], 1, FeeRules())
        units, carried = whole_units(carried + worth["ann"])
        paid += units
    # Ten tenths, each rounded down by less than 2**-64.
    assert (paid, carried >> (FRACTION_BITS - 8)) == (0, 255)
