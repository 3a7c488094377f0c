"""Addresses: the published vectors, the right network, and nothing else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.chains.bitcoin import base58
from millpond.chains.bitcoin.address import (
    AddressKind,
    address_of_script,
    canonical_address,
    encode_p2sh,
    encode_segwit,
    is_address,
    mweb_prefix,
    parse_address,
    script_pubkey,
)
from millpond.chains.bitcoin.bech32 import BECH32, encode
from millpond.chains.bitcoin.errors import InvalidAddressError
from millpond.chains.coins import COINS, coin_named

BTC = coin_named("bitcoin")
LTC = coin_named("litecoin")


@pytest.mark.parametrize(
    ("coin", "address", "script"),
    [
        # BIP 173 and BIP 350.
        (
            "bitcoin",
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "0014751e76e8199196d454941c45d1b3a323f1433bd6",
        ),
        (
            "bitcoin-testnet",
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
            "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
        ),
        (
            "bitcoin",
            "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
            "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6",
        ),
        ("bitcoin", "BC1SW50QGDZ25J", "6002751e"),
        (
            "bitcoin",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        ),
        # The genesis coinbase's key, and a script hash of BIP 13's form.
        (
            "bitcoin",
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac",
        ),
        (
            "bitcoin",
            "3P14159f73E4gFr7JterCCQh9QjiTjiZrG",
            "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87",
        ),
    ],
)
def test_published_addresses_give_their_scripts_and_come_back(coin, address, script):
    assert script_pubkey(address, coin_named(coin)).hex() == script
    back = address_of_script(bytes.fromhex(script), coin_named(coin))
    assert back in {address, address.lower()}


@pytest.mark.parametrize(
    "address",
    [
        # BIP 350's invalid ones, each for its own reason.
        "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
        "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
        "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
        "bc1pw5dgrnzv",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
        "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
        "bc1gmk9yu",
        # Mixed case, another network, a flipped letter, nonsense.
        "bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
        "LhK2kQwiaAvhjWY799cZvMyYwnQAcxkarr",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "",
        "1",
        "bc1",
        "a" * 5000,
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf\u00e9a",
        "0x52908400098527886E0F7030069857D2E4169EE7",
    ],
)
def test_what_is_no_bitcoin_address_is_refused_with_its_code(address):
    with pytest.raises(InvalidAddressError) as caught:
        parse_address(address, BTC)
    assert caught.value.code == "invalid_address"
    assert not is_address(address, BTC)


def test_litecoins_old_and_new_script_hash_forms_pay_the_same_script():
    old = parse_address("38mKdURe1zcQyrFqRLzR8PRao3iLGEPVsU", LTC)
    new = address_of_script(old.script_pubkey, LTC)
    assert old.kind is AddressKind.P2SH
    assert new is not None
    assert new.startswith("M")
    assert script_pubkey(new, LTC) == old.script_pubkey
    assert canonical_address(old.text, LTC) == new


@given(st.sampled_from(sorted(COINS)), st.binary(min_size=20, max_size=20))
def test_every_writing_of_an_address_has_one_canonical_form(name, program):
    coin = COINS[name]
    segwit = encode_segwit(0, program, coin)
    assert canonical_address(segwit.upper(), coin) == segwit
    for version in coin.addresses.p2sh:
        address = base58.encode_check(bytes((version,)) + program)
        assert canonical_address(address, coin) == encode_p2sh(program, coin)


@pytest.mark.parametrize("version", [8, 9])
def test_outputs_that_only_mweb_makes_are_no_addresses(version):
    program = bytes(range(32))
    with pytest.raises(InvalidAddressError, match="MWEB"):
        parse_address(encode_segwit(version, program, LTC), LTC)
    assert parse_address(encode_segwit(version, program, BTC), BTC).program == program


@pytest.mark.parametrize("coin", ["litecoin", "litecoin-testnet", "litecoin-regtest"])
def test_mweb_addresses_are_refused_by_name(coin):
    address = encode(mweb_prefix(coin_named(coin)), [0] * 106, BECH32)
    with pytest.raises(InvalidAddressError, match="MWEB"):
        parse_address(address, coin_named(coin))


@given(st.text(max_size=120), st.sampled_from(sorted(COINS)))
def test_any_text_is_an_address_or_a_typed_error(text, name):
    try:
        address = parse_address(text, COINS[name])
    except InvalidAddressError:
        return
    assert address_of_script(address.script_pubkey, COINS[name])


def test_a_coin_without_segwit_has_only_the_old_forms():
    forms = msgspec.structs.replace(LTC.addresses, bech32="")
    coin = msgspec.structs.replace(LTC, addresses=forms, extension_block=False)
    script = bytes.fromhex("76a914") + bytes(20) + bytes.fromhex("88ac")
    address = address_of_script(script, coin)
    assert address is not None
    assert script_pubkey(address, coin) == script
    assert address_of_script(b"\x00\x14" + bytes(20), coin) is None
    assert not is_address(encode_segwit(0, bytes(20), LTC), coin)


@given(
    st.sampled_from(sorted(name for name, coin in COINS.items() if coin.addresses.bech32)),
    st.integers(0, 16),
    st.binary(min_size=20, max_size=20),
)
def test_witness_programs_come_back_from_their_address(name, version, program):
    address = parse_address(encode_segwit(version, program, COINS[name]), COINS[name])
    assert (address.witness_version, address.program) == (version, program)
    assert not is_address(
        address.text[:-1] + ("q" if address.text[-1] != "q" else "p"), COINS[name]
    )
