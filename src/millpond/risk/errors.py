"""What the room refuses. Each rule has an error of its own, with the code `risk_<rule>`."""

from __future__ import annotations

from millpond.errors import ConflictError, InvalidInputError, MillpondError, NotFoundError
from millpond.risk.model import Rule
from millpond.risk.rules import Decision


class RiskRefusedError(MillpondError):
    """What was asked for is refused; it changed nothing, and the refusal is written down.

    Attributes:
        decision: Everything that spoke against it.
    """

    code = "risk_refused"
    http_status = 409

    def __init__(self, decision: Decision) -> None:
        assert decision.refusals, "a refusal has a reason"
        first = decision.refusals[0]
        room = {} if decision.room is None else {"room": str(decision.room)}
        super().__init__(
            first.message,
            rule=first.rule.value,
            scope=first.scope.path,
            **_figures(decision),
            **room,
        )
        self.decision = decision


class RiskPausedError(RiskRefusedError):
    """A person has paused it."""

    code = "risk_paused"


class RiskBreakerError(RiskRefusedError):
    """A breaker that tripped holds it."""

    code = "risk_breaker"


class RiskTvlCapError(RiskRefusedError):
    """More would be locked than may be."""

    code = "risk_tvl_cap"


class RiskDepositCapError(RiskRefusedError):
    """A single deposit that is too large."""

    code = "risk_deposit_cap"


class RiskUserCapError(RiskRefusedError):
    """One user would have too much."""

    code = "risk_user_cap"


class RiskWithdrawalCapError(RiskRefusedError):
    """Too much at once."""

    code = "risk_withdrawal_cap"


class RiskUserDayError(RiskRefusedError):
    """Too much for one user in 24 hours."""

    code = "risk_user_24h"


class RiskTotalDayError(RiskRefusedError):
    """Too much for all together in 24 hours."""

    code = "risk_total_24h"


class RiskRateOfChangeError(RiskRefusedError):
    """What is locked would change too quickly."""

    code = "risk_rate_of_change"


class RiskOutflowError(RiskRefusedError):
    """More would leave than the breaker lets."""

    code = "risk_outflow"


class RiskUnmeasuredError(RiskRefusedError):
    """A limit is set on something that nobody can measure."""

    code = "risk_unmeasured"


_ERRORS: dict[Rule, type[RiskRefusedError]] = {
    Rule.PAUSED: RiskPausedError,
    Rule.BREAKER: RiskBreakerError,
    Rule.TVL_CAP: RiskTvlCapError,
    Rule.DEPOSIT_CAP: RiskDepositCapError,
    Rule.USER_CAP: RiskUserCapError,
    Rule.WITHDRAWAL_CAP: RiskWithdrawalCapError,
    Rule.USER_24H: RiskUserDayError,
    Rule.TOTAL_24H: RiskTotalDayError,
    Rule.RATE_OF_CHANGE: RiskRateOfChangeError,
    Rule.OUTFLOW: RiskOutflowError,
    Rule.UNMEASURED: RiskUnmeasuredError,
}


class RiskReferenceError(ConflictError):
    """The reference was used before for something else."""

    code = "risk_reference"


class ExitsStayOpenError(InvalidInputError):
    """A pause of exits that does not say why the exits themselves are the reason."""

    code = "risk_exits_stay_open"


class HoldTimeError(InvalidInputError):
    """A hold that would end in the past, or one of exits that would last too long."""

    code = "risk_hold_time"


class RiskRoleError(MillpondError):
    """Somebody with more rights is needed for this."""

    code = "risk_role"
    http_status = 403


class HoldNotFoundError(NotFoundError):
    """No pause or breaker has that identifier, or it has ended."""

    code = "risk_hold_not_found"


def refused(decision: Decision) -> RiskRefusedError:
    """The error for a decision that is a refusal: that of its first reason."""
    return _ERRORS[decision.refusals[0].rule](decision)


def _figures(decision: Decision) -> dict[str, str]:
    first = decision.refusals[0]
    figures = {"limit": first.limit, "used": first.used}
    return {name: str(value) for name, value in figures.items() if value is not None}
