"""Messages signed by an address, as `signmessage` makes them and wallets beyond it.

A signature is 65 bytes in base64: a header byte, then r and s. The header
carries which public key is meant: 27-30 P2PKH with an uncompressed key, 31-34
P2PKH compressed; BIP 137 adds 35-38 for P2SH-P2WPKH and 39-42 for P2WPKH.
Many wallets sign for segwit addresses with a header of 31-34; that is
accepted too, since the key that is recovered decides.
"""

from __future__ import annotations

import base64
import binascii

from coincurve import PrivateKey, PublicKey

from millpond.chains.bitcoin.address import AddressKind, parse_address
from millpond.chains.bitcoin.hashes import hash160, sha256d
from millpond.chains.bitcoin.wire import with_length
from millpond.chains.coins import Coin

_MAX_MESSAGE = 4_096


def message_digest(coin: Coin, message: str) -> bytes:
    """What is signed: the double hash of the network's magic line and the message."""
    magic = coin.addresses.message_magic.encode()
    return sha256d(with_length(magic) + with_length(message.encode()))


def sign_message(coin: Coin, key: PrivateKey, message: str) -> str:
    """Sign for the P2PKH address of `key` (compressed)."""
    signature = key.sign_recoverable(message_digest(coin, message), hasher=None)
    header = 31 + signature[64]
    return base64.b64encode(bytes((header,)) + signature[:64]).decode()


def verify_message(coin: Coin, address: str, message: str, signature: str) -> bool:
    """Tell whether the owner of `address` signed `message`.

    Anything that is no signature is False; so are address forms that have no
    key to recover (P2WSH, P2TR).

    Raises:
        InvalidAddressError: Not an address of this coin.
    """
    parsed = parse_address(address, coin)
    if len(message) > _MAX_MESSAGE or len(signature) > 128:
        return False
    recovered = _recover(coin, message, signature)
    if recovered is None:
        return False
    header, key_hash = recovered
    plain = header <= 34
    if parsed.kind is AddressKind.P2PKH:
        return plain and key_hash == parsed.program
    if parsed.kind is AddressKind.P2WPKH:
        return (31 <= header <= 34 or header >= 39) and key_hash == parsed.program
    script_hash = hash160(b"\x00\x14" + key_hash)
    return parsed.kind is AddressKind.P2SH and 31 <= header <= 38 and script_hash == parsed.program


def _recover(coin: Coin, message: str, signature: str) -> tuple[int, bytes] | None:
    """Header byte and hash of the key that made a signature; None if it is none."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != 65 or not 27 <= raw[0] <= 42:
        return None
    recovery_id = bytes(((raw[0] - 27) & 3,))
    try:
        key = PublicKey.from_signature_and_message(
            raw[1:] + recovery_id, message_digest(coin, message), hasher=None
        )
    except ValueError:
        return None
    return raw[0], hash160(key.format(compressed=raw[0] >= 31))
