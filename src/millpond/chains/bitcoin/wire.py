"""Transactions and blocks as they stand on the wire (BIP 144 for witnesses)."""

from __future__ import annotations

import struct

import msgspec

from millpond.chains.bitcoin.hashes import display, sha256d

HEADER_SIZE = 80
_MAX_ITEMS = 1_000_000


class WireError(ValueError):
    """The bytes are not a transaction or block."""


class Reader:
    """Reads little-endian fields from bytes, never beyond their end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes.

        Raises:
            WireError: Fewer are left.
        """
        end = self.position + size
        if size < 0 or end > len(self.data):
            raise WireError("the data end too early")
        part = self.data[self.position : end]
        self.position = end
        return part

    def integer(self, size: int) -> int:
        """An unsigned little-endian number of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def compact(self) -> int:
        """A CompactSize number."""
        first = self.integer(1)
        if first < 0xFD:
            return first
        return self.integer({0xFD: 2, 0xFE: 4, 0xFF: 8}[first])

    def count(self) -> int:
        """A CompactSize number of items.

        Raises:
            WireError: More than any block could hold.
        """
        number = self.compact()
        if number > _MAX_ITEMS:
            raise WireError("too many items")
        return number

    def text(self) -> bytes:
        """Bytes behind their CompactSize length."""
        return self.take(self.compact())

    @property
    def rest(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.position


def compact(number: int) -> bytes:
    """CompactSize of `number`."""
    if number < 0xFD:
        return bytes((number,))
    if number <= 0xFFFF:
        return b"\xfd" + number.to_bytes(2, "little")
    if number <= 0xFFFFFFFF:
        return b"\xfe" + number.to_bytes(4, "little")
    return b"\xff" + number.to_bytes(8, "little")


def with_length(data: bytes) -> bytes:
    """`data` behind its CompactSize length."""
    return compact(len(data)) + data


class Outpoint(msgspec.Struct, frozen=True, order=True):
    """An output of a transaction, by name.

    Attributes:
        txid_le: Transaction id in internal byte order.
        index: Position of the output.
    """

    txid_le: bytes
    index: int

    @property
    def is_null(self) -> bool:
        """True for the input of a coinbase."""
        return self.index == 0xFFFFFFFF and not any(self.txid_le)

    def serialise(self) -> bytes:
        """Wire form, 36 bytes."""
        return self.txid_le + self.index.to_bytes(4, "little")


NULL_OUTPOINT = Outpoint(bytes(32), 0xFFFFFFFF)


class TxIn(msgspec.Struct, frozen=True):
    """An input: what it spends, and the proof that it may."""

    outpoint: Outpoint
    script_sig: bytes = b""
    sequence: int = 0xFFFFFFFE
    witness: tuple[bytes, ...] = ()


class TxOut(msgspec.Struct, frozen=True):
    """An output: value in base units, and the script that guards it."""

    value: int
    script: bytes

    def serialise(self) -> bytes:
        """Wire form."""
        return struct.pack("<q", self.value) + with_length(self.script)


class Transaction(msgspec.Struct, frozen=True, cache_hash=True):
    """A transaction."""

    version: int
    inputs: tuple[TxIn, ...]
    outputs: tuple[TxOut, ...]
    lock_time: int = 0

    @property
    def has_witness(self) -> bool:
        """True if any input carries a witness."""
        return any(txin.witness for txin in self.inputs)

    @property
    def is_coinbase(self) -> bool:
        """True for the first transaction of a block."""
        return len(self.inputs) == 1 and self.inputs[0].outpoint.is_null

    def serialise(self, *, witness: bool = True) -> bytes:
        """Wire form, with the witnesses if there are any and they are wanted."""
        extended = witness and self.has_witness
        parts = [struct.pack("<i", self.version)]
        if extended:
            parts.append(b"\x00\x01")
        parts.append(compact(len(self.inputs)))
        for txin in self.inputs:
            parts += [
                txin.outpoint.serialise(),
                with_length(txin.script_sig),
                txin.sequence.to_bytes(4, "little"),
            ]
        parts.append(compact(len(self.outputs)))
        parts += [txout.serialise() for txout in self.outputs]
        if extended:
            for txin in self.inputs:
                parts.append(compact(len(txin.witness)))
                parts += [with_length(item) for item in txin.witness]
        parts.append(self.lock_time.to_bytes(4, "little"))
        return b"".join(parts)

    @property
    def txid_le(self) -> bytes:
        """Transaction id in internal byte order."""
        return sha256d(self.serialise(witness=False))

    @property
    def txid(self) -> str:
        """Transaction id as daemons print it."""
        return display(self.txid_le)

    @property
    def wtxid_le(self) -> bytes:
        """Witness transaction id in internal byte order."""
        return sha256d(self.serialise())

    @property
    def input_names(self) -> tuple[str, ...]:
        """What is spent, each as `txid:vout`."""
        return tuple(
            f"{display(txin.outpoint.txid_le)}:{txin.outpoint.index}" for txin in self.inputs
        )

    @property
    def weight(self) -> int:
        """Weight as of BIP 141: four for a plain byte, one for a witness byte."""
        return 3 * len(self.serialise(witness=False)) + len(self.serialise())

    @property
    def vsize(self) -> int:
        """Virtual size in bytes, rounded up."""
        return (self.weight + 3) // 4


def read_transaction(reader: Reader, *, allow_witness: bool = True) -> Transaction:
    """Read one transaction.

    Raises:
        WireError: The bytes are none, or have an extension-block (MWEB) part.
    """
    version = struct.unpack("<i", reader.take(4))[0]
    mark = reader.position
    count, flag = reader.count(), 0
    if count == 0 and allow_witness and reader.rest:
        flag = reader.integer(1)
        if flag == 1:
            count = reader.count()
        elif flag:
            raise WireError("the transaction has an unknown part")
        else:
            reader.position = mark + 1
    inputs = [_read_input(reader) for _ in range(count)]
    outputs = tuple(
        TxOut(struct.unpack("<q", reader.take(8))[0], reader.text()) for _ in range(reader.count())
    )
    if flag:
        witnesses = [tuple(reader.text() for _ in range(reader.count())) for _ in inputs]
        if not any(witnesses):
            raise WireError("the witness part is superfluous")
        inputs = [
            TxIn(txin.outpoint, txin.script_sig, txin.sequence, witness)
            for txin, witness in zip(inputs, witnesses, strict=True)
        ]
    return Transaction(version, tuple(inputs), outputs, reader.integer(4))


def _read_input(reader: Reader) -> TxIn:
    outpoint = Outpoint(reader.take(32), reader.integer(4))
    return TxIn(outpoint, reader.text(), reader.integer(4))


def parse_transaction(data: bytes) -> Transaction:
    """Read a transaction that fills `data` exactly.

    Raises:
        WireError: The bytes are none, or more follow.
    """
    for allow_witness in (True, False):
        reader = Reader(data)
        try:
            transaction = read_transaction(reader, allow_witness=allow_witness)
        except WireError:
            if not allow_witness:
                raise
        else:
            if not reader.rest:
                return transaction
    raise WireError("bytes follow the transaction")


class Header(msgspec.Struct, frozen=True):
    """A block header: 80 bytes."""

    version: int
    prev_hash_le: bytes
    merkle_root_le: bytes
    time: int
    bits: int
    nonce: int

    def serialise(self) -> bytes:
        """Wire form."""
        return (
            struct.pack("<i", self.version)
            + self.prev_hash_le
            + self.merkle_root_le
            + struct.pack("<III", self.time, self.bits, self.nonce)
        )

    @property
    def hash_le(self) -> bytes:
        """The block's name: sha256d of the header, whatever the proof of work is."""
        return sha256d(self.serialise())


