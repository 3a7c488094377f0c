"""Signing in with an Ethereum account (EIP-4361): the text, and the session's scope; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from millpond.errors import MillpondError
from millpond.identity.service import CHALLENGE_MS

_SCOPE = "evm:"
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.ASCII)
_STATEMENT = "Sign in to see and to move your own staking positions. This moves no money."


class SignInDomainError(MillpondError):
    """Nobody can tell how this site is called from outside, so no text can name it."""

    code = "sign_in_domain"
    http_status = 409


@dataclass(frozen=True, slots=True)
class Site:
    """How the site is called from outside.

    Attributes:
        domain: Host, with the port where it is not the usual one.
        uri: Origin, such as `https://pool.example`.
    """

    domain: str
    uri: str

    @classmethod
    def of(cls, public_url: str, host: str) -> Site:
        """The site of the settings; where they say nothing, this machine itself.

        A text that names whatever host a request claims would sign people in through
        a stranger's site. On the loopback there is no stranger.

        Args:
            public_url: As the operator set it; may be empty.
            host: The request's `Host`.

        Raises:
            SignInDomainError: The setting is empty and the request is not from this machine.
        """
        if not public_url and not _LOOPBACK.fullmatch(host):
            raise SignInDomainError(
                "signing in with a wallet needs the site's own address: set http.public_url"
            )
        origin = urlsplit(public_url or f"http://{host}")
        return cls(origin.netloc, f"{origin.scheme}://{origin.netloc}")


def session_scope(chain_id: int) -> str:
    """What a session of an EVM wallet is for, where a miner's session names a pool.

    A contract wallet may be somebody else's on another chain, so a chain is named.
    """
    return f"{_SCOPE}{chain_id}"


def chain_of_scope(scope: str) -> int | None:
    """The chain of a session of an EVM wallet; None for a miner's."""
    return int(scope.removeprefix(_SCOPE)) if scope.startswith(_SCOPE) else None


def sign_in_text(site: Site, *, wallet: str, chain_id: int, nonce: str, expires_ms: int) -> str:
    """The text to sign, as EIP-4361 writes it.

    Args:
        site: Who asks.
        wallet: EIP-55 checksummed.
        chain_id: EIP-155 chain id.
        nonce: 8 letters and digits or more.
        expires_ms: When it is no longer taken, Unix milliseconds.
    """
    assert nonce.isalnum(), "EIP-4361 takes letters and digits only"
    return "\n".join(
        (
            f"{site.domain} wants you to sign in with your Ethereum account:",
            wallet,
            "",
            _STATEMENT,
            "",
            f"URI: {site.uri}",
            "Version: 1",
            f"Chain ID: {chain_id}",
            f"Nonce: {nonce}",
            f"Issued At: {_iso(expires_ms - CHALLENGE_MS)}",
            f"Expiration Time: {_iso(expires_ms)}",
        )
    )


def _iso(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
