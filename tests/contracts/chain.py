"""A chain for contract tests: py-evm's state machine without blocks, signatures or gas prices.

Every transaction runs as on a chain (intrinsic gas, refunds, access lists, transient storage of
its own); time moves only when told. Snapshots cost a trie, transactions do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth import constants
from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun import CancunVM
from eth.vm.spoof import SpoofTransaction
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_account import Account
from eth_typing import BlockNumber
from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak

from tests.contracts.artifacts import artifact

CHAIN_ID = 31337
GENESIS_TIME = 1_700_000_000
GAS_LIMIT = 30_000_000
ZERO = "0x" + "00" * 20

_PANIC = bytes.fromhex("4e487b71")
_ERROR = bytes.fromhex("08c379a0")


class RevertedError(Exception):
    """A call or transaction that did not happen; `reason` is the contract's own string."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Event:
    """A decoded log."""

    address: str
    name: str
    args: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.args[name]


@dataclass(frozen=True)
class Receipt:
    """What a transaction did."""

    gas_used: int
    value: Any
    events: tuple[Event, ...]

    def named(self, name: str) -> list[Event]:
        """The events of this name, in order."""
        return [event for event in self.events if event.name == name]


class EvmChain:
    """A fresh chain with accounts that have keys."""

    def __init__(self, accounts: int = 12) -> None:
        self.keys = [Account.from_key(keccak(b"millpond test %d" % n)) for n in range(accounts)]
        self.accounts = [key.address for key in self.keys]
        self._database = AtomicDB()
        self._builder: Any = CancunVM.get_transaction_builder()
        self._state_class: Any = CancunVM.get_state_class()
        self.block_number = 1
        self.timestamp = GENESIS_TIME
        self._open(constants.BLANK_ROOT_HASH)
        self._events: dict[tuple[bytes, bytes], dict[str, Any]] = {}

    def _open(self, root: bytes) -> None:
        context: Any = ExecutionContext(
            coinbase=constants.ZERO_ADDRESS,
            timestamp=self.timestamp,
            block_number=BlockNumber(self.block_number),
            difficulty=0,
            mix_hash=constants.ZERO_HASH32,
            gas_limit=GAS_LIMIT,
            prev_hashes=(),
            chain_id=CHAIN_ID,
            base_fee_per_gas=0,
            excess_blob_gas=0,
        )
        self._context = context
        self._state: Any = self._state_class(self._database, context, root)

    def travel(self, seconds: int) -> None:
        """Let time pass; the next transaction is in a later block."""
        assert seconds >= 0
        self.timestamp += seconds
        self.block_number += 1
        self._context._timestamp = self.timestamp
        self._context._block_number = self.block_number

    def snapshot(self) -> tuple[bytes, int, int]:
        """Remember the whole state; `revert` brings it back any number of times."""
        self._state.lock_changes()
        self._state.persist()
        return self._state.state_root, self.timestamp, self.block_number

    def revert(self, snapshot: tuple[bytes, int, int]) -> None:
        """Go back to a snapshot."""
        root, self.timestamp, self.block_number = snapshot
        self._open(root)

    def forget(self, address: str) -> None:
        """Take the last nonce of an account back."""
        account = to_canonical_address(address)
        self._state.set_nonce(account, self._state.get_nonce(account) - 1)

    def code(self, address: str) -> bytes:
        """The code on chain."""
        return bytes(self._state.get_code(to_canonical_address(address)))

    def deploy(self, name: str, *args: Any, sender: str | None = None) -> Deployed:
        """Create a contract from its artifact."""
        made = artifact(name)
        inputs: list[dict[str, Any]] = next(
            (e["inputs"] for e in made["abi"] if e["type"] == "constructor"), []
        )
        data = bytes.fromhex(made["bytecode"][2:]) + encode_args(inputs, args)
        computation = self._execute(sender or self.accounts[0], b"", data, GAS_LIMIT)
        address = to_checksum_address(computation.msg.storage_address)
        deployed = Deployed(self, address, made["abi"], name)
        deployed.receipt = self._receipt(computation, [])
        return deployed

    def transact(self, sender: str, to: str, data: bytes, *, gas: int = GAS_LIMIT) -> Any:
        """Run a transaction and return py-evm's computation; raises RevertedError."""
        return self._execute(sender, to_canonical_address(to), data, gas)

    def call(self, sender: str, to: str, data: bytes) -> bytes:
        """Run a transaction, undo it, return its output; raises RevertedError."""
        self._state.lock_changes()
        snapshot = self._state.snapshot()
        try:
            target = to_canonical_address(to)
            return bytes(self._apply(sender, target, data, GAS_LIMIT).output)
        finally:
            self._state.revert(snapshot)

    def _execute(self, sender: str, to: bytes, data: bytes, gas: int) -> Any:
        self._state.lock_changes()
        return self._apply(sender, to, data, gas)

    def _apply(self, sender: str, to: bytes, data: bytes, gas: int) -> Any:
        canonical = to_canonical_address(sender)
        unsigned = self._builder.create_unsigned_transaction(
            nonce=self._state.get_nonce(canonical),
            gas_price=0,
            gas=gas,
            to=to,
            value=0,
            data=data,
        )
        computation = self._state.apply_transaction(SpoofTransaction(unsigned, from_=canonical))
        if computation.is_error:
            raise RevertedError(reason_of(computation))
        computation.transaction_gas = gas
        return computation

    def learn(self, address: str, abi: list[dict[str, Any]]) -> None:
        """Decode the logs of this contract from now on."""
        for entry in abi:
            if entry["type"] == "event":
                topic = keccak(text=signature(entry))
                self._events[to_canonical_address(address), topic] = entry

    def _receipt(self, computation: Any, outputs: list[dict[str, Any]]) -> Receipt:
        remaining = computation.get_gas_remaining()
        used = computation.transaction_gas - remaining
        refund = min(computation.get_gas_refund(), used // 5)
        decoded = []
        for address, topics, data in computation.get_log_entries():
            entry = self._events.get((address, topics[0].to_bytes(32)))
            if entry is not None:
                decoded.append(decode_event(to_checksum_address(address), entry, topics, data))
        value = decode_outputs(outputs, bytes(computation.output)) if outputs else None
        return Receipt(used - refund, value, tuple(decoded))


class Deployed:
    """A contract on the chain: `call` reads, `send` changes."""

    receipt: Receipt

    def __init__(self, chain: EvmChain, address: str, abi: list[dict[str, Any]], name: str) -> None:
        self.chain = chain
        self.address = address
        self.abi = abi
        self.name = name
        chain.learn(address, abi)

    def function(self, name: str, count: int) -> dict[str, Any]:
        """The ABI entry of a function by name and number of arguments."""
        for entry in self.abi:
            if (entry["type"], entry.get("name")) == ("function", name) and len(
                entry["inputs"]
            ) == count:
                return entry
        raise LookupError(f"{self.name}.{name} with {count} arguments")

    def data(self, name: str, *args: Any) -> bytes:
        """The calldata of a call."""
        entry = self.function(name, len(args))
        return keccak(text=signature(entry))[:4] + encode_args(entry["inputs"], args)

    def call(self, name: str, *args: Any, sender: str | None = None) -> Any:
        """What a function answers, changing nothing."""
        entry = self.function(name, len(args))
        sender = sender or self.chain.accounts[0]
        output = self.chain.call(sender, self.address, self.data(name, *args))
        return decode_outputs(entry["outputs"], output)

    def send(self, sender: str | Deployed, name: str, *args: Any, gas: int = GAS_LIMIT) -> Receipt:
        """Run a function as a transaction of `sender`; raises RevertedError."""
        entry = self.function(name, len(args))
        computation = self.chain.transact(
            address_of(sender), self.address, self.data(name, *args), gas=gas
        )
        return self.chain._receipt(computation, entry["outputs"])


def address_of(party: str | Deployed) -> str:
    """The address of an account or contract."""
    return party if isinstance(party, str) else party.address


def type_of(parameter: dict[str, Any]) -> str:
    """The ABI type, tuples spelt out."""
    if not parameter["type"].startswith("tuple"):
        return str(parameter["type"])
    inner = ",".join(type_of(part) for part in parameter["components"])
    return f"({inner}){parameter['type'][5:]}"


def signature(entry: dict[str, Any]) -> str:
    """The text whose hash names a function or an event."""
    return f"{entry['name']}({','.join(type_of(part) for part in entry['inputs'])})"


def encode_args(inputs: list[dict[str, Any]], args: tuple[Any, ...]) -> bytes:
    """Arguments as calldata; a contract stands for its address."""
    plain = [arg.address if isinstance(arg, Deployed) else arg for arg in args]
    return encode([type_of(part) for part in inputs], plain)


def _named(parameter: dict[str, Any], value: Any) -> Any:
    if parameter["type"] == "address":
        return to_checksum_address(value)
    if parameter["type"] == "address[]":
        return [to_checksum_address(item) for item in value]
    if parameter["type"] == "tuple":
        return {
            part["name"]: _named(part, item)
            for part, item in zip(parameter["components"], value, strict=True)
        }
    return value


def decode_outputs(outputs: list[dict[str, Any]], data: bytes) -> Any:
    """Return values: none, the one, or a tuple."""
    values = decode([type_of(part) for part in outputs], data)
    named = [_named(part, value) for part, value in zip(outputs, values, strict=True)]
    if not named:
        return None
    return named[0] if len(named) == 1 else tuple(named)


def decode_event(address: str, entry: dict[str, Any], topics: Any, data: bytes) -> Event:
    """A log by its ABI entry."""
    plain = [part for part in entry["inputs"] if not part["indexed"]]
    values = iter(decode([type_of(part) for part in plain], data))
    indexed = iter(topics[1:])
    args = {}
    for part in entry["inputs"]:
        if part["indexed"]:
            raw = next(indexed).to_bytes(32)
            args[part["name"]] = _named(part, decode([type_of(part)], raw)[0])
        else:
            args[part["name"]] = _named(part, next(values))
    return Event(address, entry["name"], args)


def reason_of(computation: Any) -> str:
    """Why it failed: the string of a revert, "panic", "" for none, or py-evm's error."""
    data = bytes(computation.output)
    if data[:4] == _ERROR:
        try:
            return str(decode(["string"], data[4:])[0])
        except DecodingError:
            return data.hex()
    if data[:4] == _PANIC:
        return "panic"
    return "" if type(computation.error).__name__ == "Revert" else repr(computation.error)
