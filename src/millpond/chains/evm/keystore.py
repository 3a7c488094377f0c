"""Encrypted key files (Web3 Secret Storage, version 3)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from millpond.chains.evm.address import checksum, is_address
from millpond.chains.evm.recursion import recursion_limit_kept
from millpond.chains.evm.signers import KeySigner
from millpond.errors import InvalidInputError

with recursion_limit_kept():
    from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json

_MAX_FILE = 64 * 1024
"""A key file has less than a kilobyte; more is something else."""


class KeystoreError(InvalidInputError):
    """A key file cannot be opened."""

    code = "keystore"


class KeystoreSigner(KeySigner):
    """A signer whose key was in an encrypted file."""

    __slots__ = ()

    @classmethod
    def open(cls, path: Path, *, password: bytes, address: str | None = None) -> KeystoreSigner:
        """Decrypt a key file; takes a second or so, as its key derivation is meant to.

        Args:
            path: The file.
            password: Of the file; see `read_password`.
            address: What the key's address must be; None takes any.

        Raises:
            KeystoreError: No key file, a wrong password, or another address.
        """
        document = _read(path)
        try:
            secret = decode_keyfile_json(document, password)
        except (ValueError, KeyError, TypeError, NotImplementedError):
            # Their words may hold parts of the file; ours hold none.
            raise KeystoreError("the key file cannot be decrypted with that password") from None
        signer = cls(secret)
        if address is not None and signer.address != address:
            raise KeystoreError(
                "the key file holds the key of another address",
                expected=address,
                found=signer.address,
            )
        return signer


def write_keystore(path: Path, secret: bytes, *, password: bytes, iterations: int = 262_144) -> str:
    """Write an encrypted key file that only its owner reads; return the address.

    Args:
        path: A file that does not exist yet.
        secret: The 32 bytes of the private key.
        password: To encrypt it with.
        iterations: Cost of the key derivation (scrypt's n); a power of two.

    Raises:
        KeystoreError: The file exists, or cannot be written.
    """
    document = create_keyfile_json(secret, password, version=3, iterations=iterations)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(document))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise KeystoreError(f"the key file cannot be written: {error.strerror}") from None
    return KeySigner(secret).address


def keystore_address(path: Path) -> str | None:
    """The address that a key file names in the clear; None if it names none.

    Raises:
        KeystoreError: No key file.
    """
    found = _read(path).get("address")
    digits = str(found or "").removeprefix("0x")
    return checksum(f"0x{digits}") if is_address(f"0x{digits}") else None


def read_password(source: str) -> bytes:
    """Read a password from `env:NAME` or `file:PATH` (its first line).

    Raises:
        KeystoreError: There is none, or the source is neither.
    """
    scheme, _, rest = source.partition(":")
    match scheme:
        case "env":
            value = os.environ.get(rest, "").encode()
        case "file":
            try:
                value = Path(rest).read_bytes().partition(b"\n")[0].rstrip(b"\r")
            except OSError as error:
                raise KeystoreError(f"the password cannot be read: {error.strerror}") from None
        case _:
            raise KeystoreError("a password comes from env:NAME or file:PATH")
    if not value:
        if scheme == "env" and rest not in os.environ:
            raise KeystoreError(f"the password is not set; put it into the variable {rest}")
        raise KeystoreError(f"the password in {source} is empty")
    return value


def _read(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeystoreError(f"the key file cannot be read: {error.strerror}") from None
    try:
        assert len(content) <= _MAX_FILE, "a key file is small"
        document: dict[str, Any] = msgspec.json.decode(content, type=dict[str, Any])
    except (AssertionError, msgspec.DecodeError):
        raise KeystoreError("the file is no key file") from None
    return document
