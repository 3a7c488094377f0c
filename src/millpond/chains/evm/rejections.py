"""From the words of a node's error to a type.

Here is what geth, erigon, nethermind, besu, reth, anvil, hardhat and the hosted
services say when they mean the same thing. JSON-RPC numbers are of little help (-32000 is everything), so the sentence
decides, in lower case. The table is published in docs/evm.md.
"""

from __future__ import annotations

import re
from typing import Any, Final

from millpond.chains.evm.errors import (
    AlreadyKnownError,
    FeeBelowBaseError,
    FeeCapError,
    GasLimitError,
    InsufficientFundsError,
    NonceTooHighError,
    NonceTooLowError,
    PoolFullError,
    ReplacementUnderpricedError,
    RevertedError,
    RpcError,
    RpcInvalidParameterError,
    RpcMethodNotFoundError,
    RpcRangeError,
    RpcRateLimitedError,
    RpcRejectedError,
    RpcServerError,
    RpcUnknownBlockError,
    SendRejectedError,
    UnderpricedError,
)
from millpond.chains.evm.reverts import revert_reason
from millpond.errors import plain

_MAX_MESSAGE = 500

SEND_WORDS: Final[tuple[tuple[type[SendRejectedError], tuple[str, ...]], ...]] = (
    (
        AlreadyKnownError,
        (
            "already known",
            "alreadyknown",
            "known transaction",
            "already imported",
            "already in mempool",
            "already exists in the pool",
        ),
    ),
    (
        ReplacementUnderpricedError,
        (
            "replacement transaction underpriced",
            "replacementnotallowed",
            "another transaction with same nonce",
            "could not replace existing tx",
            "is necessary to replace the existing transaction",
        ),
    ),
    (
        FeeBelowBaseError,
        (
            "less than block base fee",
            "lower than the block base fee",
            "is too low for the next block",
            "max fee per gas less than",
            "feetoolow, maxfeepergas",
        ),
    ),
    (
        UnderpricedError,
        (
            "underpriced",
            "feetoolow",
            "gas price is too low",
            "gas price too low",
            "gas price below",
            "gas tip cap",
            "max priority fee per gas below",
            "fee too low",
        ),
    ),
    (NonceTooLowError, ("nonce too low", "oldnonce", "nonce is too low", "invalid nonce; too low")),
    (
        NonceTooHighError,
        ("nonce too high", "noncegap", "nonce gap", "nonce is too distant", "nonce too far"),
    ),
    (
        InsufficientFundsError,
        (
            "insufficient funds",
            "insufficientfunds",
            "doesn't have enough funds",
            "upfront cost exceeds",
            "insufficient balance",
            "overdraft",
        ),
    ),
    (FeeCapError, ("exceeds the configured cap", "fee cap exceeded", "exceeds fee cap")),
    (
        GasLimitError,
        (
            "intrinsic gas too low",
            "intrinsic gas",
            "exceeds block gas limit",
            "gas limit reached",
            "gaslimitexceeded",
            "gas limit is too low",
            "floor data gas",
            "transaction requires at least",
            "exceeds transaction gas limit",
        ),
    ),
    (
        PoolFullError,
        (
            "txpool is full",
            "pool is full",
            "queue is full",
            "account limit exceeded",
            "in-flight transaction limit",
            "too many transactions",
        ),
    ),
)

RANGE_WORDS: Final = (
    "block range",
    "range is too",
    "range too",
    "range limit",
    "range exceeds",
    "max range",
    "ranges over",
    "query returned more than",
    "more than 10000 results",
    "limit the query to",
    "query exceeds max",
    "exceeds the range",
    "is limited to a",
    "is limited to 0 -",
    "response size exceeded",
    "response size is larger",
    "response size should not",
    "response too large",
    "response is too big",
    "too many logs",
    "too many results",
    "logs matched by query exceeds",
    "query timeout exceeded",
    "query execution timeout",
    "exceed max",
    "exceeds max",
    "request exceeds",
)

RATE_WORDS: Final = (
    "rate limit",
    "ratelimit",
    "too many requests",
    "request limit",
    "capacity",
    "compute units",
    "credits",
    "quota",
    "limit exceeded",
    "throttl",
    "per second",
)

UNKNOWN_BLOCK_WORDS: Final = (
    "header not found",
    "header for hash not found",
    "block not found",
    "unknown block",
    "unknown header",
    "block with hash",
    "cannot query unfinalized",
    "missing trie node",
    "state not available",
    "state is not available",
    "pruned",
    "not canonical",
    "not currently canonical",
    "invalid block tag",
    "invalid value blockhash",
    "blockoutofrange",
    "block out of range",
    "invalid block hash",
    "one of the blocks specified in filter",
    "beyond current head",
)

