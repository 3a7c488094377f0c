"""RPC methods that only a development chain has: blocks, time, accidents on request."""

from __future__ import annotations

from typing import Any

from millpond.chains.devevm import wire
from millpond.chains.devevm.chain import Devevm
from millpond.chains.devevm.errors import invalid
from millpond.chains.devevm.methods import read_address, read_hash, read_quantity, rpc

_MAX_TIME_S = 1 << 40


class DevMethods:
    """Control over the chain; `evm_*` are the names that other development nodes know."""

    def __init__(self, chain: Devevm) -> None:
        self._chain = chain

    @rpc("dev_mine")
    def mine(self, count: Any = 1, interval_s: Any = 1) -> str:
        """Make blocks, `interval_s` apart; answers the number of the head."""
        apart = max(1, read_quantity(interval_s, "argument 1"))
        self._chain.mine(read_quantity(count, "argument 0"), apart)
        return wire.quantity(self._chain.height)

    @rpc("evm_mine")
    def mine_one(self) -> str:
        """Make a block."""
        self._chain.mine()
        return "0x0"

    @rpc("dev_automine", "evm_setAutomine")
    def automine(self, on: Any) -> bool:
        """A block for every transaction, or only when told to."""
        if not isinstance(on, bool):
            raise invalid("invalid argument 0: true or false")
        self._chain.set_automine(on)
        return True

    @rpc("dev_reorg")
    def reorg(self, depth: Any, keep_txs: Any = True) -> str:  # noqa: FBT002 - by position
        """Replace the last blocks; answers the hash of the new head."""
        if not isinstance(keep_txs, bool):
            raise invalid("invalid argument 1: true or false")
        self._chain.reorg(read_quantity(depth, "argument 0"), keep_txs=keep_txs)
        return wire.data(self._chain.head.hash)

    @rpc("dev_setBalance")
    def set_balance(self, address: Any, wei: Any) -> bool:
        """Give an account a balance, in a block of its own."""
        self._chain.set_balance(read_address(address), read_quantity(wei, "argument 1"))
        return True

    @rpc("dev_dropTransaction")
    def drop(self, tx_hash: Any) -> bool:
        """Forget a waiting transaction."""
        return self._chain.drop(read_hash(tx_hash))

    @rpc("txpool_status")
    def pool_status(self) -> dict[str, str]:
        """How many transactions wait (`queued` are counted with `pending`)."""
        return {"pending": wire.quantity(len(self._chain.mempool)), "queued": "0x0"}

    @rpc("evm_snapshot")
    def snapshot(self) -> str:
        """Remember the state of the chain."""
        return wire.quantity(self._chain.snapshot())

    @rpc("evm_revert")
    def revert(self, snapshot: Any) -> bool:
        """Go back to a snapshot and forget it."""
        return self._chain.revert(read_quantity(snapshot, "argument 0"))

    @rpc("dev_increaseTime", "evm_increaseTime")
    def increase_time(self, seconds: Any) -> int:
        """The next block is so much later."""
        return self._chain.increase_time(min(read_quantity(seconds, "argument 0"), _MAX_TIME_S))

    @rpc("dev_setNextBlockTimestamp", "evm_setNextBlockTimestamp")
    def set_next_timestamp(self, unix_s: Any) -> bool:
        """Time of the next block."""
        self._chain.set_next_timestamp(min(read_quantity(unix_s, "argument 0"), _MAX_TIME_S))
        return True
