"""The virtual machine: blocks are built and calls simulated here (py-evm, Prague)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import rlp
from eth.constants import BLANK_ROOT_HASH, CREATE_CONTRACT_ADDRESS
from eth.db.atomic import AtomicDB
from eth.db.trie import make_trie_root_and_nodes
from eth.exceptions import Revert, VMError
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.london.headers import calculate_expected_base_fee_per_gas
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.forks.prague.state import PragueState, PragueTransactionExecutor
from eth.vm.spoof import SpoofTransaction
from eth_utils.exceptions import ValidationError

from millpond.chains.devevm.params import DevevmParams
from millpond.chains.devevm.storage import Log, Receipt, StoredBlock, StoredTx
from millpond.chains.devevm.transactions import DevTx

# py-evm's types tell addresses and hashes from other bytes; here they do not.
_VM: Any = PragueVM
_State: Any = PragueState
_Header: Any = PragueBlockHeader
_Context: Any = ExecutionContext
_BUILDER: Any = PragueVM.get_transaction_builder()
_ZERO_ADDRESS = bytes(20)

# What go-ethereum calls what py-evm raises.
_FAILURES = {
    "OutOfGas": "out of gas",
    "InvalidInstruction": "invalid opcode",
    "InvalidJumpDestination": "invalid jump destination",
    "InsufficientFunds": "insufficient funds for transfer",
    "InsufficientStack": "stack underflow",
    "FullStack": "stack limit reached 1024",
    "StackDepthLimit": "max call depth exceeded",
    "ContractCreationCollision": "contract address collision",
    "WriteProtection": "write protection",
    "OutOfBoundsRead": "return data out of bounds",
    "ReservedBytesInCode": "invalid code: must not begin with 0xef",
}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call to be simulated; it pays no fees."""

    sender: bytes = _ZERO_ADDRESS
    to: bytes | None = None
    gas: int
    value: int = 0
    data: bytes = b""
    gas_price: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """What a simulated call did."""

    output: bytes
    gas_used: int
    failure: str | None
    """What went wrong, in go-ethereum's words; None: nothing."""
    reverted: bool


class BuiltBlock(msgspec.Struct, frozen=True):
    """A block ready to be kept."""

    header: Any
    block: StoredBlock
    txs: list[StoredTx]
    logs: list[Log]


class NotExecutableError(Exception):
    """A transaction may not stand in the block that is being built."""


class _FreeExecutor(PragueTransactionExecutor):
    """Executes for anybody: a simulated call is not signed and has no nonce."""

    def validate_transaction(self, transaction: Any) -> None:
        """Nothing is checked; a value must be there all the same."""


class _FreeState(PragueState):
    transaction_executor_class = _FreeExecutor


def read_header(encoded: bytes) -> Any:
    """A header from RLP."""
    return rlp.decode(encoded, sedes=PragueBlockHeader)


class Machine:
    """Executes on the states that a database holds.

    Args:
        db: Where states are.
        params: Rules of the chain.
        hash_of: Hash of a block by its number, for BLOCKHASH.
    """

    def __init__(self, db: AtomicDB, params: DevevmParams, hash_of: Callable[[int], bytes]) -> None:
        self._db = db
        self._params = params
        self._hash_of = hash_of

    def genesis(self, timestamp_s: int) -> BuiltBlock:
        """Block 0, which pays the accounts of the parameters."""
        header = _Header(
            difficulty=0,
            block_number=0,
            gas_limit=self._params.gas_limit,
            timestamp=timestamp_s,
            base_fee_per_gas=self._params.base_fee_wei,
        )
        state = _State(self._db, self._context(header), BLANK_ROOT_HASH)
        for account in self._params.accounts:
            state.set_balance(bytes.fromhex(account[2:]), self._params.account_wei)
        state.persist()
        return _built(header.copy(state_root=state.state_root), [], [])

    def draft(self, parent: Any, timestamp_s: int, randao: bytes) -> Any:
        """Header of an empty block after `parent`."""
        return _Header(
            difficulty=0,
            block_number=parent.block_number + 1,
            parent_hash=parent.hash,
            gas_limit=self._params.gas_limit,
            timestamp=timestamp_s,
            mix_hash=randao,
            state_root=parent.state_root,
            base_fee_per_gas=next_base_fee(parent),
        )

    def builder(self, draft: Any) -> BlockBuilder:
        """What fills a block."""
        state = _State(self._db, self._context(draft), draft.state_root)
        return BlockBuilder(self._db, draft, state)

    def state(self, header: Any) -> Any:
        """The state after a block, to be read."""
        return _State(self._db, self._context(header), header.state_root)

    def simulate(self, header: Any, call: Call) -> Outcome:
        """Do a call on the state after a block; nothing of it stays."""
        context = self._context(header.copy(base_fee_per_gas=0))
        state: Any = _FreeState(self._db, context, header.state_root)
        unsigned = _BUILDER.create_unsigned_transaction(
            nonce=state.get_nonce(call.sender),
            gas_price=0,
            gas=call.gas,
            to=CREATE_CONTRACT_ADDRESS if call.to is None else call.to,
            value=call.value,
            data=call.data,
        )
        if call.gas < unsigned.intrinsic_gas:
            return Outcome(b"", call.gas, "intrinsic gas too low", reverted=False)
        computation = state.apply_transaction(SpoofTransaction(unsigned, from_=call.sender))
        gas_used = _VM.finalize_gas_used(unsigned, computation)
        if not computation.is_error:
            return Outcome(bytes(computation.output), gas_used, None, reverted=False)
        error = computation.error
        reverted = isinstance(error, Revert)
        return Outcome(bytes(computation.output), gas_used, _failure(error), reverted=reverted)

    def _context(self, header: Any) -> Any:
        return _Context(
            coinbase=header.coinbase,
            timestamp=header.timestamp,
            block_number=header.block_number,
            difficulty=header.difficulty,
            mix_hash=header.mix_hash,
            gas_limit=header.gas_limit,
            prev_hashes=self._previous(header.block_number),
            chain_id=self._params.chain_id,
            base_fee_per_gas=header.base_fee_per_gas,
            excess_blob_gas=header.excess_blob_gas,
        )

    def _previous(self, number: int) -> Iterable[bytes]:
        """Hashes of the blocks before one, the nearest first."""
        for before in range(number - 1, max(number - 257, -1), -1):
            yield self._hash_of(before)


