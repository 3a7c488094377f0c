"""Batches and fees add up to the unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.mining.payouts.model import FeePolicy, Schedule
from millpond.mining.payouts.plan import (
    Payable,
    merge_outputs,
    payee_fees,
    plan_batches,
    share_fee,
)

PAYEE, POOL = FeePolicy.PAYEE, FeePolicy.POOL


@given(st.integers(0, 10**12), st.lists(st.integers(1, 10**15), min_size=1, max_size=50))
def test_a_shared_fee_loses_no_unit_and_nobody_is_off_by_one(fee: int, weights: list[int]):
    shares = share_fee(fee, weights)
    assert sum(shares) == fee
    whole = sum(weights)
    for share, weight in zip(shares, weights, strict=True):
        assert fee * weight // whole <= share <= fee * weight // whole + 1


def test_the_largest_remainder_gets_the_odd_unit():
    assert share_fee(10, [1, 1, 1]) == [4, 3, 3]
    assert share_fee(7, [1, 3]) == [2, 5]


payables = st.lists(
    st.builds(
        Payable,
        st.uuids().map(str),
        st.sampled_from("abcdefgh"),
        st.integers(1, 10**10),
        st.sampled_from(FeePolicy),
    ),
    max_size=60,
    unique_by=lambda payable: payable.id,
)


@given(payables, st.integers(1, 5))
def test_every_payout_is_in_one_batch_or_waits(found: list[Payable], most: int):
    plan = plan_batches(found, max_payees=most, dust=1000, fee_rate=1000)
    placed = [p.id for batch in plan.batches for p in batch.payables]
    assert sorted(placed + [i for i, _ in plan.waiting]) == sorted(p.id for p in found)
    for batch in plan.batches:
        assert 1 <= len(batch.outputs) <= most
        assert {p.fee_policy for p in batch.payables} == {batch.fee_policy}
        assert batch.amount == sum(p.amount for p in batch.payables)
        assert batch.outputs == merge_outputs(batch.payables)


def test_what_the_fee_would_leave_as_dust_waits():
    found = [Payable("small", "a", 1_100, PAYEE), Payable("same", "b", 1_100, POOL)]
    plan = plan_batches(found, max_payees=10, dust=1000, fee_rate=1000)
    assert [i for i, _ in plan.waiting] == ["small"]
    assert [b.fee_policy for b in plan.batches] == [POOL]


def test_payees_bear_what_their_outputs_are_short_of():
    found = [
        Payable("1", "a", 1000, PAYEE),
        Payable("2", "b", 2000, PAYEE),
        Payable("3", "a", 500, PAYEE),
    ]
    fees = payee_fees(found, [("a", 1389), ("b", 1890)], 221)
    assert fees == {"1": 74, "3": 37, "2": 110}


@pytest.mark.parametrize(
    "outputs",
    [
        [("a", 900)],
        [("a", 900), ("c", 1900)],
        [("a", 1000), ("b", 1800)],
        [("a", 900), ("b", 1900), ("b", 5)],
        [("a", 901), ("b", 1900)],
    ],
)
def test_a_distribution_that_is_not_even_is_refused(outputs: list[tuple[str, int]]):
    found = [Payable("1", "a", 1000, PAYEE), Payable("2", "b", 2000, PAYEE)]
    with pytest.raises(ValueError):
        payee_fees(found, outputs, 200)


def test_a_schedule_allows_one_automatic_payout_a_period():
    day = 24 * 3_600_000
    assert Schedule.DAILY.due(day, day - 1)
    assert not Schedule.DAILY.due(2 * day - 1, day)
    assert Schedule.DAILY.next_ms(day + 5, day) == 2 * day
    assert Schedule.ANY.due(5, 5)
