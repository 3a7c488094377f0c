"""Addresses: read, checked for the right network, and turned into scripts.

Base58check (P2PKH, P2SH), bech32 for witness version 0 (BIP 173) and bech32m
for the later ones (BIP 350). Litecoin's MWEB addresses are recognised, so
that their refusal can say what they are: an extension-block output cannot
stand in a coinbase, nor in the transactions that Millpond makes.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from millpond.chains.bitcoin import base58, bech32
from millpond.chains.bitcoin.errors import InvalidAddressError
from millpond.chains.coins import Coin

_MAX_LENGTH = 160

_MWEB_VERSIONS = frozenset({8, 9})
"""Witness versions of the HogEx's output and of peg-ins. A transaction that pays to the
latter without an extension block is refused as a whole (`pegin-count-mismatch`)."""


class AddressKind(StrEnum):
    """What an address pays to."""

    P2PKH = "p2pkh"
    P2SH = "p2sh"
    P2WPKH = "p2wpkh"
    P2WSH = "p2wsh"
    P2TR = "p2tr"
    WITNESS_FUTURE = "witness_future"


class Address(msgspec.Struct, frozen=True):
    """An address of one network.

    Attributes:
        text: Canonical writing, one for each script: bech32 in lower case,
            P2SH in the network's usual form.
        kind: What it pays to.
        program: Hash or witness program.
        witness_version: For witness kinds, else None.
    """

    text: str
    kind: AddressKind
    program: bytes
    witness_version: int | None = None

    @property
    def script_pubkey(self) -> bytes:
        """The output script that pays to this address."""
        if self.kind is AddressKind.P2PKH:
            return b"\x76\xa9\x14" + self.program + b"\x88\xac"
        if self.kind is AddressKind.P2SH:
            return b"\xa9\x14" + self.program + b"\x87"
        version = self.witness_version or 0
        opcode = 0x50 + version if version else 0
        return bytes((opcode, len(self.program))) + self.program


def parse_address(text: str, coin: Coin) -> Address:
    """Read an address of `coin`.

    Raises:
        InvalidAddressError: Garbage, another network's, a wrong checksum, or an MWEB address.
    """
    if not 8 <= len(text) <= _MAX_LENGTH or not text.isascii():
        raise InvalidAddressError(f"{text[:64]!r} is no {coin.name} address")
    prefix = text.lower().rpartition("1")[0]
    if coin.addresses.bech32 and prefix == coin.addresses.bech32:
        return _parse_segwit(text, coin)
    if coin.extension_block and prefix == mweb_prefix(coin):
        raise InvalidAddressError("MWEB addresses cannot be paid from here; give a segwit address")
    return _parse_base58(text, coin)


def mweb_prefix(coin: Coin) -> str:
    """Human-readable part of the network's extension-block (MWEB) addresses."""
    return {"ltc": "ltcmweb", "tltc": "tmweb"}.get(coin.addresses.bech32, "tmweb")


def canonical_address(text: str, coin: Coin) -> str:
    """The one writing by which an address is kept: two writings are one payee.

    Raises:
        InvalidAddressError: As `parse_address`.
    """
    return parse_address(text, coin).text


def is_address(text: str, coin: Coin) -> bool:
    """Tell whether `parse_address` would accept `text`."""
    try:
        parse_address(text, coin)
    except InvalidAddressError:
        return False
    return True


def script_pubkey(text: str, coin: Coin) -> bytes:
    """The output script of an address.

    Raises:
        InvalidAddressError: As `parse_address`.
    """
    return parse_address(text, coin).script_pubkey


def encode_p2pkh(public_key_hash: bytes, coin: Coin) -> str:
    """Address of a public key's hash, legacy form."""
    assert len(public_key_hash) == 20, "a key hash has 20 bytes"
    return base58.encode_check(bytes((coin.addresses.p2pkh,)) + public_key_hash)


def encode_p2sh(script_hash: bytes, coin: Coin) -> str:
    """Address of a script's hash, in the network's usual form."""
    assert len(script_hash) == 20, "a script hash has 20 bytes"
    return base58.encode_check(bytes((coin.addresses.p2sh[0],)) + script_hash)


def encode_segwit(version: int, program: bytes, coin: Coin) -> str:
    """Address of a witness program."""
    assert 0 <= version <= 16, "witness versions are 0 to 16"
    constant = bech32.BECH32M if version else bech32.BECH32
    values = [version, *bech32.regroup(program, 8, 5, pad=True)]
    return bech32.encode(coin.addresses.bech32, values, constant)


def address_of_script(script: bytes, coin: Coin) -> str | None:
    """The address that an output script pays to, if it is of an addressable form."""
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return encode_p2pkh(script[3:23], coin)
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return encode_p2sh(script[2:22], coin)
    if coin.addresses.bech32 and 4 <= len(script) <= 42 and script[1] == len(script) - 2:
        version = 0 if script[0] == 0 else script[0] - 0x50
        if script[0] == 0 and len(script) not in {22, 34}:
            return None
        if script[0] == 0 or 1 <= version <= 16:
            return encode_segwit(version, script[2:], coin)
    return None


def _parse_segwit(text: str, coin: Coin) -> Address:
    try:
        _, values, constant = bech32.decode(text)
        program = bytes(bech32.regroup(values[1:], 5, 8, pad=False))
    except ValueError as error:
        raise InvalidAddressError(f"{text!r} is no {coin.name} address: {error}") from None
    version = values[0] if values else 17
    if version > 16:
        raise InvalidAddressError(f"{text!r} has no witness version")
    if constant != (bech32.BECH32M if version else bech32.BECH32):
        raise InvalidAddressError(f"{text!r} has the other version's checksum (BIP 350)")
    if not 2 <= len(program) <= 40 or (version == 0 and len(program) not in {20, 32}):
        raise InvalidAddressError(f"{text!r} has a witness program of a wrong length")
    if coin.extension_block and version in _MWEB_VERSIONS and len(program) == 32:
        raise InvalidAddressError(f"{text!r} is an output that only MWEB itself makes (LIP 3)")
    kind = AddressKind.WITNESS_FUTURE
    if version == 0:
        kind = AddressKind.P2WPKH if len(program) == 20 else AddressKind.P2WSH
    elif version == 1 and len(program) == 32:
        kind = AddressKind.P2TR
    return Address(text.lower(), kind, program, version)


def _parse_base58(text: str, coin: Coin) -> Address:
    try:
        payload = base58.decode_check(text)
    except ValueError as error:
        raise InvalidAddressError(f"{text[:64]!r} is no {coin.name} address: {error}") from None
    if len(payload) != 21:
        raise InvalidAddressError(f"{text[:64]!r} is no {coin.name} address: wrong length")
    version, program = payload[0], payload[1:]
    if version == coin.addresses.p2pkh:
        return Address(text, AddressKind.P2PKH, program)
    if version in coin.addresses.p2sh:
        return Address(encode_p2sh(program, coin), AddressKind.P2SH, program)
    raise InvalidAddressError(f"{text[:64]!r} is an address of another network than {coin.name}")