_REVERT_WORDS: Final = ("execution reverted", "vm exception", "vm execution error", "revert")
_SEND_METHODS: Final = frozenset({"eth_sendRawTransaction", "eth_sendTransaction"})
_CALL_METHODS: Final = frozenset({"eth_call", "eth_estimateGas"})
_RATE_CODES: Final = frozenset({429, -32005, -32029})
_METHOD_CODES: Final = frozenset({-32601, -32004})
_INTERNAL_ERROR: Final = -32603
_PARAMETER_CODES: Final = frozenset({-32602, -32600})
_SUGGESTED = re.compile(r"\[\s*(0x[0-9a-f]{1,16})\s*,\s*(0x[0-9a-f]{1,16})\s*\]")
_MAX_BLOCKS = re.compile(
    r"(?:range|ranges over|limited to(?: a)?|max(?:imum)?|at most|up to)\D{0,40}?"
    r"(\d[\d,]{0,12}k?)\b"
)


def error_for(code: int, message: str, data: Any, method: str) -> RpcError:
    """The typed error for a JSON-RPC error object.

    Args:
        code: `error.code`.
        message: `error.message`.
        data: `error.data`, whatever it is.
        method: What was called: the same words mean different things elsewhere.
    """
    words = message.lower()
    said = plain(message[:_MAX_MESSAGE])
    if method in _SEND_METHODS:
        found = _send_error(words)
        if found is not None:
            return found(said, rpc_code=code, method=method)
    revert = _revert(code, words, data, method)
    if revert is not None:
        reason = revert_reason(revert) or _spoken_reason(said)
        return RevertedError(said, rpc_code=code, method=method, data=revert, reason=reason)
    return _read_error(code, words, said, method)


def _send_error(words: str) -> type[SendRejectedError] | None:
    for kind, phrases in SEND_WORDS:
        if any(phrase in words for phrase in phrases):
            return kind
    return None


def _read_error(code: int, words: str, said: str, method: str) -> RpcError:
    if method == "eth_getLogs" and any(phrase in words for phrase in RANGE_WORDS):
        return RpcRangeError(
            said,
            rpc_code=code,
            method=method,
            suggested=_suggested(words),
            max_blocks=_max_blocks(words),
        )
    if code in _RATE_CODES or any(phrase in words for phrase in RATE_WORDS):
        return RpcRateLimitedError(said)
    if method in _SEND_METHODS and code == _INTERNAL_ERROR:
        return RpcServerError(said)  # broken inside, perhaps after the pool had it
    return _refusal(code, words, method)(said, rpc_code=code, method=method)


def _refusal(code: int, words: str, method: str) -> type[RpcRejectedError]:
    if any(phrase in words for phrase in UNKNOWN_BLOCK_WORDS) or code == -32001:
        return RpcUnknownBlockError
    if code in _METHOD_CODES:
        return RpcMethodNotFoundError
    if method in _SEND_METHODS:
        return SendRejectedError
    found = _send_error(words) if method in _CALL_METHODS else None
    return found or (RpcInvalidParameterError if code in _PARAMETER_CODES else RpcRejectedError)


def _revert(code: int, words: str, data: Any, method: str) -> bytes | None:
    """The bytes of a revert; None when it is none."""
    if method not in _CALL_METHODS | _SEND_METHODS:
        return None
    if code == 3 or any(phrase in words for phrase in _REVERT_WORDS):
        return _revert_bytes(data)
    return None


def _revert_bytes(data: Any) -> bytes:
    # hardhat nests: {"message": …, "data": "0x…"}; nethermind writes "Reverted 0x…".
    if isinstance(data, dict):
        data = data.get("data")
    if not isinstance(data, str):
        return b""
    digits = data.removeprefix("Reverted ").strip()
    try:
        return bytes.fromhex(digits[2:]) if digits[:2] == "0x" else b""
    except ValueError:
        return b""


def _spoken_reason(message: str) -> str:
    """The reason out of a sentence, where no bytes came with it."""
    head, colon, reason = message.partition("execution reverted: ")
    if colon and not head.strip():
        return reason.strip()[:200]
    match = re.search(r"reverted with reason string '(.{0,200})'", message)
    return match[1] if match else ""


def _suggested(words: str) -> tuple[int, int] | None:
    match = _SUGGESTED.search(words)
    if match is None:
        return None
    first, last = int(match[1], 16), int(match[2], 16)
    return (first, last) if first <= last else None


def _max_blocks(words: str) -> int | None:
    if "result" in words or "size" in words or "logs" in words.replace("eth_getlogs", ""):
        return None  # the number counts something else
    match = _MAX_BLOCKS.search(words)
    if match is None:
        return None
    digits = match[1].replace(",", "")
    number = int(digits.rstrip("k")) * (1000 if digits.endswith("k") else 1)
    return number or None
