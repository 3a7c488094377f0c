"""Keys: what is signed is what others read; key files; nothing prints a key."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given, settings
from hypothesis import strategies as st

from millpond.chains.evm.keccak import keccak
from millpond.chains.evm.keystore import (
    KeystoreError,
    KeystoreSigner,
    read_password,
    write_keystore,
)
from millpond.chains.evm.signers import KeySigner, Unsigned, recover
from tests.support.evm_nodes import ACCOUNTS, KEYS

SECRET = bytes.fromhex(KEYS[0][2:])
SIGNER = KeySigner(SECRET)

_amounts = st.integers(0, 2**256 - 1)
_unsigned = st.builds(
    lambda to, fee, tip, **rest: Unsigned(
        to=to, max_fee=max(fee, tip), max_priority_fee=min(fee, tip), **rest
    ),
    chain_id=st.integers(1, 2**53),
    nonce=st.integers(0, 2**64 - 1),
    to=st.sampled_from([None, ACCOUNTS[1].address]),
    value=_amounts,
    data=st.binary(max_size=300),
    gas=st.integers(1, 2**64 - 1),
    fee=_amounts,
    tip=_amounts,
)


@settings(max_examples=60, deadline=None)
@given(unsigned=_unsigned)
async def test_transactions_are_signed_to_the_byte_as_another_library_does(unsigned: Unsigned):
    signed = await SIGNER.sign_transaction(unsigned)
    fields = {
        "type": 2,
        "chainId": unsigned.chain_id,
        "nonce": unsigned.nonce,
        "value": unsigned.value,
        "data": unsigned.data,
        "gas": unsigned.gas,
        "maxFeePerGas": unsigned.max_fee,
        "maxPriorityFeePerGas": unsigned.max_priority_fee,
    }
    if unsigned.to is not None:
        fields["to"] = unsigned.to
    theirs = Account.from_key(SECRET).sign_transaction(fields)
    assert signed.raw == bytes(theirs.raw_transaction)
    assert signed.tx_hash == "0x" + bytes(theirs.hash).hex()
    assert Account.recover_transaction(signed.raw) == SIGNER.address


async def test_a_signature_is_recovered_to_its_signer_and_to_nobody_else():
    digest = keccak(b"anything")
    signature = await SIGNER.sign_digest(digest)
    assert recover(digest, signature) == SIGNER.address == ACCOUNTS[0].address
    message = encode_defunct(text="hello")
    theirs = Account.sign_message(message, SECRET)
    assert recover(bytes(theirs.message_hash), bytes(theirs.signature)) == SIGNER.address
    assert recover(keccak(b"another"), signature) != SIGNER.address
    high_s = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - int.from_bytes(
        signature[32:64], "big"
    )
    other = bytes([55 - signature[64]])
    for bad in (
        signature[:64],
        signature[:64] + b"\x02",
        b"\xff" * 64 + b"\x1b",
        b"\0" * 64 + b"\x1b",
        signature[:32] + high_s.to_bytes(32, "big") + other,
    ):
        assert recover(digest, bad) is None


def test_nothing_prints_or_carries_away_a_key():
    assert KEYS[0][2:] not in repr(SIGNER) + str(SIGNER)
    assert not hasattr(SIGNER, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(SIGNER)
    with pytest.raises(TypeError):
        copy.copy(SIGNER)


def test_a_key_file_is_read_back_here_and_by_another_library(tmp_path: Path):
    path = tmp_path / "key.json"
    address = write_keystore(path, SECRET, password=b"a long one", iterations=2)
    assert path.stat().st_mode & 0o777 == 0o600
    assert KEYS[0][2:] not in path.read_text()
    assert KeystoreSigner.open(path, password=b"a long one").address == address
    assert bytes(Account.decrypt(path.read_text(), "a long one")) == SECRET
    with pytest.raises(KeystoreError):
        write_keystore(path, SECRET, password=b"again", iterations=2)


def test_a_key_file_with_pbkdf2_of_the_specification_is_read(tmp_path: Path):
    # The test vector of the Web3 Secret Storage definition.
    path = tmp_path / "vector.json"
    path.write_text(
        '{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},'
        '"ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",'
        '"kdf":"pbkdf2","kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256",'
        '"salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},'
        '"mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},'
        '"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}'
    )
    signer = KeystoreSigner.open(path, password=b"testpassword")
    secret = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"
    assert signer.address == KeySigner(bytes.fromhex(secret)).address


def test_a_key_file_that_is_wrong_is_refused_in_one_sentence_without_its_content(tmp_path: Path):
    good = tmp_path / "key.json"
    write_keystore(good, SECRET, password=b"right", iterations=2)
    garbage, large = tmp_path / "garbage", tmp_path / "large"
    garbage.write_text('{"version": 3, "crypto": {}}')
    large.write_bytes(b"x" * 100_000)
    for path, password in (
        (good, b"wrong"),
        (garbage, b"right"),
        (large, b"right"),
        (tmp_path / "missing", b"right"),
    ):
        with pytest.raises(KeystoreError) as caught:
            KeystoreSigner.open(path, password=password)
        assert password.decode() not in caught.value.message
    with pytest.raises(KeystoreError):
        KeystoreSigner.open(good, password=b"right", address=ACCOUNTS[1].address)


def test_a_password_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "password"
    file.write_bytes(b"from a file\r\nsecond line")
    monkeypatch.setenv("MILLPOND_TEST_PASSWORD", "from outside")
    assert read_password(f"file:{file}") == b"from a file"
    assert read_password("env:MILLPOND_TEST_PASSWORD") == b"from outside"
    for source in ("env:MILLPOND_NOT_SET", "file:/does/not/exist", "plain text", "env:"):
        with pytest.raises(KeystoreError):
            read_password(source)
