"""What can be wrong with a claim to speak for somebody."""

from __future__ import annotations

from millpond.errors import MillpondError


class AuthenticationError(MillpondError):
    """The request does not prove whom it speaks for."""

    code = "authentication_required"
    http_status = 401


class SignatureError(AuthenticationError):
    """The signature is not the address's over the expected text."""

    code = "invalid_signature"


class ReplayError(AuthenticationError):
    """The nonce was used before."""

    code = "nonce_used"


class StaleProofError(AuthenticationError):
    """The nonce or the time of the proof is outside what is accepted."""

    code = "proof_expired"


class PermissionDeniedError(MillpondError):
    """Whoever asks is known, and may not do this."""

    code = "forbidden"
    http_status = 403
