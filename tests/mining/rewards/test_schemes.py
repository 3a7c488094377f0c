"""What the schemes pay: exact sums, exact edges, nobody favoured by order."""

from collections import defaultdict
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.mining.rewards import (
    FeeOverride,
    FeeRules,
    Groups,
    LineKind,
    Pplns,
    Pps,
    Prop,
    RewardSettings,
    Solo,
    YoungWindow,
    scheme_from,
    take_window,
)
from millpond.mining.rewards.schemes import BUILDERS, RewardSettingsError

NO_FEES = FeeRules()
REWARD = 5_000_000_000

workers = st.sampled_from(["ann.1", "ann.2", "bob.1", "cid", "dee.x.y", "eve."])
difficulties = st.integers(1, 1 << 40)
windows_of_shares = st.lists(st.tuples(workers, difficulties), min_size=1, max_size=60)
sizes = st.fractions(Fraction(1, 50), 20, max_denominator=50)
rewards = st.integers(0, 10**18)
rates = st.integers(0, 5_000)
fee_rules = st.builds(
    FeeRules,
    fee_bp=rates,
    donation_bp=rates,
    donation_wallet=st.sampled_from(["good", "ann"]),
    overrides=st.dictionaries(
        st.sampled_from(["ann", "ann.2", "bob.1"]),
        st.builds(FeeOverride, fee_bp=st.none() | rates, donation_bp=st.none() | rates),
    ),
)


def reference(shares, size, network_difficulty, reward, fees, *, pool_keeps=False):
    """PPLNS in rational numbers, share by share: `{(kind, wallet): exact pay}`."""
    limit = size * network_difficulty
    left = limit
    counted: list[tuple[str, Fraction]] = []
    for worker, difficulty in shares:
        part = min(Fraction(difficulty), left)
        if part > 0:
            counted.append((worker, part))
            left -= part
    whole = limit if pool_keeps else limit - left
    pay: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for worker, part in counted:
        gross = part / whole * reward
        fee_bp, donation_bp = fees.rates(worker)
        pay["share", worker.split(".")[0]] += gross * (10_000 - fee_bp - donation_bp) / 10_000
        pay["donation", fees.donation_wallet] += gross * donation_bp / 10_000
        pay["fee", ""] += gross * fee_bp / 10_000
    if pool_keeps:
        pay["fee", ""] += left / whole * reward
    return pay


@given(windows_of_shares, sizes, difficulties, rewards, fee_rules, st.booleans())
def test_pplns_is_the_rational_answer_rounded_once(
    shares, size, network_difficulty, reward, fees, pool_keeps
):
    scheme = Pplns(size, YoungWindow.POOL if pool_keeps else YoungWindow.MINERS)
    window = take_window(shares, scheme.reach(network_difficulty))
    allocation = scheme.allocate(window, reward, fees)
    exact = reference(shares, size, network_difficulty, reward, fees, pool_keeps=pool_keeps)
    assert sum(line.amount for line in allocation.lines) == reward
    paid = {(line.kind.value, line.wallet): line.amount for line in allocation.lines}
    for key in exact.keys() | paid.keys():
        assert abs(paid.get(key, 0) - exact[key]) < 1
    floors = {key: int(value) for key, value in exact.items()}
    extra = sorted((k for k in exact), key=lambda k: (floors[k] - exact[k], k))
    for key in extra[: reward - sum(floors.values())]:
        floors[key] += 1
    assert {key: units for key, units in floors.items() if units} == {
        key: units for key, units in paid.items() if units
    }


