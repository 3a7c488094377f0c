"""What can go wrong between Millpond and an EVM node, by meaning.

The one question that decides what a caller may do next is: *did it happen?*
`RpcRejectedError` and its kin: no, the node said so. `RpcUnavailableError`:
no, nothing was taken. `RpcOutcomeUnknownError`: nobody knows; look it up.
Beyond these, nodes may know too little (`NoQuorumError`), stand on different
tips for a moment (`NodesDisagreeError`), or contradict each other about what
cannot change any more (`EquivocationError`).
"""

from __future__ import annotations

from typing import ClassVar

from millpond.errors import InvalidInputError, MillpondError, UnavailableError


class InvalidAddressError(InvalidInputError):
    """Not an EVM address, or one with a wrong EIP-55 checksum."""

    code: ClassVar[str] = "invalid_address"


class AbiError(MillpondError):
    """Arguments or bytes that do not fit the ABI."""

    code = "evm_abi"


class RpcError(UnavailableError):
    """Root of everything that a call to a node can raise."""

    code = "evm_node_error"


class RpcUnavailableError(RpcError):
    """The node cannot be reached, or has not taken the call: nothing happened."""

    code = "evm_node_unavailable"


class RpcAuthError(RpcUnavailableError):
    """The node refuses the credentials (HTTP 401, 403); nothing happened."""

    code = "evm_node_auth"


class RpcRateLimitedError(RpcUnavailableError):
    """The node wants to be asked less often; nothing happened.

    Attributes:
        retry_after_s: Whole seconds that the node asks to wait; None if it does not say.
    """

    code = "evm_rate_limited"

    def __init__(self, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s


class WrongChainError(RpcUnavailableError):
    """The node serves another chain than it should."""

    code = "evm_wrong_chain"


class RpcOutcomeUnknownError(RpcError):
    """The call went out and no readable answer came back: it may have happened."""

    code = "evm_outcome_unknown"


class RpcTimeoutError(RpcOutcomeUnknownError):
    """No answer in time: it may have happened, or happen still."""

    code = "evm_timeout"


class RpcServerError(RpcOutcomeUnknownError):
    """HTTP 5xx without a JSON-RPC answer: a gateway may have passed the call on."""

    code = "evm_server_error"


class RpcProtocolError(RpcOutcomeUnknownError):
    """The answer is not what a node says: garbage, a wrong id, or of a wrong shape."""

    code = "evm_protocol"


class RpcAnswerTooLargeError(RpcProtocolError):
    """The answer is longer than Millpond reads; ask for less."""

    code = "evm_answer_too_large"


class RpcRejectedError(RpcError):
    """The node answered with an error: what was asked did not happen.

    Attributes:
        rpc_code: The number of the JSON-RPC error.
        method: What was called.
        data: The bytes that came with the error (of a revert: ABI-encoded); may be empty.
    """

    code = "evm_rejected"
    http_status = 502

    def __init__(self, message: str, *, rpc_code: int, method: str, data: bytes = b"") -> None:
        super().__init__(message, rpc_code=rpc_code, method=method)
        self.rpc_code = rpc_code
        self.method = method
        self.data = data


class RpcMethodNotFoundError(RpcRejectedError):
    """This node has no such method, or its plan does not include it (-32601, -32004)."""

    code = "evm_method_not_found"


class RpcInvalidParameterError(RpcRejectedError):
    """A parameter cannot be what it should be (-32602)."""

    code = "evm_invalid_parameter"


class RpcUnknownBlockError(RpcRejectedError):
    """This node does not have the block that was asked about: behind, pruned, or reorganised."""

    code = "evm_unknown_block"


class RpcRangeError(RpcRejectedError):
    """Too many blocks or logs were asked for at once.

    Attributes:
        suggested: First and last block that the node says it would answer for.
        max_blocks: The longest range that the node says it serves.
    """

    code = "evm_range_too_large"

    def __init__(
        self,
        message: str,
        *,
        rpc_code: int,
        method: str,
        suggested: tuple[int, int] | None = None,
        max_blocks: int | None = None,
    ) -> None:
        super().__init__(message, rpc_code=rpc_code, method=method)
        self.suggested = suggested
        self.max_blocks = max_blocks


class RevertedError(RpcRejectedError):
    """The call reverts.

    Attributes:
        reason: The contract's words, `Panic(0x11)`, a custom error's selector, or empty.
    """

    code = "evm_reverted"

    def __init__(
        self, message: str, *, rpc_code: int, method: str, data: bytes = b"", reason: str = ""
    ) -> None:
        super().__init__(message, rpc_code=rpc_code, method=method, data=data)
        self.reason = reason


class SendRejectedError(RpcRejectedError):
    """A node does not take the transaction; root of the reasons that it gives."""

    code = "evm_send_rejected"


class AlreadyKnownError(SendRejectedError):
    """The node has this very transaction already."""

    code = "evm_already_known"


class NonceTooLowError(SendRejectedError):
    """The nonce is used: by this transaction, by another attempt, or by a stranger."""

    code = "evm_nonce_too_low"


class NonceTooHighError(SendRejectedError):
    """The node takes no transaction after a gap."""

    code = "evm_nonce_too_high"


class UnderpricedError(SendRejectedError):
    """The fees are too low for this node's pool."""

    code = "evm_underpriced"


class ReplacementUnderpricedError(UnderpricedError):
    """The fees are not enough above those of the transaction with the same nonce."""

    code = "evm_replacement_underpriced"


class FeeBelowBaseError(UnderpricedError):
    """`maxFeePerGas` is below the base fee of the next block."""

    code = "evm_fee_below_base"


class FeeCapError(SendRejectedError):
    """The fee is above what this node is set to send."""

    code = "evm_fee_cap"


class InsufficientFundsError(SendRejectedError):
    """The sender cannot pay value and gas."""

    code = "evm_insufficient_funds"


class GasLimitError(SendRejectedError):
    """The gas limit is below the intrinsic cost, or above what a block holds."""

    code = "evm_gas_limit"


class PoolFullError(SendRejectedError):
    """The node's pool has no room, for this sender or at all; trying later may help."""

    code = "evm_pool_full"


class NoQuorumError(RpcUnavailableError):
    """Fewer nodes than needed gave an answer, or the same answer; nothing is decided."""

    code = "evm_no_quorum"


class NodesDisagreeError(NoQuorumError):
    """Nodes stand on different tips; asking again soon may help."""

    code = "evm_nodes_disagree"


class EquivocationError(MillpondError):
    """Nodes contradict each other about what cannot change; a person must look.

    Attributes:
        subject: What was asked, in words that name method and block.
        answers: A short form of each node's answer, by its name.
    """

    code = "evm_equivocation"
    http_status = 502

    def __init__(self, message: str, *, subject: str, answers: dict[str, str]) -> None:
        super().__init__(message, subject=subject, answers=answers)
        self.subject = subject
        self.answers = answers


class ReorgTooDeepError(MillpondError):
    """The chain changed deeper than what is remembered or allowed; a person must look."""

    code = "evm_reorg_too_deep"
    http_status = 502
