"""What the transaction manager needs of a chain, and no more.

Whatever answers has asked several nodes where money depends on it. Every
method raises `UnavailableError` (or a subclass) when nobody answers, or when
the answers contradict each other.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

from millpond.chains.evm.tx.fees import Market
from millpond.chains.evm.types import Receipt
from millpond.errors import MillpondError, UnavailableError


class CallRevertedError(MillpondError):
    """The contract refuses the call; the message is the contract's reason."""

    code = "evm_call_reverted"
    http_status = 409


class NoMoneyError(UnavailableError):
    """The sender has not enough for the call's value and gas."""

    code = "evm_no_money"


class EstimateError(UnavailableError):
    """The node finds no limit of gas for the call, though it does not say that it reverts."""

    code = "evm_estimate"


class Head(msgspec.Struct, frozen=True):
    """The newest block."""

    number: int
    hash: str


class Verdict(StrEnum):
    """What a node says to bytes that it is given; none of it is proof."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    NONCE_TOO_LOW = "nonce_too_low"
    NONCE_TOO_HIGH = "nonce_too_high"
    UNDERPRICED = "underpriced"
    NO_MONEY = "no_money"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class SendAnswer(msgspec.Struct, frozen=True):
    """The best verdict of all nodes, and the words with it."""

    verdict: Verdict
    reason: str = ""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction is to do.

    Attributes:
        to: Address that is called; None makes a contract of `data`.
        data: What it is called with.
        value: Wei that are sent along.
        gas_limit: Units of gas; None: as estimated.
    """

    to: str | None
    data: bytes = b""
    value: int = 0
    gas_limit: int | None = None


class ChainAccess(Protocol):
    """One chain."""

    @property
    def chain_id(self) -> int:
        """Which chain (EIP-155)."""

    async def head(self) -> Head:
        """The newest block that enough nodes have."""

    async def block_hash(self, number: int) -> str | None:
        """Hash of the block of that height; None when there is none (yet)."""

    async def receipt(self, tx_hash: str) -> Receipt | None:
        """Receipt of a transaction; None: in no block."""

    async def in_pool(self, tx_hash: str) -> bool:
        """Tell whether any node knows the transaction."""

    async def count(self, address: str, block: int | None = None) -> int:
        """Transactions of an address up to a block; None: the newest."""

    async def balance(self, address: str) -> int:
        """Wei of an address in the newest block."""

    async def market(self) -> Market:
        """What gas costs now."""

    async def simulate(self, sender: str, call: Call) -> bytes:
        """Do the call on the newest state without a transaction.

        Raises:
            CallRevertedError: The contract refuses it.
            NoMoneyError: The sender has not the value.
        """

    async def estimate_gas(self, sender: str, call: Call) -> int:
        """Units of gas that the call needs now.

        Raises:
            CallRevertedError: The contract refuses it.
            NoMoneyError: The sender has not the value.
            EstimateError: There is no estimate, for another reason.
        """

    async def send(self, raw: bytes) -> SendAnswer:
        """Give the bytes to all nodes; never raises for what a node says."""
