"""The few pieces of Bitcoin's serialisation that only a pool writes."""

from __future__ import annotations

from millpond.chains.bitcoin.wire import compact


def script_push(data: bytes) -> bytes:
    """Push at most 75 bytes on the script's stack by the one-byte form."""
    assert len(data) <= 75, "one-byte pushes end at 75 bytes"
    return bytes((len(data),)) + data


def script_number(value: int) -> bytes:
    """Shortest script that pushes a number, as daemons demand of a height (BIP 34).

    0 is `OP_0` and 1 to 16 are `OP_1` to `OP_16`; above that the number is
    pushed little-endian with its sign in the highest bit.
    """
    assert value >= 0, "heights are not negative"
    if value == 0:
        return b"\x00"
    if value <= 16:
        return bytes((0x50 + value,))
    return script_push(value.to_bytes(value.bit_length() // 8 + 1, "little"))


def transaction_output(amount: int, script: bytes) -> bytes:
    """One output: value in base units and the script that locks it."""
    return amount.to_bytes(8, "little") + compact(len(script)) + script


def stratum_prev_hash(prev_hash: bytes) -> str:
    """Previous hash as `mining.notify` sends it: each 4-byte word of the wire form swapped."""
    return b"".join(prev_hash[i : i + 4][::-1] for i in range(0, 32, 4)).hex()
