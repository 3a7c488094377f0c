"""The few numbers that make a devchain what it is."""

from __future__ import annotations

import msgspec

from millpond.chains.bitcoin.hashes import scrypt_1024_1_1, sha256d
from millpond.chains.bitcoin.wire import bits_of_target, target_of_bits
from millpond.chains.coins import Coin

_GENESIS_TIME_S = 1_735_689_600  # 2025-01-01T00:00:00Z
_ALGORITHMS = {"sha256d": sha256d, "scrypt": scrypt_1024_1_1}
_DEMO_HASHRATE = {"sha256d": 100_000, "scrypt": 1_000}

_COIN_RULES = ("name", "proof_of_work", "maturity", "retarget_blocks")
"""Of a coin's row, what decides about blocks."""


class DevParams(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of one devchain; a data directory keeps to the rules it was made with.

    Attributes:
        coin: Proof of work, address forms, maturity, retarget interval.
        block_time_s: Intended seconds between blocks.
        initial_hashes: Hashes expected for one block until the first retarget.
        retarget: False keeps the difficulty where it started, as regtest does.
        subsidy_sat: New base units of a block before the first halving.
        halving_blocks: Blocks between halvings.
        genesis_time_s: Time in the genesis header.
    """

    coin: Coin
    block_time_s: int
    initial_hashes: int
    retarget: bool = True
    subsidy_sat: int = 50 * 10**8
    halving_blocks: int = 210_000
    genesis_time_s: int = _GENESIS_TIME_S

    def same_rules(self, written: bytes) -> bool:
        """Tell whether parameters that were written (JSON) make the same chain.

        What a coin's row says besides, and what a later version adds to it,
        changes no block.
        """
        try:
            other = msgspec.json.decode(written)
            theirs = {**other, "coin": {name: other["coin"].get(name) for name in _COIN_RULES}}
        except (msgspec.DecodeError, TypeError, KeyError, AttributeError):
            return False
        own = msgspec.to_builtins(self)
        return theirs == {**own, "coin": {name: own["coin"][name] for name in _COIN_RULES}}

    @property
    def initial_bits(self) -> int:
        """Compact target of the first blocks."""
        limit = (1 << 255) - 1
        return bits_of_target(min((1 << 256) // max(self.initial_hashes, 2), limit))

    @property
    def limit_target(self) -> int:
        """The easiest target that a retarget may reach: a 256th of the first difficulty."""
        return min(target_of_bits(self.initial_bits) << 8, (1 << 255) - 1)

    def subsidy(self, height: int) -> int:
        """New base units that the block at `height` may make."""
        halvings = height // self.halving_blocks
        return self.subsidy_sat >> halvings if halvings < 64 else 0

    def pow_hash(self, header: bytes) -> int:
        """Proof-of-work hash of a header as the number that a target is compared with."""
        return int.from_bytes(_ALGORITHMS[self.coin.proof_of_work](header), "little")


def demo_params(coin: Coin, *, block_time_s: int | None = None, retarget: bool = True) -> DevParams:
    """Rules for a demo: a gentle CPU miner finds a block each `block_time_s`."""
    seconds = block_time_s or coin.block_time_s
    hashes = _DEMO_HASHRATE[coin.proof_of_work] * seconds
    return DevParams(coin=coin, block_time_s=seconds, initial_hashes=hashes, retarget=retarget)


def test_params(coin: Coin) -> DevParams:
    """Rules for tests: every second hash is a block, for ever, as in regtest."""
    return DevParams(coin=coin, block_time_s=coin.block_time_s, initial_hashes=2, retarget=False)
