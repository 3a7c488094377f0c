"""Signed messages: published vectors, BIP 137 headers, and nothing else."""

from __future__ import annotations

import base64

import pytest
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from millpond.chains.bitcoin.address import encode_p2pkh, encode_p2sh, encode_segwit
from millpond.chains.bitcoin.errors import InvalidAddressError
from millpond.chains.bitcoin.hashes import hash160
from millpond.chains.bitcoin.message import sign_message, verify_message
from millpond.chains.coins import coin_named

COIN = coin_named("litecoin")
KEY = PrivateKey(bytes(31) + b"\x07")
HASH = hash160(KEY.public_key.format())
LEGACY = encode_p2pkh(HASH, COIN)
SEGWIT = encode_segwit(0, HASH, COIN)
NESTED = encode_p2sh(hash160(b"\x00\x14" + HASH), COIN)
UNCOMPRESSED = encode_p2pkh(hash160(KEY.public_key.format(compressed=False)), COIN)


def with_header(signature: str, first: int) -> str:
    raw = base64.b64decode(signature)
    return base64.b64encode(bytes((first + (raw[0] - 27 & 3),)) + raw[1:]).decode()


def test_published_signatures_verify():
    # Vectors of Bitcoin Core's unit tests (message_verify).
    coin = coin_named("bitcoin")
    assert verify_message(
        coin,
        "15CRxFdyRpGZLW9w8HnHvVduizdL5jKNbs",
        "Trust no one",
        "IPojfrX2dfPnH26UegfbGQQLrdK844DlHq5157/P6h57WyuS/Qsl+h/WSVGDF4MUi4rWSswW38oimDYfNNUBUOk=",
    )
    assert verify_message(
        coin,
        "11canuhp9X2NocwCq7xNrQYTmUgZAnLK3",
        "Trust me",
        "IIcaIENoYW5jZWxsb3Igb24gYnJpbmsgb2Ygc2Vjb25kIGJhaWxvdXQgZm9yIGJhbmtzIAaHRtbCeDZINyavx14=",
    )


def test_the_header_byte_says_what_the_key_stands_for():
    signature = sign_message(COIN, KEY, "hello")
    accepted = {
        name: [
            h
            for h in (27, 31, 35, 39)
            if verify_message(COIN, a, "hello", with_header(signature, h))
        ]
        for name, a in {
            "legacy": LEGACY,
            "uncompressed": UNCOMPRESSED,
            "nested": NESTED,
            "segwit": SEGWIT,
        }.items()
    }
    assert accepted == {
        "legacy": [31],
        "uncompressed": [27],
        "nested": [31, 35],
        "segwit": [31, 39],
    }


def test_another_networks_magic_does_not_count():
    signature = sign_message(coin_named("bitcoin"), KEY, "hello")
    assert not verify_message(COIN, LEGACY, "hello", signature)


def test_addresses_without_a_key_never_verify():
    signature = sign_message(COIN, KEY, "hello")
    assert not verify_message(COIN, encode_segwit(1, bytes(32), COIN), "hello", signature)
    assert not verify_message(COIN, encode_segwit(0, bytes(32), COIN), "hello", signature)


def test_an_address_of_another_coin_is_an_error():
    with pytest.raises(InvalidAddressError):
        verify_message(COIN, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "x", "")


@given(st.binary(min_size=0, max_size=70))
def test_no_bytes_crash_the_verification(raw):
    for text in (base64.b64encode(raw).decode(), raw.decode("latin-1")):
        assert verify_message(COIN, SEGWIT, "hello", text) is False


@given(st.text(max_size=300), st.integers(1, 2**200))
def test_what_is_signed_verifies_and_nothing_else(text, secret):
    key = PrivateKey(secret.to_bytes(32, "big"))
    signature = sign_message(COIN, key, text)
    own = hash160(key.public_key.format())
    assert verify_message(COIN, encode_p2pkh(own, COIN), text, signature)
    assert verify_message(COIN, encode_segwit(0, own, COIN), text, signature)
    assert not verify_message(COIN, encode_p2pkh(own, COIN), text + "x", signature)
