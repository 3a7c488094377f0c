"""What a miner is told: which pool, as whom, how hard."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from millpond.chains.coins import SCRYPT_DIFFICULTY_1, SHA256D_DIFFICULTY_1
from millpond.errors import InvalidInputError

DEFAULT_PORT = 3333
MAX_THREADS = 256

DIFFICULTY_1_TARGETS = {"sha256d": SHA256D_DIFFICULTY_1, "scrypt": SCRYPT_DIFFICULTY_1}
"""Algorithms that the miner knows, with what their miners call difficulty 1."""

_PLAIN_SCHEMES = frozenset({"stratum+tcp", "stratum", "tcp"})
_TLS_SCHEMES = frozenset({"stratum+ssl", "stratum+tls", "stratums", "ssl", "tls"})


class InvalidMinerSettingsError(InvalidInputError):
    """The miner cannot start with what it was told."""

    code = "invalid_miner_settings"


class Endpoint(NamedTuple):
    """Where a pool listens."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        """As a person would write it."""
        return f"{self.host}:{self.port}"


class MinerRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the miner.

    Attributes:
        url: `stratum+tcp://host:port`, `stratum+ssl://host:port` or `host:port`.
        user: What the pool knows the worker by, mostly `wallet.worker_name`.
        password: Options for the pool, such as `d=1024`.
        algorithm: `sha256d` or `scrypt`.
        threads: How many work at a time.
        load: Share of the time that each of them works, above 0 and up to 1.
        pause_s: Least seconds between two shares of a thread, for test chains on which
            nearly every hash is a block.
        max_shares: End after so many accepted shares; None for never.
        max_attempts: Give up after so many failed connections in a row; None for never.
    """

    url: str
    user: str
    password: str = "x"  # noqa: S105 - what miners send when there is nothing to say
    algorithm: str = "sha256d"
    threads: int = 1
    load: float = 1.0
    pause_s: float = 0.0
    max_shares: int | None = None
    max_attempts: int | None = None

    def endpoint(self) -> Endpoint:
        """Where to connect to.

        Raises:
            InvalidMinerSettingsError: The address of the pool cannot be read.
        """
        text = self.url if "://" in self.url else f"stratum+tcp://{self.url}"
        try:
            parts = urlsplit(text)
            port = parts.port
            (parts.hostname or "").encode("idna")
        except ValueError:
            raise InvalidMinerSettingsError(
                f"{self.url!r} is no address of a pool; write host:port"
            ) from None
        if parts.scheme not in _PLAIN_SCHEMES | _TLS_SCHEMES:
            raise InvalidMinerSettingsError(
                f"{parts.scheme!r} is no scheme of a pool; write stratum+tcp or stratum+ssl"
            )
        if not parts.hostname:
            raise InvalidMinerSettingsError(f"{self.url!r} names no host; write host:port")
        return Endpoint(parts.hostname, port or DEFAULT_PORT, parts.scheme in _TLS_SCHEMES)

    def validate(self) -> None:
        """Hold every setting against what is possible.

        Raises:
            InvalidMinerSettingsError: One of them is not; the sentence says which.
        """
        self.endpoint()
        if not self.user.strip():
            raise InvalidMinerSettingsError("a user is needed, mostly your address and a name")
        if self.algorithm not in DIFFICULTY_1_TARGETS:
            known = ", ".join(sorted(DIFFICULTY_1_TARGETS))
            raise InvalidMinerSettingsError(
                f"the miner does not know {self.algorithm!r}; it knows {known}"
            )
        if not 1 <= self.threads <= MAX_THREADS:
            raise InvalidMinerSettingsError(f"threads lies between 1 and {MAX_THREADS}")
        if not 0 < self.load <= 1:
            raise InvalidMinerSettingsError("load is above 0 and at most 1, such as 0.2")
        if not 0 <= self.pause_s <= 3600:
            raise InvalidMinerSettingsError("pause_s lies between 0 and 3600 seconds")
