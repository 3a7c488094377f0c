"""Addresses with their checksum; quantities, data and gwei as text."""

from __future__ import annotations

import pytest
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from millpond.chains.evm.address import checksum, created_address, from_bytes, is_address, to_bytes
from millpond.chains.evm.errors import InvalidAddressError, RpcProtocolError
from millpond.chains.evm.hexes import (
    block_parameter,
    data,
    hash32,
    is_hash,
    quantity,
    to_quantity,
)
from millpond.chains.evm.units import GWEI, gwei_text

# EIP-55, test cases.
RIGHT = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("address", RIGHT)
def test_an_address_is_written_with_its_checksum(address):
    assert checksum(address) == address
    assert checksum(address.lower()) == address
    assert checksum("0x" + address[2:].upper()) == address
    assert to_bytes(address) == bytes.fromhex(address[2:])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedd",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe\n",
        "0xgaAeb6053f3e94c9b9a09f33669435e7ef1beaed",
        "0x５aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        " 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    ],
)
def test_what_is_no_address_is_refused(text):
    assert not is_address(text)
    with pytest.raises(InvalidAddressError) as caught:
        checksum(text)
    assert caught.value.code == "invalid_address"


@given(st.binary(min_size=20, max_size=20))
def test_every_checksum_is_the_librarys(value):
    assert from_bytes(value) == to_checksum_address(value)


def test_a_created_contract_stands_where_the_rules_put_it(chain):
    sender = chain.accounts[3]
    for _ in range(2):
        nonce = chain.nonce(sender.address)
        receipt = chain.mined(chain.send(sender, data=bytes.fromhex("00"), gas=60_000))
        assert created_address(sender.address, nonce) == checksum(receipt["contractAddress"])
    # A nonce of one byte, of a byte above 0x7f, and of more bytes (RLP).
    assert created_address("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0", 1) == checksum(
        "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"
    )
    assert len({created_address(sender.address, nonce) for nonce in (127, 128, 255, 256)}) == 4


@pytest.mark.parametrize(
    ("text", "number"),
    [("0x0", 0), ("0x00ff", 255), ("0xFF", 255), ("0x" + "f" * 64, 2**256 - 1), (7, 7)],
)
def test_a_quantity_may_have_leading_zeros(text, number):
    assert quantity(text) == number


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0x",
        "ff",
        "0xg",
        "-0x1",
        "0x-1",
        "0x1.5",
        "0x1_0",
        "1" * 400,
        "0x1" + "0" * 64,
        1.0,
        -1,
        True,
        None,
        [],
        {},
        2**256,
        " 0x1",
        "0x1\n",
    ],
)
def test_what_is_no_quantity_is_refused(value):
    with pytest.raises(RpcProtocolError):
        quantity(value)


@given(st.integers(0, 2**256 - 1))
def test_a_quantity_is_read_back(number):
    assert quantity(to_quantity(number)) == number


def test_data_and_hashes_are_held_to_their_shape():
    assert data("0x00fF") == b"\x00\xff"
    assert hash32("0x" + "AB" * 32) == "0x" + "ab" * 32
    assert is_hash("0x" + "AB" * 32)
    assert not is_hash("latest")
    for wrong in ("00", "0x0", "0xzz", None, 5):
        with pytest.raises(RpcProtocolError):
            data(wrong)
        with pytest.raises(RpcProtocolError):
            hash32(wrong)


def test_a_block_is_named_by_number_hash_or_tag():
    assert block_parameter(16) == "0x10"
    assert block_parameter("latest") == "latest"
    assert block_parameter("0x" + "ab" * 32) == {"blockHash": "0x" + "ab" * 32}
    with pytest.raises(AssertionError):
        block_parameter("newest")


@pytest.mark.parametrize(
    ("wei", "text"),
    [(0, "0"), (GWEI, "1"), (1_500_000_000, "1.5"), (1, "0.000000001"), (-GWEI, "-1")],
)
def test_gwei_are_written_exactly(wei, text):
    assert gwei_text(wei) == text