def parse_header(data: bytes) -> Header:
    """Read a header.

    Raises:
        WireError: Fewer than 80 bytes.
    """
    reader = Reader(data)
    version = struct.unpack("<i", reader.take(4))[0]
    previous, root = reader.take(32), reader.take(32)
    return Header(version, previous, root, reader.integer(4), reader.integer(4), reader.integer(4))


class Block(msgspec.Struct, frozen=True):
    """A header and its transactions, the coinbase first."""

    header: Header
    transactions: tuple[Transaction, ...]

    def serialise(self) -> bytes:
        """Wire form."""
        return (
            self.header.serialise()
            + compact(len(self.transactions))
            + b"".join(tx.serialise() for tx in self.transactions)
        )

    @property
    def weight(self) -> int:
        """Weight as of BIP 141."""
        overhead = HEADER_SIZE + len(compact(len(self.transactions)))
        return 4 * overhead + sum(tx.weight for tx in self.transactions)


def parse_block(data: bytes) -> Block:
    """Read a block that fills `data` exactly.

    Raises:
        WireError: The bytes are none, or more follow.
    """
    header = parse_header(data)
    reader = Reader(data)
    reader.position = HEADER_SIZE
    transactions = tuple(read_transaction(reader) for _ in range(reader.count()))
    if reader.rest:
        raise WireError("bytes follow the block")
    return Block(header, transactions)


def target_of_bits(bits: int) -> int:
    """Expand a header's compact target.

    Raises:
        WireError: Negative, zero, or beyond 256 bits.
    """
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    target = mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)
    if bits & 0x800000 or not 0 < target < 1 << 256:
        raise WireError("the compact target is out of range")
    return target


def bits_of_target(target: int) -> int:
    """Compact form of a target, rounded down as daemons do."""
    assert 0 < target < 1 << 256, "a target is a positive number below 2**256"
    size = (target.bit_length() + 7) // 8
    mantissa = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if mantissa & 0x800000:
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa


def push_height(height: int) -> bytes:
    """The script push of a block's height that opens its coinbase (BIP 34)."""
    assert height >= 0, "a height is not negative"
    if height == 0:
        return b"\x00"
    if height <= 16:
        return bytes((0x50 + height,))
    data = height.to_bytes(height.bit_length() // 8 + 1, "little")
    return bytes((len(data),)) + data
