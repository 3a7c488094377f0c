"""Wei and gwei as whole numbers."""

from __future__ import annotations

from typing import Final

GWEI: Final = 10**9
ETHER: Final = 10**18
MAX_UINT256: Final = 2**256 - 1


def gwei_text(wei: int) -> str:
    """Exact decimal text in gwei, without trailing zeros: `1500000000` is `1.5`."""
    sign = "-" if wei < 0 else ""
    whole, part = divmod(abs(wei), GWEI)
    fraction = f"{part:09d}".rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
