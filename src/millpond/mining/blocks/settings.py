"""What an operator sets about following blocks."""

from __future__ import annotations

import msgspec

from millpond.chains.coins import Coin


class BlockSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `blocks` of a pool.

    Attributes:
        confirmations: At how many a reward is posted; 0 for one more than the
            coin's maturity, when the wallet can spend it.
        give_up_depth: How many blocks the chain must have grown beyond a block
            outside of it before that counts as orphaned or rejected.
        adopt_after_s: Age at which a block is credited although the log does
            not hold its share.
    """

    confirmations: int = 0
    give_up_depth: int = 6
    adopt_after_s: int = 120

    def required(self, coin: Coin) -> int:
        """Confirmations at which a block of `coin` is mature."""
        return self.confirmations or coin.maturity + 1

    def faults(self, coin: Coin) -> list[str]:
        """Everything that is wrong, as plain sentences."""
        found = []
        if self.confirmations < 0 or 0 < self.confirmations <= coin.maturity:
            found.append(f"confirmations must be above the maturity of {coin.name}, or 0")
        if self.give_up_depth < 1:
            found.append("give_up_depth must be 1 or more")
        if self.adopt_after_s < 1:
            found.append("adopt_after_s must be 1 or more")
        return found
