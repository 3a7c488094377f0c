"""Errors of the devevm's RPC: numbers and sentences as go-ethereum has them."""

from __future__ import annotations

from millpond.errors import MillpondError

SERVER_ERROR = -32_000
REVERTED = 3


class DevevmRpcError(MillpondError):
    """An error object of the RPC.

    Attributes:
        rpc_code: Number of the kind of error.
        data: What a reverted call returned, 0x-hex; None with other errors.
    """

    code = "devevm_rpc"

    def __init__(self, rpc_code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.rpc_code = rpc_code
        self.data = data


class DevevmStorageError(MillpondError):
    """The data directory belongs to another chain."""

    code = "devevm_storage"


def refused(message: str) -> DevevmRpcError:
    """The usual refusal: something is wrong with the transaction or with the question."""
    return DevevmRpcError(SERVER_ERROR, message)


def invalid(message: str) -> DevevmRpcError:
    """The parameters cannot be read."""
    return DevevmRpcError(-32_602, message)
