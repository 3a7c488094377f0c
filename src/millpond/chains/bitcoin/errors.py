"""What can go wrong between Millpond and a daemon, by meaning.

The one question that decides what a caller may do next is: *did it happen?*
`RpcRejectedError` and its kin: no, the daemon said so. `RpcUnavailableError`:
no, nothing reached the daemon. `RpcOutcomeUnknownError`: nobody knows; look
it up by its identity.
"""

from __future__ import annotations

from typing import ClassVar

from millpond.errors import InvalidInputError, UnavailableError


class RpcError(UnavailableError):
    """Root of everything that a call to a daemon can raise."""

    code = "daemon_error"


class RpcUnavailableError(RpcError):
    """The daemon cannot be reached, or has not taken the call: nothing happened."""

    code = "daemon_unavailable"


class RpcWarmingUpError(RpcUnavailableError):
    """The daemon is starting (-28); nothing happened."""

    code = "daemon_warming_up"


class RpcAuthError(RpcUnavailableError):
    """The daemon refuses user and password; nothing happened."""

    code = "daemon_auth"


class RpcNotReadyError(RpcUnavailableError):
    """The daemon has no peers (-9) or is still loading blocks (-10); nothing happened."""

    code = "daemon_not_ready"


class RpcOutcomeUnknownError(RpcError):
    """The call went out and no readable answer came back: it may have happened."""

    code = "daemon_outcome_unknown"


class RpcTimeoutError(RpcOutcomeUnknownError):
    """No answer in time: it may have happened, or happen still."""

    code = "daemon_timeout"


class RpcProtocolError(RpcOutcomeUnknownError):
    """The answer is not what a daemon says: garbage, too large, or of a wrong shape."""

    code = "daemon_protocol"


class RpcRejectedError(RpcError):
    """The daemon answered with an error: what was asked did not happen.

    Attributes:
        rpc_code: The daemon's own number (`RPC_*` of Bitcoin's `protocol.h`).
    """

    code = "daemon_rejected"
    http_status = 502

    def __init__(self, message: str, *, rpc_code: int, method: str) -> None:
        super().__init__(message, rpc_code=rpc_code, method=method)
        self.rpc_code = rpc_code
        self.method = method


class RpcMethodNotFoundError(RpcRejectedError):
    """This daemon has no such method (-32601)."""

    code = "daemon_method_not_found"


class RpcNotFoundError(RpcRejectedError):
    """No such block, transaction, address or key (-5)."""

    code = "daemon_not_found"


class RpcInvalidParameterError(RpcRejectedError):
    """A parameter cannot be what it should be (-1, -3, -8, -22, -32602)."""

    code = "daemon_invalid_parameter"


class RpcWalletError(RpcRejectedError):
    """The wallet cannot do it (-4)."""

    code = "daemon_wallet"


class RpcInsufficientFundsError(RpcWalletError):
    """The wallet has not enough (-6, or -4 with that sentence)."""

    code = "daemon_insufficient_funds"


class RpcWalletNotFoundError(RpcWalletError):
    """No wallet of that name is loaded (-18)."""

    code = "daemon_wallet_not_found"


class RpcVerifyRejectedError(RpcRejectedError):
    """Consensus or policy refuses the transaction or block (-25, -26)."""

    code = "daemon_verify_rejected"


class RpcAlreadyInChainError(RpcRejectedError):
    """The transaction is in the chain already (-27)."""

    code = "daemon_already_in_chain"


class InvalidAddressError(InvalidInputError):
    """Not an address of this coin and network."""

    code: ClassVar[str] = "invalid_address"


class PaymentRefusedError(RpcError):
    """The daemon made another transaction than was asked for; it is not sent."""

    code = "payment_refused"
    http_status = 502


_BY_RPC_CODE: dict[int, type[RpcRejectedError]] = {
    -1: RpcInvalidParameterError,
    -3: RpcInvalidParameterError,
    -4: RpcWalletError,
    -5: RpcNotFoundError,
    -6: RpcInsufficientFundsError,
    -8: RpcInvalidParameterError,
    -18: RpcWalletNotFoundError,
    -22: RpcInvalidParameterError,
    -25: RpcVerifyRejectedError,
    -26: RpcVerifyRejectedError,
    -27: RpcAlreadyInChainError,
    -32601: RpcMethodNotFoundError,
    -32602: RpcInvalidParameterError,
}

_NOTHING_HAPPENED: dict[int, type[RpcUnavailableError]] = {
    -9: RpcNotReadyError,
    -10: RpcNotReadyError,
    -28: RpcWarmingUpError,
}


def error_for(rpc_code: int, message: str, method: str) -> RpcError:
    """The typed error for a JSON-RPC error object."""
    unavailable = _NOTHING_HAPPENED.get(rpc_code)
    if unavailable is not None:
        return unavailable(message, rpc_code=rpc_code, method=method)
    kind = _BY_RPC_CODE.get(rpc_code, RpcRejectedError)
    if rpc_code == -4 and message.lower().startswith("insufficient funds"):
        kind = RpcInsufficientFundsError
    return kind(message, rpc_code=rpc_code, method=method)
