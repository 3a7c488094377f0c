"""Calls of the test token, encoded by hand: nothing of the product is used to test nodes."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from tests.support.evm_nodes import ACCOUNTS, Node

TRANSFER = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
GAS = 200_000


def calldata(signature: str, *values: Any) -> bytes:
    """Selector and arguments, like `transfer(address,uint256)`."""
    types = signature[signature.index("(") + 1 : -1]
    return keccak(text=signature)[:4] + encode(types.split(",") if types else [], values)


def word(address: str) -> str:
    """An address as a topic."""
    return "0x" + "00" * 12 + address[2:].lower()


class Token:
    """BTCD on a node, owned by the first account."""

    def __init__(self, node: Node) -> None:
        artifact = files("millpond.chains.evm") / "artifacts" / "BTCD.json"
        bytecode = bytes.fromhex(json.loads(artifact.read_text())["bytecode"][2:])
        self.node = node
        self.owner = ACCOUNTS[0]
        arguments = encode(["address"], [self.owner.address])
        self.address = node.deploy(bytecode + arguments, self.owner)

    def mint(self, to: str, amount: int, **fields: Any) -> str:
        """Send a mint; returns the transaction's hash."""
        data = calldata("mint(address,uint256)", to, amount)
        return self.node.send(
            self.owner, **({"to": self.address, "data": data, "gas": GAS} | fields)
        )

    def transfer(self, sender: LocalAccount, to: str, amount: int, **fields: Any) -> str:
        """Send a transfer; returns the transaction's hash."""
        data = calldata("transfer(address,uint256)", to, amount)
        return self.node.send(sender, **({"to": self.address, "data": data, "gas": GAS} | fields))

    def balance(self, address: str, tag: Any = "latest") -> int:
        """What an account has."""
        answer = self.call(calldata("balanceOf(address)", address), tag=tag)
        return int(answer, 16)

    def call(self, data: bytes, *, sender: str | None = None, tag: Any = "latest") -> str:
        """eth_call."""
        question = {"to": self.address, "data": "0x" + data.hex()}
        if sender is not None:
            question["from"] = sender
        return str(self.node.rpc("eth_call", question, tag))

    def logs(self, first: int = 0, last: int | str = "latest", **more: Any) -> list[dict[str, Any]]:
        """eth_getLogs of this contract."""
        end = hex(last) if isinstance(last, int) else last
        question = {"address": self.address, "fromBlock": hex(first), "toBlock": end} | more
        found: list[dict[str, Any]] = self.node.rpc("eth_getLogs", question)
        return found
