"""`ChainAccess` over the nodes of a chain: agreed answers where money depends on them."""

from __future__ import annotations

from millpond.chains.evm.errors import (
    InsufficientFundsError,
    NonceTooHighError,
    NonceTooLowError,
    PoolFullError,
    RevertedError,
    RpcInvalidParameterError,
    RpcMethodNotFoundError,
    RpcRejectedError,
    RpcUnknownBlockError,
    UnderpricedError,
)
from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.sending import SendResult, SendVerdict
from millpond.chains.evm.tx.access import (
    Call,
    CallRevertedError,
    EstimateError,
    Head,
    NoMoneyError,
    SendAnswer,
    Verdict,
)
from millpond.chains.evm.tx.fees import Market
from millpond.chains.evm.types import Receipt

_VERDICTS: tuple[tuple[type[RpcRejectedError], Verdict], ...] = (
    (NonceTooLowError, Verdict.NONCE_TOO_LOW),
    (UnderpricedError, Verdict.UNDERPRICED),
    (InsufficientFundsError, Verdict.NO_MONEY),
    (NonceTooHighError, Verdict.NONCE_TOO_HIGH),
    (PoolFullError, Verdict.UNKNOWN),
    (RpcRejectedError, Verdict.REFUSED),
)
"""Meanings of refusals; when nodes differ, the first of these."""

_NO_ANSWER = (RpcMethodNotFoundError, RpcInvalidParameterError, RpcUnknownBlockError)
"""What a node says about the question rather than about the call."""


class NodesAccess:
    """What the transaction manager needs, asked of `Nodes`.

    Args:
        nodes: The chain's nodes; their quorum decides what is agreed.
    """

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    @property
    def chain_id(self) -> int:
        """Which chain (EIP-155)."""
        return self._nodes.chain_id

    async def head(self) -> Head:
        """The newest block that a quorum has."""
        block = await self._nodes.head(agreed=True)
        return Head(block.number, block.hash)

    async def block_hash(self, number: int) -> str | None:
        """Hash of the block of that height; None when there is none (yet)."""
        block = await self._nodes.block(number, agreed=True)
        return None if block is None else block.hash

    async def receipt(self, tx_hash: str) -> Receipt | None:
        """Receipt of a transaction, as a quorum has it; None: in no block."""
        return await self._nodes.receipt(tx_hash, agreed=True)

    async def in_pool(self, tx_hash: str) -> bool:
        """Tell whether any node knows the transaction."""
        return await self._nodes.transaction(tx_hash) is not None

    async def count(self, address: str, block: int | None = None) -> int:
        """Transactions of an address up to a block, as a quorum has it."""
        return await self._nodes.nonce(address, "latest" if block is None else block, agreed=True)

    async def balance(self, address: str) -> int:
        """Wei of an address, as a quorum has it."""
        return await self._nodes.balance(address, agreed=True)

    async def market(self) -> Market:
        """What gas costs now; one node's word, held against the caps by whoever uses it."""
        fees = await self._nodes.fees()
        return Market(fees.next_base_fee, fees.priority_fee)

    async def simulate(self, sender: str, call: Call) -> bytes:
        """Do the call on the newest state; what makes a contract is tried by the estimate.

        Raises:
            CallRevertedError: The contract refuses it.
            NoMoneyError: The sender has not the value.
        """
        if call.to is None:
            return b""
        try:
            return await self._nodes.call(call.to, call.data, sender=sender, value=call.value)
        except RevertedError as error:
            raise CallRevertedError(error.reason or error.message) from None
        except InsufficientFundsError as error:
            raise NoMoneyError(error.message) from None

    async def estimate_gas(self, sender: str, call: Call) -> int:
        """Units of gas that the call needs now.

        Raises:
            CallRevertedError: The contract refuses it.
            NoMoneyError: The sender has not the value.
            EstimateError: There is no estimate, for another reason.
        """
        try:
            return await self._nodes.estimate_gas(
                call.to, call.data, sender=sender, value=call.value
            )
        except RevertedError as error:
            raise CallRevertedError(error.reason or error.message) from None
        except InsufficientFundsError as error:
            raise NoMoneyError(error.message) from None
        except _NO_ANSWER:
            raise
        except RpcRejectedError as error:
            raise EstimateError(error.message) from None

    async def send(self, raw: bytes) -> SendAnswer:
        """Give the bytes to all nodes, and make one verdict of theirs."""
        return verdict_of(await self._nodes.send_raw(raw))


def verdict_of(result: SendResult) -> SendAnswer:
    """The best that can be said after all nodes were asked; pure."""
    match result.verdict:
        case SendVerdict.ACCEPTED:
            return SendAnswer(Verdict.ACCEPTED)
        case SendVerdict.KNOWN:
            return SendAnswer(Verdict.KNOWN)
        case SendVerdict.REJECTED:
            for kind, verdict in _VERDICTS:
                for error in result.rejections:
                    if isinstance(error, kind):
                        return SendAnswer(verdict, error.message)
    errors = [node.error.message for node in result.verdicts if node.error is not None]
    return SendAnswer(Verdict.UNKNOWN, errors[0] if errors else "no answer")
