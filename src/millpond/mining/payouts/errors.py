"""Why a payout is refused."""

from __future__ import annotations

from millpond.errors import ConflictError, InvalidInputError, MillpondError, NotFoundError


class PayoutTooSmallError(InvalidInputError):
    """Less than the smallest payout."""

    code = "payout_too_small"


class PayoutBalanceError(MillpondError):
    """More than the available balance."""

    code = "payout_balance"
    http_status = 409


class PayoutOpenError(ConflictError):
    """Another payout of the same balance is under way."""

    code = "payout_open"


class PayoutNotFoundError(NotFoundError):
    """No payout has that identifier."""

    code = "payout_not_found"


class PayoutSettingsError(InvalidInputError):
    """A setting that an address cannot have."""

    code = "payout_settings"
