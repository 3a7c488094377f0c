"""Two tiny contracts, by hand: what reverts before or after a switch was thrown.

Called with data each throws its switch (storage slot 0 becomes 1); called
without data it looks at it.
"""

from __future__ import annotations

_THROW = "5b60015f5500"
_REVERT = "5b5f5ffd"

# calldatasize jumpi(throw); sload(0) jumpi(revert); stop; throw; revert
_WORKS_UNTIL = "36600a575f5460105700" + _THROW + _REVERT
# calldatasize jumpi(throw); sload(0) iszero jumpi(revert); stop; throw; revert
_WORKS_AFTER = "36600b575f541560115700" + _THROW + _REVERT


def _creation(runtime: str) -> bytes:
    """Code that makes a contract of `runtime`: push1 size, dup1, push1 9, push0, codecopy, …"""
    code = bytes.fromhex(runtime)
    return bytes([0x60, len(code), 0x80, 0x60, 9, 0x5F, 0x39, 0x5F, 0xF3]) + code


WORKS_UNTIL_THROWN = _creation(_WORKS_UNTIL)
WORKS_AFTER_THROWN = _creation(_WORKS_AFTER)
