"""Why a call reverted, out of the bytes that it returned; needs no ABI for the built-in kinds."""

from __future__ import annotations

from typing import Final

from millpond.errors import plain

ERROR_SELECTOR: Final = bytes.fromhex("08c379a0")
"""`Error(string)`."""
PANIC_SELECTOR: Final = bytes.fromhex("4e487b71")
"""`Panic(uint256)`."""

_PANICS: Final = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "value is no enum member",
    0x22: "storage bytes encoded wrongly",
    0x31: "pop of an empty array",
    0x32: "index out of bounds",
    0x41: "out of memory",
    0x51: "call of an uninitialised function",
}
_MAX_REASON = 200


def revert_reason(data: bytes) -> str:
    """The words of a revert.

    Returns:
        The string of `Error(string)`, the meaning of a `Panic`, the selector of
        a custom error as 0x and eight digits, or an empty text for no bytes.
        Malformed bytes give their selector; nothing raises. Words are `plain`.
    """
    if len(data) < 4:
        return ""
    selector, body = data[:4], data[4:]
    if selector == ERROR_SELECTOR:
        text = _string(body)
        if text is not None:
            return text
    if selector == PANIC_SELECTOR and len(body) >= 32:
        number = int.from_bytes(body[:32], "big")
        return _PANICS.get(number, f"panic {number:#x}"[:40])
    return "0x" + selector.hex()


def _string(body: bytes) -> str | None:
    offset = int.from_bytes(body[:32], "big")
    if len(body) < 64 or offset > len(body) - 32:
        return None
    size = int.from_bytes(body[offset : offset + 32], "big")
    text = body[offset + 32 : offset + 32 + min(size, _MAX_REASON)]
    if len(text) < min(size, _MAX_REASON):
        return None
    return plain(text.decode("utf-8", "replace"))
