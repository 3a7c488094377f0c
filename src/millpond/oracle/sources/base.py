"""What every source of prices is."""

from __future__ import annotations

from typing import Protocol

from millpond.oracle.model import Reading


class PriceSource(Protocol):
    """Somebody who says what an asset costs."""

    @property
    def name(self) -> str:
        """Stable name; another feed has another name."""

    async def read(self) -> Reading:
        """What it says now.

        Age, sign and bounds are judged by who asks; what only the source's own
        rules tell is told here.

        Raises:
            ReadingError: It has no price that counts.
            MillpondError: It cannot be asked.
        """