@given(windows_of_shares, sizes, difficulties, rewards, fee_rules, st.randoms())
def test_the_order_of_workers_within_the_window_changes_nothing(
    shares, size, network_difficulty, reward, fees, random
):
    whole = Pplns(size)
    total = sum(difficulty for _, difficulty in shares)
    reach = whole.reach(max(network_difficulty, -(-total * size.denominator // size.numerator)))
    shuffled = list(shares)
    random.shuffle(shuffled)
    one = whole.allocate(take_window(shares, reach), reward, fees)
    other = whole.allocate(take_window(shuffled, reach), reward, fees)
    assert one == other


@given(windows_of_shares, sizes, difficulties, rewards, st.integers(2, 1 << 20))
def test_scaling_every_difficulty_changes_nothing(shares, size, network, reward, factor):
    scheme = Pplns(size)
    one = scheme.allocate(take_window(shares, scheme.reach(network)), reward, NO_FEES)
    scaled = [(worker, difficulty * factor) for worker, difficulty in shares]
    other = scheme.allocate(take_window(scaled, scheme.reach(network * factor)), reward, NO_FEES)
    assert one.by_wallet() == other.by_wallet()


@given(windows_of_shares, rewards, st.integers(1, 1 << 40))
def test_more_work_never_pays_less(shares, reward, more):
    scheme = Prop()
    before = scheme.allocate(take_window(shares, scheme.reach(1)), reward, NO_FEES).by_wallet()
    worker, difficulty = shares[0]
    shares = [(worker, difficulty + more), *shares[1:]]
    after = scheme.allocate(take_window(shares, scheme.reach(1)), reward, NO_FEES).by_wallet()
    wallet = worker.partition(".")[0]
    assert after.get(wallet, 0) >= before.get(wallet, 0)


@given(windows_of_shares, rewards)
def test_within_one_block_more_weight_never_gets_less(shares, reward):
    scheme = Prop()
    lines = scheme.allocate(take_window(shares, scheme.reach(1)), reward, NO_FEES).lines
    by_weight = sorted(lines, key=lambda line: (line.weight, line.amount))
    amounts = [line.amount for line in by_weight]
    assert amounts == sorted(amounts)


@given(windows_of_shares, windows_of_shares, sizes, difficulties, rewards)
def test_no_share_beyond_a_full_window_counts(shares, older, size, network, reward):
    scheme = Pplns(size)
    window = take_window(shares, scheme.reach(network))
    longer = take_window([*shares, *older], scheme.reach(network))
    if not window.young:
        assert longer == window
        assert window.total == window.limit
        assert scheme.allocate(window, reward, NO_FEES) == scheme.allocate(longer, reward, NO_FEES)
    else:
        assert longer.total > window.total


def test_the_oldest_share_counts_in_part_and_exactly():
    shares = [("ann", 10), ("bob", 10), ("cid", 10), ("dee", 10)]
    scheme = Pplns(Fraction(1, 3))
    window = take_window(shares, scheme.reach(64))
    # A third of 64 is 21 1/3: ann and bob in whole, 1 1/3 of cid's ten, nothing of dee.
    assert window.weights == {"ann": 30, "bob": 30, "cid": 4}
    assert (window.scale, window.shares, window.oldest_counts) == (3, 3, Fraction(4, 30))
    assert scheme.allocate(window, 64, NO_FEES).by_wallet() == {"ann": 30, "bob": 30, "cid": 4}


def test_a_window_that_ends_between_two_shares_takes_no_part_of_the_next():
    window = take_window([("ann", 10), ("bob", 10), ("cid", 10)], Pplns(Fraction(2)).reach(10))
    assert window.weights == {"ann": 10, "bob": 10}
    assert window.oldest_counts == 1
    assert not window.young


def test_a_window_reads_no_further_than_needed():
    read = []

    def shares():
        for number in range(100):
            read.append(number)
            yield f"w{number}", 10

    take_window(shares(), Pplns(Fraction(1)).reach(25))
    assert read == [0, 1, 2]


def test_a_young_window_pays_by_what_is_there_and_says_so():
    scheme = Pplns(Fraction(2))
    window = take_window([("ann", 30), ("bob", 10)], scheme.reach(40))
    allocation = scheme.allocate(window, 1000, NO_FEES)
    assert allocation.young
    assert allocation.filled == Fraction(1, 2)
    assert allocation.by_wallet() == {"ann": 750, "bob": 250}


def test_a_young_window_may_leave_the_missing_part_to_the_pool():
    scheme = Pplns(Fraction(2), YoungWindow.POOL)
    window = take_window([("ann", 30), ("bob", 10)], scheme.reach(40))
    allocation = scheme.allocate(window, 1000, FeeRules(fee_bp=1000))
    assert allocation.by_wallet() == {"ann": 338, "bob": 112}
    assert allocation.pool == 500 + 50


def test_ties_go_to_the_first_in_order_of_kind_and_address():
    scheme = Prop()
    window = take_window([("cid", 1), ("bob", 1), ("ann", 1)], scheme.reach(1))
    assert scheme.allocate(window, 2, NO_FEES).by_wallet() == {"ann": 1, "bob": 1, "cid": 0}


def test_solo_pays_the_finder_alone():
    scheme = Solo()
    window = take_window([("bob.rig", 5), ("ann", 500)], scheme.reach(1))
    allocation = scheme.allocate(window, REWARD, FeeRules(fee_bp=100))
    assert allocation.by_wallet() == {"bob": 4_950_000_000}
    assert allocation.pool == 50_000_000


def test_groups_are_paid_by_their_parts_whoever_found_the_block():
    scheme = Groups({"ann": 1, "bob": 2})
    window = take_window([("cid", 5)], scheme.reach(1))
    assert scheme.allocate(window, 100, NO_FEES).by_wallet() == {"ann": 33, "bob": 67}


def test_a_block_under_pps_goes_to_the_risk_account_whole():
    scheme = Pps(REWARD)
    window = take_window([("cid", 5)], scheme.reach(1))
    allocation = scheme.allocate(window, 123, FeeRules(fee_bp=100))
    assert [(line.kind, line.amount) for line in allocation.lines] == [(LineKind.RISK, 123)]


def test_a_workers_own_rate_goes_before_its_address_and_the_pool():
    fees = FeeRules(
        fee_bp=100,
        overrides={"ann": FeeOverride(fee_bp=50), "ann.rig": FeeOverride(fee_bp=0, donation_bp=7)},
        donation_wallet="good",
    )
    assert fees.rates("bob") == (100, 0)
    assert fees.rates("ann.other") == (50, 0)
    assert fees.rates("ann.rig") == (0, 7)
    assert fees.faults() == []


def test_a_donation_is_a_line_of_its_own():
    scheme = Prop()
    window = take_window([("ann", 1)], scheme.reach(1))
    fees = FeeRules(fee_bp=100, donation_bp=200, donation_wallet="ann")
    lines = scheme.allocate(window, 10_000, fees).lines
    assert [(line.kind, line.wallet, line.amount) for line in lines] == [
        (LineKind.DONATION, "ann", 200),
        (LineKind.FEE, "", 100),
        (LineKind.SHARE, "ann", 9_700),
    ]


def test_a_reward_without_a_single_share_stays_with_the_pool():
    scheme = Prop()
    allocation = scheme.allocate(take_window([], scheme.reach(1)), 77, NO_FEES)
    assert (allocation.by_wallet(), allocation.pool) == ({}, 77)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (RewardSettings(scheme="tides"), "is one of .*pplns"),
        (RewardSettings(window="0"), "window"),
        (RewardSettings(window="1/0"), "window"),
        (RewardSettings(window="much"), "window"),
        (RewardSettings(young_window="bank"), "young_window"),
        (RewardSettings(scheme="groups"), "parts"),
        (RewardSettings(scheme="groups", parts={"ann": 0}), "parts"),
        (RewardSettings(scheme="pps"), "block_reward"),
        (RewardSettings(fee_bp=10_001), "basis points"),
        (RewardSettings(donation_bp=1), "donation_wallet"),
        (RewardSettings(overrides={"ann": FeeOverride(fee_bp=-1)}), "of ann"),
    ],
)
def test_settings_that_cannot_pay_are_named(settings, word):
    with pytest.raises(RewardSettingsError, match=word):
        scheme_from(settings)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_every_scheme_is_reached_by_its_name(name):
    scheme = scheme_from(RewardSettings(scheme=name, block_reward=1, parts={"ann": 1}))
    assert scheme.name == name
    assert scheme.pays_shares == (name == "pps")
