"""Proofs of work by name, and the choice between C and Python.

To add an algorithm, `register` a `ProofOfWork` whose `hash_header` maps the
80 bytes of a header to 32 bytes. The two that most coins use are here already
and run in the C extension where that was built.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Protocol, cast

import msgspec

from millpond.errors import InvalidInputError
from millpond.mining.work import reference


def _built_kernel() -> ModuleType | None:
    try:
        return importlib.import_module("millpond.mining.work._kernel")
    except ImportError:
        return None


_kernel = _built_kernel()


class UnknownProofOfWorkError(InvalidInputError):
    """No proof of work of that name is registered."""

    code = "unknown_proof_of_work"


class WorkHandle(Protocol):
    """A job made ready for hashing; see `millpond.mining.work.reference.Work`."""

    def header(
        self, extranonce1: bytes, extranonce2: bytes, ntime: int, nonce: int, version: int, /
    ) -> bytes:
        """Return the 80 bytes of the header of one share."""

    def check(  # noqa: PLR0917 - positional for speed
        self,
        extranonce1: bytes,
        extranonce2: bytes,
        ntime: int,
        nonce: int,
        version: int,
        share_target: bytes,
        /,
    ) -> tuple[int, bytes, int]:
        """Hash one share: verdict bits, hash, compact hash."""


class ProofOfWork(msgspec.Struct, frozen=True, kw_only=True):
    """One algorithm.

    Attributes:
        name: As in `Coin.proof_of_work`.
        hash_header: The 80 bytes of a header to its hash, 32 bytes, little-endian.
        kernel_id: Its number in the kernel; None if only `hash_header` knows it.
        rolls_version: Whether miners of it may roll version bits (BIP 310).
    """

    name: str
    hash_header: Callable[[bytes], bytes]
    kernel_id: int | None = None
    rolls_version: bool = False

    def hash_int(self, header: bytes) -> int:
        """Return the hash of a header as the number that targets are compared with."""
        return int.from_bytes(self.hash_header(header), "little")

    def prepare(  # noqa: PLR0917 - the kernel's order
        self,
        coinbase1: bytes,
        coinbase2: bytes,
        branch: bytes,
        prev_hash: bytes,
        bits: int,
        network_target: bytes,
    ) -> WorkHandle:
        """Make a job's handle, in C if that was built and knows the algorithm."""
        if _kernel is not None and self.kernel_id is not None:
            return cast(
                "WorkHandle",
                _kernel.Work(
                    self.kernel_id, coinbase1, coinbase2, branch, prev_hash, bits, network_target
                ),
            )
        return reference.Work(
            self.hash_header, coinbase1, coinbase2, branch, prev_hash, bits, network_target
        )


def native() -> bool:
    """Tell whether the C extension does the work."""
    return _kernel is not None


sha256d: Callable[[bytes], bytes] = reference.sha256d if _kernel is None else _kernel.sha256d
scrypt: Callable[[bytes], bytes] = reference.scrypt if _kernel is None else _kernel.scrypt
merkle_branch: Callable[[bytes], bytes] = (
    reference.merkle_branch if _kernel is None else _kernel.merkle_branch
)
scan: Callable[[int, bytes, int, int, bytes], tuple[int | None, int]] = (
    reference.scan if _kernel is None else _kernel.scan
)

_REGISTRY: dict[str, ProofOfWork] = {}


def register(proof: ProofOfWork) -> None:
    """Make an algorithm known; a name is given once."""
    if proof.name in _REGISTRY:
        raise ValueError(f"the proof of work {proof.name!r} is registered already")
    _REGISTRY[proof.name] = proof


def proof_of_work(name: str) -> ProofOfWork:
    """Look an algorithm up.

    Raises:
        UnknownProofOfWorkError: It was never registered.
    """
    try:
        return _REGISTRY[name]
    except KeyError:
        known = ", ".join(sorted(_REGISTRY))
        raise UnknownProofOfWorkError(
            f"no proof of work is named {name!r}; known are {known}"
        ) from None


register(
    ProofOfWork(
        name="sha256d", hash_header=sha256d, kernel_id=reference.SHA256D, rolls_version=True
    )
)
register(ProofOfWork(name="scrypt", hash_header=scrypt, kernel_id=reference.SCRYPT))
