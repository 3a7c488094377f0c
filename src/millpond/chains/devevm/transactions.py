"""Signed transactions as the devevm reads them: legacy, EIP-2930, EIP-1559, EIP-7702."""

from __future__ import annotations

from typing import Any

import msgspec
from eth.exceptions import UnrecognizedTransactionType
from eth.vm.forks.prague import PragueVM
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from millpond.chains.devevm.errors import DevevmRpcError, refused

_BUILDER = PragueVM.get_transaction_builder()
_BLOBS = 3
MAX_BYTES = 128 * 1024


class DevTx(msgspec.Struct, frozen=True):
    """A signed transaction; `evm` is the form that py-evm executes. Amounts in wei."""

    hash: bytes
    raw: bytes
    kind: int
    sender: bytes
    nonce: int
    to: bytes | None
    value: int
    gas: int
    max_fee: int
    max_tip: int
    data: bytes
    evm: Any

    @property
    def cost(self) -> int:
        """The most that it can take from its sender."""
        return self.gas * self.max_fee + self.value

    def tip(self, base_fee: int) -> int:
        """What the block's maker gets for a unit of gas."""
        return min(self.max_tip, self.max_fee - base_fee)


def read_transaction(raw: bytes, chain_id: int) -> DevTx:
    """A transaction from its signed form.

    Raises:
        DevevmRpcError: It cannot be read, is for another chain, or not signed.
    """
    if len(raw) > MAX_BYTES:
        raise refused(f"oversized data: transaction size {len(raw)}, limit {MAX_BYTES}")
    if raw[:1] == bytes([_BLOBS]):
        raise refused("transaction type not supported")
    try:
        evm = _BUILDER.decode(raw)
        return _known(evm, raw, chain_id)
    except UnrecognizedTransactionType:
        raise refused("transaction type not supported") from None
    except (BadSignature, ValidationError):
        raise refused("invalid sender") from None
    except (RLPException, IndexError) as error:
        raise refused(f"rlp: {type(error).__name__}") from None


def reread(raw: bytes, chain_id: int) -> DevTx:
    """A transaction that was read before."""
    try:
        return read_transaction(raw, chain_id)
    except DevevmRpcError as error:  # it was checked when it came
        raise AssertionError(error.message) from error


def _known(evm: Any, raw: bytes, chain_id: int) -> DevTx:
    evm.validate()
    if evm.chain_id is None:
        raise refused("only replay-protected (EIP-155) transactions allowed over RPC")
    if evm.chain_id != chain_id:
        raise refused(f"invalid chain id for signer: have {evm.chain_id} want {chain_id}")
    evm.check_signature_validity()
    return DevTx(
        hash=bytes(evm.hash),
        raw=raw,
        kind=evm.type_id or 0,
        sender=bytes(evm.sender),
        nonce=evm.nonce,
        to=bytes(evm.to) or None,
        value=evm.value,
        gas=evm.gas,
        max_fee=evm.max_fee_per_gas,
        max_tip=evm.max_priority_fee_per_gas,
        data=bytes(evm.data),
        evm=evm,
    )
