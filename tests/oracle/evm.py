"""Contracts on py-evm without blocks or transactions, and a caller that asks them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.vm.forks.cancun import CancunVM
from eth_abi.abi import encode
from eth_typing import Address
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.address import to_canonical_address
from vyper import compile_code

from millpond.errors import UnavailableError

SENDER = Address(b"\x11" * 20)
_GENESIS: Any = {
    "difficulty": 0,
    "gas_limit": 30_000_000,
    "timestamp": 1,
    "extra_data": b"",
    "coinbase": b"\0" * 20,
    "nonce": b"\0" * 8,
    "mix_hash": b"\0" * 32,
}


class RevertedCallError(UnavailableError):
    """As the access to nodes tells of a call that reverts."""

    code = "evm_reverted"


class Evm:
    """One state; `call` is a `Caller`, `send` changes the state."""

    def __init__(self) -> None:
        chain = MiningChain.configure(vm_configuration=((0, CancunVM),))
        self._vm = chain.from_genesis(AtomicDB(), _GENESIS, {}).get_vm()
        self._next = 0x1000
        self.away: set[bytes] = set()

    def place(self, runtime: bytes) -> str:
        """A contract with this runtime code, at a fresh address."""
        self._next += 1
        address = Address(self._next.to_bytes(20, "big"))
        self._vm.state.set_code(address, runtime)
        return "0x" + address.hex()

    def send(self, to: str, signature: str, *arguments: Any) -> None:
        """Run a function that changes the state."""
        kinds = [kind for kind in signature.split("(")[1].rstrip(")").split(",") if kind]
        data = function_signature_to_4byte_selector(signature) + encode(kinds, arguments)
        self._run(to, data)

    async def call(self, to: str, data: bytes, block: Any, /) -> bytes:
        assert block == "latest"
        if data[:4] in self.away or b"" in self.away:
            raise UnavailableError("the node does not answer")
        return self._run(to, data)

    def _run(self, to: str, data: bytes) -> bytes:
        address = to_canonical_address(to)
        computation = self._vm.execute_bytecode(
            origin=SENDER,
            gas_price=0,
            gas=10_000_000,
            to=address,
            sender=SENDER,
            value=0,
            data=data,
            code=self._vm.state.get_code(address),
        )
        if computation.is_error:
            raise RevertedCallError("the call reverts")
        return bytes(computation.output)


@cache
def scripted_feed() -> bytes:
    """Runtime code of `scripted_feed.vy`."""
    source = (Path(__file__).parent / "scripted_feed.vy").read_text()
    return bytes.fromhex(
        compile_code(source, output_formats=["bytecode_runtime"])["bytecode_runtime"][2:]
    )