class BlockBuilder:
    """A block that is being filled."""

    def __init__(self, db: AtomicDB, draft: Any, state: Any) -> None:
        self._db = db
        self._draft = draft
        self.state = state
        self.gas_used = 0
        self._txs: list[StoredTx] = []
        self._logs: list[Log] = []
        self._forms: list[tuple[Any, Any]] = []

    @property
    def gas_left(self) -> int:
        """What still has room."""
        return int(self._draft.gas_limit) - self.gas_used

    def add(self, tx: DevTx) -> None:
        """Execute a transaction as the next of the block.

        Raises:
            NotExecutableError: It is against the rules now; nothing was changed.
        """
        state = self.state
        state.lock_changes()
        try:
            computation = state.apply_transaction(tx.evm)
        except ValidationError as error:
            raise NotExecutableError(str(error)) from None
        before = self._draft.copy(gas_used=self.gas_used)
        form = _VM.make_receipt(before, tx.evm, computation, state)
        used = form.gas_used - self.gas_used
        self.gas_used = form.gas_used
        place = len(self._txs)
        number = self._draft.block_number
        base_fee = self._draft.base_fee_per_gas
        created = None
        if tx.to is None and not computation.is_error:
            created = bytes(computation.msg.storage_address)
        receipt = Receipt(
            status=0 if computation.is_error else 1,
            gas_used=used,
            cumulative_gas=form.gas_used,
            gas_price=base_fee + tx.tip(base_fee),
            bloom=form.bloom.to_bytes(256, "big"),
            contract=created,
        )
        self._forms.append((tx.evm, form))
        self._txs.append(StoredTx(tx.hash, number, place, tx.raw, receipt))
        for log in form.logs:
            topics = tuple(topic.to_bytes(32, "big") for topic in log.topics)
            at = len(self._logs)
            self._logs.append(
                Log(number, at, tx.hash, place, bytes(log.address), topics, bytes(log.data))
            )

    def finish(self) -> BuiltBlock:
        """Write the state and seal the block."""
        self.state.persist()
        bloom = 0
        for _, form in self._forms:
            bloom |= form.bloom
        tx_root, _ = make_trie_root_and_nodes([tx for tx, _ in self._forms])
        receipt_root, _ = make_trie_root_and_nodes([form for _, form in self._forms])
        header = self._draft.copy(
            state_root=self.state.state_root,
            transaction_root=tx_root,
            receipt_root=receipt_root,
            bloom=bloom,
            gas_used=self.gas_used,
        )
        return _built(header, self._txs, self._logs)


def next_base_fee(header: Any) -> int:
    """Base fee of the block after `header`, in wei (EIP-1559)."""
    return int(calculate_expected_base_fee_per_gas(header))


def intrinsic_gas(tx: DevTx) -> int:
    """Gas that a transaction takes before anything is executed (EIP-7623 not counted)."""
    return int(tx.evm.intrinsic_gas)


def _built(header: Any, txs: list[StoredTx], logs: list[Log]) -> BuiltBlock:
    block = StoredBlock(header.block_number, bytes(header.hash), rlp.encode(header))
    return BuiltBlock(header, block, txs, logs)


def _failure(error: VMError) -> str:
    name = type(error).__name__
    if isinstance(error, Revert):
        return "execution reverted"
    return _FAILURES.get(name, name)
