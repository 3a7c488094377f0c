"""Blocks made from templates in the open, so that a test can spoil any part of one."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Any

from millpond.chains.bitcoin.hashes import display, from_display, merkle_root, sha256d
from millpond.chains.bitcoin.wire import (
    NULL_OUTPOINT,
    Transaction,
    TxIn,
    TxOut,
    compact,
    push_height,
    target_of_bits,
)
from millpond.chains.coins import Coin


def proof_of_work(coin: Coin, header: bytes) -> int:
    if coin.proof_of_work == "scrypt":
        digest = hashlib.scrypt(header, salt=header, n=1024, r=1, p=1, dklen=32)
    else:
        digest = sha256d(header)
    return int.from_bytes(digest, "little")


@dataclass
class BlockPlan:
    """A block to be; change what shall be wrong, then `build`."""

    coin: Coin
    template: dict[str, Any]
    script: bytes
    tag: bytes = b"/test/"
    height: int = 0
    value: int = 0
    commitment: bytes = b""
    version: int = 0
    time: int = 0
    bits: int = 0
    previous: bytes = b""
    merkle: bytes | None = None
    solved: bool = True
    coinbases: int = 1
    with_mweb: bool = True
    hash: str = field(default="", init=False)

    def __post_init__(self) -> None:
        t = self.template
        self.height = t["height"]
        self.value = t["coinbasevalue"]
        self.commitment = bytes.fromhex(t["default_witness_commitment"])
        self.version = t["version"]
        self.time = t["curtime"]
        self.bits = int(t["bits"], 16)
        self.previous = from_display(t["previousblockhash"])

    def coinbase(self) -> Transaction:
        opening = push_height(self.height) + bytes((len(self.tag),)) + self.tag
        return Transaction(
            2,
            (TxIn(NULL_OUTPOINT, opening, 0xFFFFFFFF, (bytes(32),)),),
            (TxOut(self.value, self.script), TxOut(0, self.commitment)),
        )

    def build(self) -> str:
        coinbase = self.coinbase()
        txids = [coinbase.txid_le] * self.coinbases
        txids += [from_display(tx["txid"]) for tx in self.template["transactions"]]
        root = self.merkle if self.merkle is not None else merkle_root(txids)
        head = struct.pack("<i", self.version) + self.previous + root
        head += struct.pack("<II", self.time, self.bits)
        header = self._solve(head)
        self.hash = display(sha256d(header))
        parts = [header, compact(len(txids)), coinbase.serialise() * self.coinbases]
        parts += [bytes.fromhex(tx["data"]) for tx in self.template["transactions"]]
        if self.template.get("mweb") and self.with_mweb:
            parts.append(b"\x01" + bytes.fromhex(self.template["mweb"]))
        return b"".join(parts).hex()

    def _solve(self, head: bytes) -> bytes:
        target = target_of_bits(self.bits)
        for nonce in range(1 << 20):
            header = head + struct.pack("<I", nonce)
            if (proof_of_work(self.coin, header) <= target) is self.solved:
                return header
        raise AssertionError("no nonce found")
