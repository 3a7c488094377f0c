"""The checks that every payment must pass before it has a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.chains.bitcoin.errors import PaymentRefusedError
from millpond.chains.bitcoin.payment import check_payment
from millpond.chains.bitcoin.wire import (
    Outpoint,
    Transaction,
    TxIn,
    TxOut,
    WireError,
    bits_of_target,
    parse_block,
    parse_transaction,
    push_height,
    target_of_bits,
)

A, B, CHANGE = b"\x00\x14" + b"a" * 20, b"\x00\x14" + b"b" * 20, b"\x00\x14" + b"c" * 20
ASKED = [(A, 1000), (B, 2000)]


def made(*outputs: tuple[bytes, int]) -> Transaction:
    return Transaction(
        2, (TxIn(Outpoint(b"\x01" * 32, 0)),), tuple(TxOut(v, s) for s, v in outputs)
    )


def test_a_payment_as_asked_passes():
    assert check_payment(made((A, 1000), (B, 2000), (CHANGE, 5)), ASKED, [], 50, max_fee=50) == 0
    assert check_payment(made((A, 1000), (B, 2000)), ASKED, [], 50, max_fee=50) == 0
    assert check_payment(made((A, 975), (B, 1975)), ASKED, [0, 1], 50, max_fee=50) == 50


@pytest.mark.parametrize(
    ("transaction", "bearers", "fee"),
    [
        (made((A, 999), (B, 2000)), [], 50),
        (made((A, 1001), (B, 2000)), [0, 1], 50),
        (made((A, 1000), (B, 1999)), [0], 50),
        (made((A, 900), (B, 2000)), [0], 50),
        (made((A, 0), (B, 2000)), [0], 1000),
        (made((B, 1000), (A, 2000)), [], 50),
        (made((CHANGE, 1000), (B, 2000)), [], 50),
        (made((A, 1000)), [], 50),
        (made((A, 1000), (B, 2000), (CHANGE, 5), (CHANGE, 5)), [], 50),
        (made((A, 1000), (B, 2000)), [], 0),
        (made((A, 1000), (B, 2000)), [], -5),
        (made((A, 1000), (B, 2000)), [], 1001),
    ],
)
def test_a_payment_that_is_not_as_asked_is_refused(transaction, bearers, fee):
    with pytest.raises(PaymentRefusedError):
        check_payment(transaction, ASKED, bearers, fee, max_fee=1000)


outpoints = st.builds(Outpoint, st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1))
inputs = st.builds(
    TxIn,
    outpoints,
    st.binary(max_size=120),
    st.integers(0, 2**32 - 1),
    st.lists(st.binary(max_size=80), max_size=3).map(tuple),
)
outputs = st.builds(TxOut, st.integers(0, 2**62), st.binary(max_size=300))
transactions = st.builds(
    Transaction,
    st.integers(-(2**31), 2**31 - 1),
    st.lists(inputs, min_size=1, max_size=4).map(tuple),
    st.lists(outputs, min_size=1, max_size=4).map(tuple),
    st.integers(0, 2**32 - 1),
)


@given(transactions)
def test_transactions_come_back_from_their_bytes(transaction):
    assert parse_transaction(transaction.serialise()) == transaction
    plain = parse_transaction(transaction.serialise(witness=False))
    assert plain.txid == transaction.txid


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_readers(data):
    for read in (parse_transaction, parse_block):
        try:
            read(data)
        except WireError:
            continue


@given(st.integers(1, 2**256 - 1))
def test_compact_targets_lose_only_the_low_bytes(target):
    back = target_of_bits(bits_of_target(target))
    assert back <= target < back + (back >> 14) + 1


@pytest.mark.parametrize("bits", [0x00000000, 0x01800001, 0x04923456, 0xFF7FFFFF])
def test_impossible_compact_targets_are_refused(bits):
    with pytest.raises(WireError):
        target_of_bits(bits)


@pytest.mark.parametrize(
    ("height", "script"),
    [
        (0, "00"),
        (1, "51"),
        (16, "60"),
        (17, "0111"),
        (127, "017f"),
        (128, "028000"),
        (840_000, "0340d10c"),
    ],
)
def test_heights_are_pushed_as_bip_34_has_them(height, script):
    assert push_height(height).hex() == script
